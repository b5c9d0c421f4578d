//! Who is measured: how each is installed, and how it serves an app's build.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;
use xtask::apps::App;
use xtask::demo;
use xtask::error::Failure;
use xtask::npm;
use xtask::run;
use xtask::server::Server;
use xtask::workspace::Workspace;

use crate::machine;

/// Isopod's options: what fits on one core.
const ONE_CORE: [&str; 14] = [
    "--listen",
    "127.0.0.1:0",
    "--admin",
    "127.0.0.1:0",
    "--threads",
    "1",
    "--renderers",
    "1",
    "--spares",
    "0",
    "--isolates",
    "1",
    "--fn-workers",
    "0",
];

/// A server beside Isopod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Rival {
    /// Node 26 with srvx, one process.
    Node26,
}

/// A server that takes part.
#[derive(Debug, Clone)]
pub enum Contestant {
    /// The gateway of the release build, with one renderer.
    Isopod,
    /// A Node binary that runs srvx.
    Node(PathBuf),
}

impl Contestant {
    /// Installs a rival below the checkout's git-ignored `.cache`.
    ///
    /// # Errors
    ///
    /// When npm fails.
    pub fn install(rival: Rival, cache: &Path) -> Result<Self, Failure> {
        match rival {
            Rival::Node26 => node(cache, "26").map(Self::Node),
        }
    }

    /// As tables and reports name it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Isopod => "isopod",
            Self::Node(_) => "node26+srvx",
        }
    }

    /// What it says of its version; empty when it says nothing.
    pub fn version(&self, workspace: &Workspace) -> String {
        let program = match self {
            Self::Isopod => workspace.release_binary("gateway"),
            Self::Node(node) => node.clone(),
        };
        run::output(Command::new(program).arg("--version"))
            .map(|text| text.trim().to_owned())
            .unwrap_or_default()
    }

    /// The command that serves an app's build on a port of the system's choice.
    pub fn command(&self, workspace: &Workspace, app: &App) -> Command {
        match self {
            Self::Isopod => demo::gateway(workspace, &app.dist(), &ONE_CORE.map(OsString::from)),
            Self::Node(node) => {
                let mut serve = Command::new(node);
                serve.arg(workspace.apps().join("serve-node.mjs")).arg(&app.directory).arg("0");
                serve.env("NODE_ENV", "production");
                serve
            }
        }
    }

    /// Starts it with its whole process tree on one core.
    ///
    /// # Errors
    ///
    /// When it does not become ready.
    pub fn start(&self, workspace: &Workspace, app: &App, core: usize) -> Result<Server, Failure> {
        let command = machine::pinned(core, &self.command(workspace, app));
        let log = workspace.log(&format!("bench-{}-{}", self.name(), app.name));
        Server::start(&format!("{} for {}", self.name(), app.name), command, &log)
    }
}

/// Node of a major version, from npm.
fn node(cache: &Path, major: &str) -> Result<PathBuf, Failure> {
    let directory = cache.join(format!("node{major}"));
    let binary = directory.join("node_modules/node/bin/node");
    if binary.is_file() {
        return Ok(binary);
    }
    fs::create_dir_all(&directory).map_err(Failure::file("create", &directory))?;
    // Without a manifest npm would install into the next package above.
    let manifest = directory.join("package.json");
    fs::write(&manifest, "{ \"private\": true }\n").map_err(Failure::file("write", &manifest))?;
    let package = format!("node@{major}");
    let install = npm::command(&directory, &["install", "--no-audit", "--no-fund", &package]);
    run::quietly(&format!("installing {package}"), install)?;
    Ok(binary)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use xtask::apps::App;
    use xtask::run;
    use xtask::workspace::Workspace;

    use super::Contestant;

    #[test]
    fn every_contestant_serves_the_same_build() {
        let workspace = Workspace { root: PathBuf::from("/c"), target: PathBuf::from("/t") };
        let app = App { name: "one".to_owned(), directory: PathBuf::from("/c/tests/apps/one") };
        let command =
            |contestant: Contestant| run::describe(&contestant.command(&workspace, &app)).to_owned();

        let isopod = command(Contestant::Isopod);
        assert!(isopod.starts_with("/t/release/gateway --app /c/tests/apps/one/dist --listen 127.0.0.1:0"));
        assert!(isopod.ends_with("--threads 1 --renderers 1 --spares 0 --isolates 1 --fn-workers 0"));
        assert_eq!(
            command(Contestant::Node(PathBuf::from("/n/node"))),
            "/n/node /c/tests/apps/serve-node.mjs /c/tests/apps/one 0"
        );
    }
}
