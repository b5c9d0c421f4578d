//! Why an app cannot be loaded, as the operator reads it.

use std::path::Path;
use std::time::Duration;

use deno_core::ModuleSpecifier;
use shared::message::control::LoadFailure;
use shared::setup::RendererSetup;

use super::runtime::ENTRY;
use crate::watchdog::probe::{Excess, Overrun};

/// A load that was terminated, named by the place where it was.
pub fn overrun(overrun: &Overrun, setup: &RendererSetup) -> LoadFailure {
    let problem = match overrun.excess {
        Excess::Turn => {
            let limit = Duration::from_millis(setup.limits.max_load_turn_ms);
            format!("it runs for more than {limit:?} of CPU time in one turn while it loads")
        }
        Excess::Heap => "it fills the whole heap while it loads".to_owned(),
    };
    let remedy = match overrun.excess {
        Excess::Turn => "look there for a loop without an end, or raise max_load_turn",
        Excess::Heap => "look there for what it keeps, or raise max_heap",
    };
    LoadFailure {
        file: ENTRY.into(),
        problem: format!("{problem}: {}", overrun.stack_text()),
        remedy: remedy.into(),
    }
}

/// Nothing that the app is to blame for.
pub fn own_fault(problem: &str) -> LoadFailure {
    LoadFailure {
        file: "renderer-pool".into(),
        problem: format!("its own start script failed: {problem}"),
        remedy: "this is a fault of Isopod's build; build it again".into(),
    }
}

/// The entry of the app in `root`.
///
/// # Errors
/// When the path is no URL.
pub fn entry_url(root: &Path) -> Result<ModuleSpecifier, LoadFailure> {
    ModuleSpecifier::from_file_path(root.join(ENTRY)).map_err(|()| LoadFailure {
        file: root.join(ENTRY).display().to_string(),
        problem: "the path is no file URL".into(),
        remedy: "give --app an absolute path".into(),
    })
}
