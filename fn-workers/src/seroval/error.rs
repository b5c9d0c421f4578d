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
pub struct Error {
    kind: ErrorKind,
    /// The byte at which it was noticed, where the text is at fault.
    at: Option<usize>,
    message: String,
}

impl Error {
    pub(super) fn malformed(at: usize, message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Malformed, at: Some(at), message: message.into() }
    }

    pub(super) fn too_large(at: usize, message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::TooLarge, at: Some(at), message: message.into() }
    }

    pub(super) fn data(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Data, at: None, message: message.into() }
    }

    /// The same, with a place in the text unless it has one.
    pub(super) fn or_at(mut self, at: usize) -> Self {
        self.at.get_or_insert(at);
        self
    }

    /// What kind of fault it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The byte of the text at which it was noticed.
    pub fn position(&self) -> Option<usize> {
        self.at
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match self.at {
            Some(at) if self.kind != ErrorKind::Data => write!(f, " at byte {at}"),
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
