//! What `cargo xtask test` and CI run.
//!
//! - [`work`]: what each stage does.
//! - [`browser`]: the one that needs gateways and a browser.
//! - [`debugging`]: the one that reads what developers read.
//! - [`table`]: what is printed at the end.

use std::time::{Duration, Instant};

use clap::ValueEnum;

use crate::error::Failure;
use crate::progress;
use crate::tools;
use crate::workspace::Workspace;

use table::{Outcome, Row};

mod browser;
mod debugging;
mod table;
mod work;

/// One part of the tests; they run in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Stage {
    /// The sources are formatted.
    Format,
    /// The V8 library is found and checked.
    V8,
    /// The test apps are installed and built.
    Apps,
    /// No lint fires.
    Clippy,
    /// Everything compiles, tests too.
    Build,
    /// The tests in Rust.
    Rust,
    /// The tests of the npm package.
    Javascript,
    /// The apps in a browser, served by the gateway.
    Browser,
    /// What developers look inside with.
    Debugging,
    /// The hot paths take no more instructions than the baseline allows.
    Instructions,
}

impl Stage {
    /// As `--stage` takes it.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    fn needs(self) -> &'static [Self] {
        match self {
            Self::Format | Self::V8 | Self::Apps | Self::Javascript => &[],
            Self::Clippy | Self::Build => &[Self::V8],
            Self::Debugging | Self::Instructions => &[Self::V8, Self::Build],
            Self::Rust | Self::Browser => &[Self::V8, Self::Apps, Self::Build],
        }
    }
}

/// Runs the chosen stages and those that they need, all when none is chosen, until one fails. Prints the times.
///
/// # Errors
///
/// When a stage fails; its own failure was printed by then.
pub fn run(workspace: &Workspace, chosen: &[Stage]) -> Result<(), Failure> {
    let plan = plan(chosen);
    if plan.contains(&Stage::Build) || plan.contains(&Stage::Clippy) {
        tools::require_c_linker()?;
    }
    let mut rows: Vec<Row> = Vec::new();
    let mut failed = None;
    for stage in plan {
        if failed.is_some() {
            rows.push(Row { stage: stage.name(), time: Duration::ZERO, outcome: Outcome::NotRun });
            continue;
        }
        progress::say(&format!("\n== {} ==", stage.name()));
        let started = Instant::now();
        let outcome = match work::perform(workspace, stage) {
            Ok(()) => Outcome::Passed,
            Err(failure) => {
                progress::say(&failure.report());
                failed = Some(stage);
                Outcome::Failed
            }
        };
        rows.push(Row { stage: stage.name(), time: started.elapsed(), outcome });
    }
    progress::say(&format!("\n{}", table::render(&rows)));
    failed.map_or(Ok(()), |stage| Err(Failure::Stage(stage.name())))
}

fn plan(chosen: &[Stage]) -> Vec<Stage> {
    let all = Stage::value_variants();
    let is_wanted = |stage: &Stage| {
        chosen.is_empty() || chosen.iter().any(|chosen| chosen == stage || chosen.needs().contains(stage))
    };
    all.iter().copied().filter(is_wanted).collect()
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::{Stage, plan};

    #[test]
    fn all_stages_run_when_none_is_chosen() {
        assert_eq!(plan(&[]), Stage::value_variants());
    }

    #[test]
    fn a_chosen_stage_brings_what_it_needs_in_order() {
        assert_eq!(plan(&[Stage::Browser]), [Stage::V8, Stage::Apps, Stage::Build, Stage::Browser]);
        assert_eq!(plan(&[Stage::Clippy, Stage::Format]), [Stage::Format, Stage::V8, Stage::Clippy]);
    }

    #[test]
    fn what_a_stage_needs_runs_before_it_and_needs_no_more() {
        for stage in Stage::value_variants() {
            for needed in stage.needs() {
                assert!(needed < stage, "{needed:?} for {stage:?}");
                assert!(needed.needs().iter().all(|deeper| stage.needs().contains(deeper)));
            }
        }
    }
}
