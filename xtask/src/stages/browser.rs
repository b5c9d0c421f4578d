//! The apps, served by the gateway, in a browser.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use crate::apps;
use crate::demo;
use crate::error::Failure;
use crate::npm;
use crate::run;
use crate::server::Server;
use crate::tools;
use crate::workspace::Workspace;

/// What the suite visits: an app behind a gateway of its own.
struct Visited {
    app: &'static str,
    /// Tells the suite where it is.
    variable: &'static str,
    flags: &'static [&'static str],
    /// Whether its functions are those of the threads service.
    has_service: bool,
}

const VISITED: [Visited; 6] = [
    visited("threads-react", "ISOPOD_URL_REACT"),
    visited("threads-solid", "ISOPOD_URL_SOLID"),
    Visited { has_service: true, ..visited("threads-react", "ISOPOD_URL_SERVICE_REACT") },
    Visited { has_service: true, ..visited("threads-solid", "ISOPOD_URL_SERVICE_SOLID") },
    // A note that is written is there in the isolate that took it alone.
    Visited { flags: &["--renderers", "1"], ..visited("notes-react-router", "ISOPOD_URL_NOTES") },
    visited("notes-solid", "ISOPOD_URL_NOTES_SOLID"),
];

const fn visited(app: &'static str, variable: &'static str) -> Visited {
    Visited { app, variable, flags: &[], has_service: false }
}

const FREE_PORTS: [&str; 4] = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];

/// Starts a gateway for each app, runs the suite, and ends the gateways, which must end well.
///
/// # Errors
///
/// When a tool is missing, a gateway misbehaves, or a test fails.
pub fn run(workspace: &Workspace) -> Result<(), Failure> {
    tools::require_node()?;
    let chromium = tools::require_chromium()?;
    let suite = workspace.browser_suite();
    npm::install("browser", &suite)?;

    let known = apps::all(workspace)?;
    let mut gateways = Vec::new();
    for Visited { app: name, variable, flags, has_service } in VISITED {
        let app = known.iter().find(|app| app.name == name).ok_or_else(|| Failure::NoApp {
            path: workspace.apps().join(name),
            known: known.iter().map(|app| app.name.clone()).collect(),
        })?;
        let flags: Vec<_> = FREE_PORTS.iter().chain(flags).map(OsString::from).collect();
        let mut command = demo::gateway(workspace, &app.dist(), &flags);
        if has_service {
            demo::with_service(&mut command, workspace)?;
        }
        let log = workspace.log(&format!("gateway-{}", variable.to_lowercase()));
        gateways.push((variable, Server::start(&format!("the gateway for {name}"), command, &log)?));
    }

    let addresses = gateways.iter().map(|(variable, gateway)| (*variable, gateway.address()));
    let mut tests = tests(&suite, &chromium, addresses);
    tests.env("ISOPOD_THREADS_WORKER", workspace.release_binary(demo::SERVICE_WORKER));
    let tested = run::shown(&mut tests);
    // The gateways are stopped after failing tests too; the first failure is the one to report.
    let stopped = gateways.into_iter().map(|(_, gateway)| gateway.stop());
    std::iter::once(tested).chain(stopped).collect::<Vec<_>>().into_iter().collect()
}

fn tests<'a>(suite: &Path, chromium: &Path, addresses: impl Iterator<Item = (&'a str, &'a str)>) -> Command {
    let mut tests = npm::command(suite, &["test"]);
    tests.env("CHROMIUM", chromium).envs(addresses);
    tests
}
