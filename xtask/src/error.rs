//! What can go wrong, each with what to do about it.

use std::error::Error;
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use thiserror::Error;

use crate::run;
use crate::v8::V8Failure;

/// Why a command of xtask ended without success.
#[derive(Debug, Error)]
pub enum Failure {
    /// A file could not be read or written.
    #[error("cannot {doing} {}", path.display())]
    File {
        /// An infinitive: `read`, `write`.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A program did not start.
    #[error("cannot run `{command}`")]
    Spawn {
        /// The command as a person would type it.
        command: String,
        /// What the system said.
        source: io::Error,
    },
    /// A program ended without success; its output was shown.
    #[error("`{command}` failed: {status}")]
    Command {
        /// The command as a person would type it.
        command: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// A program is needed and is not on PATH.
    #[error("{tool} is not on PATH")]
    MissingTool {
        /// The program.
        tool: &'static str,
        /// The command that installs it.
        install: String,
    },
    /// A program is too old.
    #[error("{tool} is version {found}; {wanted} or newer is needed")]
    OldTool {
        /// The program.
        tool: &'static str,
        /// Its version.
        found: String,
        /// The oldest that will do.
        wanted: String,
        /// The command that installs it.
        install: String,
    },
    /// A program or a file said something that is not understood.
    #[error("{what} is not understood")]
    Unreadable {
        /// Whose words, and which.
        what: String,
        /// What is wrong with them.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The V8 library.
    #[error(transparent)]
    V8(#[from] V8Failure),
    /// No app of that name or in that place.
    #[error("there is no built app in {}", path.display())]
    NoApp {
        /// Where it was looked for.
        path: PathBuf,
        /// The test apps that exist.
        known: Vec<String>,
    },
    /// A build ended well without the files that it is for.
    #[error("the build of {app} left no {}", file.display())]
    EmptyBuild {
        /// The app's name.
        app: String,
        /// What is not there.
        file: PathBuf,
    },
    /// A server did not serve, or did not end well.
    #[error("{name} {problem}")]
    Server {
        /// Which server.
        name: String,
        /// What it did, or did not.
        problem: String,
        /// Where its output is.
        log: PathBuf,
    },
    /// A stage failed; why was said when it did.
    #[error("stage {0} failed")]
    Stage(String),
}

impl Failure {
    /// For `map_err` on file operations.
    pub fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { doing, path, source }
    }

    /// For `map_err` on a command that was to be started.
    pub fn spawn(command: &Command) -> impl FnOnce(io::Error) -> Self {
        let command = run::describe(command);
        move |source| Self::Spawn { command, source }
    }

    /// For `map_err` on parsers.
    pub fn unreadable<E: Into<Box<dyn Error + Send + Sync>>>(
        what: impl Into<String>,
    ) -> impl FnOnce(E) -> Self {
        let what = what.into();
        move |source| Self::Unreadable { what, source: source.into() }
    }

    /// What to do, where more can be said than the failure says itself.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::MissingTool { install, .. } | Self::OldTool { install, .. } => {
                Some(format!("install it: {install}"))
            }
            Self::V8(failure) => Some(failure.remedy()),
            Self::NoApp { path, known } => Some(format!(
                "run `npm run build` in {}, or name a test app: {}",
                path.display(),
                known.join(", ")
            )),
            Self::EmptyBuild { app, .. } => Some(format!(
                "see that the vite config of {app} writes to `dist`, with client and ssr builds"
            )),
            Self::Server { log, .. } => Some(format!("read its output in {}", log.display())),
            Self::Stage(name) => Some(format!("mend it, then run `cargo xtask test --stage {name}`")),
            _ => None,
        }
    }

    /// The whole story for a terminal: what, why, what to do.
    pub fn report(&self) -> String {
        let mut text = format!("error: {self}");
        let mut source = self.source();
        while let Some(cause) = source {
            // Writing to a String cannot fail.
            let _infallible = write!(text, "\n  because: {cause}");
            source = cause.source();
        }
        if let Some(remedy) = self.remedy() {
            let _infallible = write!(text, "\n  to do: {remedy}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;

    use super::Failure;

    #[test]
    fn a_report_says_what_why_and_what_to_do() {
        let missing = Failure::MissingTool { tool: "node", install: "apt-get install nodejs".to_owned() };
        assert_eq!(
            missing.report(),
            "error: node is not on PATH\n  to do: install it: apt-get install nodejs"
        );

        let unread = Failure::file("read", Path::new("Cargo.lock"))(io::Error::other("disk on fire"));
        assert_eq!(unread.report(), "error: cannot read Cargo.lock\n  because: disk on fire");
    }
}
