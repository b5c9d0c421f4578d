//! Why the pool does not start, and why a job has no whole response.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use shared::message::control::{LoadFailure, SetupRefusal};

use super::slot::ChildKind;
use crate::admission::RefusalReason;

/// The pool cannot start.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StartError {
    /// The app cannot run; another start would fail as well.
    #[error("{}: {}; {}", .0.file, .0.problem, .0.remedy)]
    Load(LoadFailure),
    /// A renderer does not take its setup; another start would fail as well.
    #[error("{0}")]
    Setup(SetupRefusal),
    /// There is no place for temporary files.
    #[error("no directory can be made in {}, where the renderers' temporary files go", path.display())]
    Scratch {
        /// Where.
        path: PathBuf,
        /// Why.
        source: Arc<io::Error>,
    },
    /// A child's program is not there.
    #[error("`{}` is not there: build it, or say in the config where it is", path.display())]
    NoProgram {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A child process could not be made.
    #[error("`{}` cannot be started", path.display())]
    Spawn {
        /// The child's program.
        path: PathBuf,
        /// Why.
        source: Arc<io::Error>,
    },
    /// A child ended again and again before it was ready.
    #[error("{} {slot} does not start: {reason}", kind.label())]
    Child {
        /// What it is.
        kind: ChildKind,
        /// Which.
        slot: usize,
        /// How it ended the last time.
        reason: String,
    },
    /// The pool was stopped before it was ready.
    #[error("stopped before it was ready")]
    Stopped,
}

impl StartError {
    /// The gateway's exit code: 64 for flags that V8 does not know, 65 for a bad app build,
    /// 69 for something that is not there, 70 for our own fault.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Load(_) => 65,
            Self::Setup(SetupRefusal::V8Flags(_)) => 64,
            Self::NoProgram { .. } | Self::Scratch { .. } => 69,
            Self::Setup(SetupRefusal::Sandbox(_)) => 69,
            Self::Spawn { .. } | Self::Child { .. } | Self::Stopped => 70,
        }
    }
}

/// Another build of the app does not take the place of the one that runs.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RollError {
    /// One is on its way already.
    #[error("another build is taking over already")]
    Busy,
    /// The app cannot run.
    #[error("{}: {}; {}", .0.file, .0.problem, .0.remedy)]
    Load(LoadFailure),
    /// A renderer ended before it had loaded the build.
    #[error("a renderer ended before it had loaded the build: {0}")]
    Ended(String),
    /// The pool was stopped meanwhile.
    #[error("the gateway stops")]
    Stopped,
}

/// Why a request's body did not come whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestBodyError {
    /// It is longer than it may be.
    #[error("the request's body is too large")]
    TooLarge,
    /// The client broke it off, or it is not what its framing promises.
    #[error("the request's body broke off")]
    Broken,
    /// It came too slowly.
    #[error("the request's body came too slowly")]
    Timeout,
}

/// Why a job has no whole response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// It was not run.
    #[error("the job was refused")]
    Refused(#[source] RefusalReason),
    /// Its isolate was lost.
    #[error("the isolate was lost")]
    Lost,
    /// The bundle threw.
    #[error("the bundle threw")]
    Threw,
    /// It ran too long in one turn and was terminated.
    #[error("the job ran too long without a pause")]
    TurnLimit,
    /// It filled its isolate's heap and was terminated.
    #[error("the job filled the heap")]
    HeapLimit,
    /// The request's body is longer than it may be.
    #[error("the request's body is too large")]
    BodyTooLarge,
    /// The request's body did not come whole.
    #[error("the request's body broke off")]
    BodyBroken,
    /// The request's body came too slowly.
    #[error("the request's body came too slowly")]
    BodyTimeout,
    /// Its time was over.
    #[error("the job's time was over")]
    Timeout,
    /// The app leaves the request to the gateway.
    #[error("the app skipped the request")]
    Skipped,
    /// The app wants no answer to be sent.
    #[error("the app dropped the request")]
    Dropped,
    /// The isolate did what it must not do.
    #[error("the isolate broke the protocol")]
    Protocol,
}

impl RenderError {
    /// The value of the metrics' `cause` label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Lost => "lost",
            Self::Threw => "threw",
            Self::TurnLimit => "turn_limit",
            Self::HeapLimit => "heap_limit",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyBroken => "body_broken",
            Self::BodyTimeout => "body_timeout",
            Self::Timeout => "timeout",
            Self::Skipped => "skipped",
            Self::Dropped => "dropped",
            Self::Protocol => "protocol",
        }
    }
}

impl From<RequestBodyError> for RenderError {
    fn from(error: RequestBodyError) -> Self {
        match error {
            RequestBodyError::TooLarge => Self::BodyTooLarge,
            RequestBodyError::Broken => Self::BodyBroken,
            RequestBodyError::Timeout => Self::BodyTimeout,
        }
    }
}

/// Why a request has no response by an fn worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NativeError {
    /// No worker is ready.
    #[error("no fn worker is ready")]
    Unavailable,
    /// The workers have as many calls as they may.
    #[error("the fn workers are busy")]
    Busy,
    /// Its worker was lost.
    #[error("the fn worker was lost")]
    Lost,
    /// The worker gave it up.
    #[error("the fn worker gave the request up")]
    Failed,
    /// Its time was over.
    #[error("the fn worker took too long")]
    Timeout,
    /// The request's body did not come whole.
    #[error(transparent)]
    Body(RequestBodyError),
}

impl NativeError {
    /// The value of the metrics' `outcome` label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Busy => "refused",
            Self::Lost => "lost",
            Self::Failed | Self::Body(_) => "failed",
            Self::Timeout => "timeout",
        }
    }
}
