//! Why a text is no value, or a value no text.

use std::fmt;

/// What kind of fault it is; each has its own answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The text is no JSON, or not seroval's.
    Malformed,
    /// It exceeds a limit.
    TooLarge,
    /// It is well-formed, but not of the type that was asked for; or a value that this form cannot hold.
    Data,
}

/// A fault, and where in the text it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(
    /// A pointer: results without a fault, of which each value makes several, stay small.
    Box<Fault>,
);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Fault {
    kind: ErrorKind,
    /// The byte at which it was noticed, where the text is at fault.
    at: Option<usize>,
    message: String,
}

impl Error {
    #[cold]
    fn new(kind: ErrorKind, at: Option<usize>, message: String) -> Self {
        Self(Box::new(Fault { kind, at, message }))
    }

    pub(super) fn malformed(at: usize, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Malformed, Some(at), message.into())
    }

    pub(super) fn too_large(at: usize, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::TooLarge, Some(at), message.into())
    }

    pub(super) fn data(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Data, None, message.into())
    }

    /// The same, with a place in the text unless it has one.
    pub(super) fn or_at(mut self, at: usize) -> Self {
        self.0.at.get_or_insert(at);
        self
    }

    /// What kind of fault it is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The byte of the text at which it was noticed.
    pub fn position(&self) -> Option<usize> {
        self.0.at
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        match self.0.at {
            Some(at) if self.0.kind != ErrorKind::Data => write!(f, " at byte {at}"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

impl serde::de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::data(message.to_string())
    }
}

impl serde::ser::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::data(message.to_string())
    }
}
