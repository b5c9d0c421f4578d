//! Who is measured: how each is installed, and how it serves an app's build.
//!
//! - [`recipe`]: the rivals as data.
//! - [`launch`]: the command that serves an app, and how one knows that it does.

pub mod launch;
pub mod recipe;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;
use xtask::apps::App;
use xtask::error::Failure;
use xtask::npm;
use xtask::run;
use xtask::server::Server;
use xtask::tools;
use xtask::workspace::Workspace;

use crate::error::BenchFailure;
use crate::machine;
use launch::{Launch, Place};
use recipe::{Binary, Recipe, Serves};

/// A server beside Isopod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Rival {
    /// Node 26 with srvx, one process.
    Node26,
    /// Node 26 with srvx, a cluster of two workers.
    Node26Cluster,
    /// Watt (wattpm) on Node 26, two workers.
    Watt,
    /// Bun, static files from memory.
    Bun,
    /// Deno, static files from memory.
    Deno,
    /// workerd; it serves no static files.
    Workerd,
    /// Nitro's node-cluster preset.
    Nitro,
    /// nginx; static files alone.
    Nginx,
    /// actix-web with nothing around it, static files from memory: the gateway's floor.
    Actix,
}

/// A server that takes part.
#[derive(Debug, Clone)]
pub struct Contestant {
    rival: Option<(Rival, PathBuf)>,
}

impl Contestant {
    /// The gateway of the release build.
    pub const ISOPOD: Self = Self { rival: None };

    /// Installs a rival below the checkout's git-ignored `.cache`.
    ///
    /// # Errors
    ///
    /// When npm fails, a program is missing, or the rival cannot run such builds.
    pub fn install(rival: Rival, workspace: &Workspace, cache: &Path) -> Result<Self, BenchFailure> {
        let recipe = rival.recipe();
        if let Some(reason) = recipe.cannot {
            return Err(BenchFailure::Unfit { rival: recipe.name, reason });
        }
        install_packages(cache, recipe)?;
        let program = match recipe.binary {
            Binary::Npm { directory, path } => cache.join(directory).join(path),
            Binary::System => tools::require_nginx()?,
            Binary::Own => workspace.release_binary("benches"),
        };
        Ok(Self { rival: Some((rival, program)) })
    }

    /// Whether it is Isopod.
    pub fn is_isopod(&self) -> bool {
        self.rival.is_none()
    }

    /// Whether it runs the app's bundle.
    pub fn serves_documents(&self) -> bool {
        self.recipe().is_none_or(|recipe| recipe.serves != Serves::Static)
    }

    /// What is known of it; `None` for Isopod.
    pub fn recipe(&self) -> Option<&'static Recipe> {
        self.rival.as_ref().map(|(rival, _)| rival.recipe())
    }

    /// As tables and reports name it.
    pub fn name(&self) -> &'static str {
        self.recipe().map_or("isopod", |recipe| recipe.name)
    }

    /// What it says of its version; empty when it says nothing.
    pub fn version(&self, workspace: &Workspace) -> String {
        let asked = match &self.rival {
            None => run::output(Command::new(workspace.release_binary("gateway")).arg("--version")),
            Some((rival, _)) if !rival.recipe().packages.is_empty() => {
                return rival.recipe().packages.join(", ");
            }
            Some((_, program)) => return launch::said_version(program),
        };
        asked.map(|text| text.trim().to_owned()).unwrap_or_default()
    }

    /// Starts it with its whole process tree on some cores.
    ///
    /// # Errors
    ///
    /// When it does not become ready.
    pub fn start(
        &self,
        workspace: &Workspace,
        app: &App,
        cores: &str,
        how: Way,
    ) -> Result<Started, BenchFailure> {
        let cache = workspace.root.join(".cache/bench");
        let Way { processes } = how;
        let launch = launch::of(self, &Place { workspace, app, cache: &cache, processes })?;
        self.launch(workspace, app, cores, launch)
    }

    /// Starts Isopod on one core with an admin port that looks into isolates.
    ///
    /// # Errors
    ///
    /// When it does not become ready.
    pub fn start_for_profile(workspace: &Workspace, app: &App, core: usize) -> Result<Started, BenchFailure> {
        let cache = workspace.root.join(".cache/bench");
        let place = Place { workspace, app, cache: &cache, processes: 1 };
        let mut launch = launch::of(&Self::ISOPOD, &place)?;
        launch.command.env("ISOPOD_DEBUG_ENDPOINTS", "true");
        Self::ISOPOD.launch(workspace, app, &core.to_string(), launch)
    }

    fn launch(
        &self,
        workspace: &Workspace,
        app: &App,
        cores: &str,
        launch: Launch,
    ) -> Result<Started, BenchFailure> {
        let described = run::describe(&launch.command);
        let command = machine::pinned_to(cores, &launch.command);
        let log = workspace.log(&format!("bench-{}-{}", self.name(), app.name));
        let name = format!("{} for {}", self.name(), app.name);
        let server = match launch.address {
            None => Server::start(&name, command, &log)?,
            Some(address) => Server::start_at(&name, command, &log, &address)?,
        };
        Ok(Started { server, command: described })
    }
}

/// How a contestant is started.
#[derive(Debug, Clone, Copy)]
pub struct Way {
    /// How many processes run the bundle, where a server has a choice.
    pub processes: usize,
}

impl Way {
    /// One process.
    pub const ALONE: Self = Self { processes: 1 };
}

/// A server that serves.
#[derive(Debug)]
pub struct Started {
    /// The process.
    pub server: Server,
    /// How it was started, without the cores.
    pub command: String,
}

/// Node of the rivals' version, from npm.
///
/// # Errors
///
/// When npm fails.
pub fn node(cache: &Path) -> Result<PathBuf, Failure> {
    let recipe = Rival::Node26.recipe();
    install_packages(cache, recipe)?;
    Ok(cache.join(recipe::NODE))
}

/// Installs each directory of packages that is not there yet.
fn install_packages(cache: &Path, recipe: &Recipe) -> Result<(), Failure> {
    for (name, packages) in recipe.directories() {
        let directory = cache.join(name);
        let stamp = directory.join(".isopod-installed");
        let wanted = packages.join(" ");
        if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
            continue;
        }
        fs::create_dir_all(&directory).map_err(Failure::file("create", &directory))?;
        // Without a manifest npm would install into the next package above.
        let manifest = directory.join("package.json");
        fs::write(&manifest, "{ \"private\": true }\n").map_err(Failure::file("write", &manifest))?;
        let mut arguments = vec!["install", "--no-audit", "--no-fund"];
        arguments.extend(packages);
        run::quietly(&format!("installing {wanted}"), npm::command(&directory, &arguments))?;
        fs::write(&stamp, wanted).map_err(Failure::file("write", &stamp))?;
    }
    Ok(())
}
