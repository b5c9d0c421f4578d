//! Sets up and builds for the benches, then becomes their binary.

use std::ffi::OsString;
use std::process::Command;

use crate::apps;
use crate::cargo::{self, RELEASE_BUILD};
use crate::error::Failure;
use crate::npm;
use crate::run;
use crate::tools;
use crate::v8;
use crate::workspace::Workspace;

/// Builds everything that is measured and hands over; a call for help builds the benches alone.
///
/// # Errors
///
/// When a step fails; after the last one it does not return.
pub fn run(workspace: &Workspace, args: &[OsString]) -> Result<(), Failure> {
    if asks_for_help(args) {
        let mut help =
            cargo::command(workspace, &["run", "--quiet", "--package", "benches", "--bin", "benches", "--"]);
        help.args(args);
        match run::replace(help)? {}
    }
    tools::require_c_linker()?;
    v8::set_up(workspace)?;
    apps::build_all(workspace)?;
    // The rivals' server for the apps' builds has packages of its own.
    npm::install("rivals", &workspace.apps())?;
    run::shown(&mut cargo::command(workspace, &RELEASE_BUILD))?;
    match run::replace(benches(workspace, args))? {}
}

fn asks_for_help(args: &[OsString]) -> bool {
    args.iter().any(|arg| arg == "--help" || arg == "-h" || arg == "help")
}

/// The benches of the release build, told where things are.
pub fn benches(workspace: &Workspace, args: &[OsString]) -> Command {
    let mut benches = Command::new(workspace.release_binary("benches"));
    benches.arg("--root").arg(&workspace.root).arg("--target").arg(&workspace.target).args(args);
    benches
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::asks_for_help;

    #[test]
    fn help_is_told_from_a_bench() {
        let words = |line: &str| line.split_whitespace().map(OsString::from).collect::<Vec<_>>();
        assert!(!asks_for_help(&words("")), "no name is all scenarios");
        assert!(asks_for_help(&words("hello --help")));
        assert!(!asks_for_help(&words("hello --seconds 3")));
    }
}
