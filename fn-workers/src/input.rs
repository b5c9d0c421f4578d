//! What a call was sent, before it has a type.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::{FunctionError, Invalid};
use crate::json;
use crate::seroval::{Document, Error, ErrorKind, Form, Limits, Reader};
use crate::strings::Strings;

/// The input of a call, and what was sent beside it.
#[derive(Debug, Clone)]
pub(crate) enum Payload {
    /// Nothing.
    None,
    /// The input as JSON.
    Json(Bytes),
    /// Names and texts: a path's parameters.
    Strings(Arc<[(String, String)]>),
    /// What TanStack Start's client sends: seroval's document of `{ data, context }`.
    Start(Bytes),
}

impl Payload {
    /// Bytes that came.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::None | Self::Strings(_) => 0,
            Self::Json(bytes) | Self::Start(bytes) => bytes.len(),
        }
    }

    /// The input.
    ///
    /// # Errors
    /// 400 with the position when it is malformed, 413 when it exceeds a limit, 422 with the path when it is of
    /// another type.
    pub(crate) fn read_input<T: DeserializeOwned>(&self) -> Result<T, FunctionError> {
        match self {
            Self::None => json::read_absent(),
            Self::Json(bytes) => json::read(bytes),
            Self::Strings(pairs) => read_strings(pairs),
            Self::Start(bytes) => match read_member(bytes, "data")? {
                Some(input) => Ok(input),
                None => json::read_absent(),
            },
        }
    }

    /// What was sent beside the input.
    ///
    /// # Errors
    /// As [`Payload::read_input`].
    pub(crate) fn read_context<T: DeserializeOwned>(&self) -> Result<Option<T>, FunctionError> {
        match self {
            Self::None | Self::Json(_) | Self::Strings(_) => Ok(None),
            Self::Start(bytes) => read_member(bytes, "context"),
        }
    }
}

/// Names and texts as a type.
pub(crate) fn read_strings<T: DeserializeOwned>(pairs: &[(String, String)]) -> Result<T, FunctionError> {
    serde_path_to_error::deserialize(Strings(pairs)).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { "input".to_owned() } else { path };
        Invalid::field(field, error.inner().to_string()).into()
    })
}

fn read_member<T: DeserializeOwned>(bytes: &[u8], name: &str) -> Result<Option<T>, FunctionError> {
    let document = Document::read(bytes, Form::Document, &Limits::default()).map_err(refused)?;
    let Some(member) = Reader::new(&document).member(name).map_err(refused)? else { return Ok(None) };
    if Option::<serde::de::IgnoredAny>::deserialize(member).map_err(refused)?.is_none() {
        return Ok(None);
    }
    let value = serde_path_to_error::deserialize(member).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        if inner.kind() != ErrorKind::Data {
            return refused(inner);
        }
        let field = if path == "." { "input".to_owned() } else { path };
        Invalid::field(field, inner.to_string()).into()
    })?;
    Ok(Some(value))
}

fn refused(error: Error) -> FunctionError {
    let message = format!("the input cannot be read: {error}");
    match error.kind() {
        ErrorKind::Malformed => FunctionError::new(400, message),
        ErrorKind::TooLarge => FunctionError::new(413, message),
        ErrorKind::Data => FunctionError::new(422, message),
    }
}
