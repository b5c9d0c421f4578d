//! Profiles, heap snapshots and the inspector, read by the programs that people read them with.

use crate::error::Failure;
use crate::npm;
use crate::run;
use crate::tools;
use crate::workspace::Workspace;

/// Runs the suite, which starts its own gateways.
///
/// # Errors
///
/// When a tool is missing, or a test fails.
pub fn run(workspace: &Workspace) -> Result<(), Failure> {
    tools::require_node()?;
    let chromium = tools::require_chromium()?;
    let suite = workspace.debugging_suite();
    npm::install("debugging", &suite)?;
    let mut tests = npm::command(&suite, &["test"]);
    tests.env("CHROMIUM", chromium).env("ISOPOD_GATEWAY", workspace.release_binary("gateway"));
    run::shown(&mut tests)
}
