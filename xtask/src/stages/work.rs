//! What each stage does.

use crate::apps;
use crate::bench;
use crate::cargo;
use crate::error::Failure;
use crate::npm;
use crate::run;
use crate::stages::{Stage, browser, debugging};
use crate::tools;
use crate::v8;
use crate::workspace::Workspace;

// All of them build the whole workspace in the release profile: one set of features, one set of artefacts.
const CLIPPY: [&str; 7] = ["clippy", "--release", "--workspace", "--all-targets", "--", "--deny", "warnings"];
const BUILD: [&str; 4] = ["build", "--release", "--workspace", "--all-targets"];
const NEXTEST: [&str; 4] = ["run", "--release", "--workspace", "--no-fail-fast"];

/// Runs one stage.
///
/// # Errors
///
/// When what it checks does not hold, or a tool that it needs is missing.
pub fn perform(workspace: &Workspace, stage: Stage) -> Result<(), Failure> {
    match stage {
        Stage::Format => run::shown(&mut cargo::command(workspace, &["fmt", "--all", "--check"])),
        Stage::V8 => v8::set_up(workspace),
        Stage::Apps => apps::build_all(workspace),
        Stage::Clippy => run::shown(&mut cargo::command(workspace, &CLIPPY)),
        Stage::Build => run::shown(&mut cargo::command(workspace, &BUILD)),
        Stage::Rust => {
            tools::require_services()?;
            run::shown(&mut tools::nextest(workspace, &NEXTEST)?)
        }
        Stage::Javascript => javascript(workspace),
        Stage::Browser => browser::run(workspace),
        Stage::Debugging => debugging::run(workspace),
        Stage::Instructions => run::shown(&mut bench::benches(workspace, &["instructions".into()])),
    }
}

fn javascript(workspace: &Workspace) -> Result<(), Failure> {
    tools::require_node()?;
    let package = workspace.app_package();
    npm::install("@isopod/app", &package)?;
    run::shown(&mut npm::command(&package, &["test"]))
}

#[cfg(test)]
mod tests {
    use super::{BUILD, CLIPPY, NEXTEST};
    use crate::cargo::RELEASE_BUILD;

    #[test]
    fn every_stage_builds_the_same_features_in_the_same_profile() {
        for arguments in [&CLIPPY[..], &BUILD, &NEXTEST, &RELEASE_BUILD] {
            assert!(arguments.contains(&"--workspace"), "{arguments:?}");
            assert!(arguments.contains(&"--release"), "{arguments:?}");
        }
    }
}
