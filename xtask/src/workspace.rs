//! Where things are: the checkout and cargo's output.

use std::path::PathBuf;
use std::process::Command;

use serde::Deserialize;

use crate::cargo;
use crate::error::Failure;
use crate::run;

/// The checkout that xtask works on, and where cargo builds it.
#[derive(Debug, Clone, Deserialize)]
pub struct Workspace {
    /// The directory of the root `Cargo.toml`, absolute.
    #[serde(rename = "workspace_root")]
    pub root: PathBuf,
    /// Cargo's output, absolute; follows `CARGO_TARGET_DIR` and cargo's configuration.
    #[serde(rename = "target_directory")]
    pub target: PathBuf,
}

impl Workspace {
    /// Asks cargo.
    ///
    /// # Errors
    ///
    /// When cargo does not answer, as outside of a checkout.
    pub fn find() -> Result<Self, Failure> {
        let mut metadata = Command::new(cargo::program());
        metadata.args(["metadata", "--no-deps", "--format-version", "1"]);
        serde_json::from_str(&run::output(&mut metadata)?)
            .map_err(Failure::unreadable("the answer of `cargo metadata`"))
    }

    /// The directory of the test apps.
    pub fn apps(&self) -> PathBuf {
        self.root.join("tests/apps")
    }

    /// The browser suite, a package of npm.
    pub fn browser_suite(&self) -> PathBuf {
        self.root.join("tests/browser")
    }

    /// The suite of what developers look inside with, a package of npm.
    pub fn debugging_suite(&self) -> PathBuf {
        self.root.join("tests/debugging")
    }

    /// The npm package that apps import.
    pub fn app_package(&self) -> PathBuf {
        self.root.join("renderer-pool/js")
    }

    /// A binary of the release build.
    pub fn release_binary(&self, name: &str) -> PathBuf {
        self.target.join("release").join(name)
    }

    /// Where tools live that xtask installs for itself.
    pub fn tools(&self) -> PathBuf {
        self.target.join("xtask/tools")
    }

    /// The output of a process that a stage ran.
    pub fn log(&self, name: &str) -> PathBuf {
        self.target.join("xtask/logs").join(name).with_extension("log")
    }
}
