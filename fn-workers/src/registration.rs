//! What may be wrong with a worker's registrations, and how it is told.

use std::fmt;
use std::io;
use std::panic::Location;

use crate::handler::StateType;

/// The longest name of a function, in bytes.
pub(crate) const MAX_NAME_BYTES: usize = 128;

/// Why a state could not be made.
pub type StateError = Box<dyn std::error::Error + Send + Sync>;

/// Why a worker cannot start.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// What was registered does not fit together.
    #[error("{}", list(.0))]
    Problems(Vec<RegistrationProblem>),
    /// A state cannot be made.
    #[error("the state {state} cannot be made")]
    State {
        /// Which.
        state: StateType,
        /// What making it failed with.
        source: StateError,
    },
    /// The threads for blocking work cannot be started.
    #[error("the threads for blocking work do not start")]
    Threads(#[from] io::Error),
}

fn list(problems: &[RegistrationProblem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// One wrong registration.
#[derive(Debug)]
pub enum RegistrationProblem {
    /// Two functions have one name.
    DuplicateName {
        /// The name.
        name: &'static str,
        /// Where it was registered first.
        first: &'static Location<'static>,
        /// Where it was registered again.
        second: &'static Location<'static>,
    },
    /// A name that does not fit a URL.
    Name {
        /// The name.
        name: &'static str,
        /// Where it was registered.
        at: &'static Location<'static>,
    },
    /// A function takes a state that was not registered.
    MissingState {
        /// The function.
        name: &'static str,
        /// Where it was registered.
        at: &'static Location<'static>,
        /// What it takes.
        state: StateType,
    },
    /// A path that is none.
    Path {
        /// The path.
        path: String,
        /// Where it was registered.
        at: &'static Location<'static>,
        /// What is wrong with it.
        error: String,
    },
    /// Two handlers for one path and method.
    DuplicateRoute {
        /// The path.
        path: String,
        /// The method.
        method: &'static str,
        /// Where it was registered first.
        first: &'static Location<'static>,
        /// Where it was registered again.
        second: &'static Location<'static>,
    },
    /// Two paths of which neither is the better match.
    Ambiguous {
        /// The path.
        path: String,
        /// The other.
        existing: String,
        /// Where the other was registered.
        first: &'static Location<'static>,
        /// Where this one was registered.
        second: &'static Location<'static>,
    },
    /// Two types have one name in TypeScript.
    TypeName {
        /// The name.
        name: String,
        /// One of them.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// Two states have one type.
    DuplicateState {
        /// The type.
        state: StateType,
    },
}

impl fmt::Display for RegistrationProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateName { name, first, second } => {
                write!(f, "two functions are named `{name}`: at {first} and at {second}")
            }
            Self::Name { name, at } => write!(
                f,
                "the function at {at} is named `{name}`: use 1 to {MAX_NAME_BYTES} letters, digits, `.`, `_` or `-`"
            ),
            Self::MissingState { name, at, state } => write!(
                f,
                "the function `{name}` at {at} takes a State of {state}, which is not registered: \
                 add `.state(Arc::new(..))`"
            ),
            Self::Path { path, at, error } => write!(f, "the route `{path}` at {at}: {error}"),
            Self::DuplicateRoute { path, method, first, second } => {
                write!(f, "{method} {path} is answered twice: at {first} and at {second}")
            }
            Self::Ambiguous { path, existing, first, second } => write!(
                f,
                "the route `{path}` at {second} and the route `{existing}` at {first} match the same paths"
            ),
            Self::TypeName { name, first, second } => write!(
                f,
                "`{first}` and `{second}` are both named `{name}` in TypeScript: rename one with `#[ts(rename = \"..\")]`"
            ),
            Self::DuplicateState { state } => {
                write!(f, "two states have the type {state}: wrap one in a type of its own")
            }
        }
    }
}
