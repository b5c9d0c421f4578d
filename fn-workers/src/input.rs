//! What a call was sent, before it has a type.

use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use shared::message::control::Refusal;

use crate::error::{FunctionError, Invalid};
use crate::form::Fields;
use crate::json;
use crate::refusals;
use crate::seroval::{self, Document, Error, ErrorKind, Form, Limits, Reader};
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
    /// seroval's document of the input.
    Serialized(Bytes),
    /// A form.
    Form(Arc<Fields>),
}

impl Payload {
    /// Bytes that came and were not looked at yet; a form was, while it came.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::None | Self::Strings(_) | Self::Form(_) => 0,
            Self::Json(bytes) | Self::Start(bytes) | Self::Serialized(bytes) => bytes.len(),
        }
    }

    /// The input.
    ///
    /// # Errors
    /// 400 with the position when it is malformed, 413 when it exceeds a limit, 422 with the path when it is of
    /// another type.
    pub(crate) fn read_input<T: DeserializeOwned>(&self, limits: &Limits) -> Result<T, FunctionError> {
        match self {
            Self::None => json::read_absent(),
            Self::Json(bytes) => json::read(bytes),
            Self::Strings(pairs) => read_strings(Strings::of(pairs)),
            Self::Form(form) => read_strings(Strings { texts: &form.texts, files: &form.files }),
            Self::Start(bytes) => {
                read_member(bytes, Some("data"), limits)?.map_or_else(json::read_absent, Ok)
            }
            Self::Serialized(bytes) => read_member(bytes, None, limits)?.map_or_else(json::read_absent, Ok),
        }
    }

    /// What was sent beside the input.
    ///
    /// # Errors
    /// As [`Payload::read_input`].
    pub(crate) fn read_context<T: DeserializeOwned>(
        &self,
        limits: &Limits,
    ) -> Result<Option<T>, FunctionError> {
        match self {
            Self::None | Self::Json(_) | Self::Strings(_) | Self::Serialized(_) => Ok(None),
            Self::Start(bytes) => read_member(bytes, Some("context"), limits),
            // There it is the whole document.
            Self::Form(form) => match &form.context {
                Some(context) => read_member(context.as_bytes(), None, limits),
                None => Ok(None),
            },
        }
    }
}

/// Names and texts as a type.
pub(crate) fn read_strings<T: DeserializeOwned>(strings: Strings<'_>) -> Result<T, FunctionError> {
    serde_path_to_error::deserialize(strings).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { "input".to_owned() } else { path };
        Invalid::field(field, error.inner().to_string()).into()
    })
}

/// A member of a document, or the whole of it; nothing where it is absent or `null`.
fn read_member<T: DeserializeOwned>(
    bytes: &[u8],
    name: Option<&str>,
    limits: &Limits,
) -> Result<Option<T>, FunctionError> {
    if let Some(value) = seroval::read_plain(bytes, name, limits) {
        return Ok(Some(value));
    }
    let document = Document::read(bytes, Form::Document, limits).map_err(refused)?;
    let Some(member) = present(&document, name).map_err(refused)? else { return Ok(None) };
    T::deserialize(member).map(Some).map_err(|error| match error.kind() {
        ErrorKind::Data => misfit::<T>(bytes, name, limits, error),
        _ => refused(error),
    })
}

/// The value that is to be read, unless it is absent or `null`.
fn present<'d, 't>(document: &'d Document<'t>, name: Option<&str>) -> Result<Option<Reader<'d, 't>>, Error> {
    let whole = Reader::new(document);
    let member = match name {
        None => Some(whole),
        Some(name) => whole.member(name)?,
    };
    match member {
        Some(member) if member.is_absent()? => Ok(None),
        member => Ok(member),
    }
}

/// A value of another type: reads once more for the field's path, which costs more than all the rest of a reading.
#[cold]
fn misfit<T: DeserializeOwned>(
    bytes: &[u8],
    name: Option<&str>,
    limits: &Limits,
    error: Error,
) -> FunctionError {
    // What may come out is counted with the document, which is read anew therefore.
    let read = Document::read(bytes, Form::Document, limits);
    let path = read.ok().and_then(|document| {
        let member = present(&document, name).ok()??;
        serde_path_to_error::deserialize::<_, T>(member).err().map(|error| error.path().to_string())
    });
    let field = path.filter(|path| path != ".").unwrap_or_else(|| "input".to_owned());
    Invalid::field(field, error.to_string()).into()
}

fn refused(error: Error) -> FunctionError {
    let message = format!("the input cannot be read: {error}");
    match error.kind() {
        ErrorKind::Malformed => refusals::refuse(Refusal::ValueMalformed, message),
        ErrorKind::TooLarge => refusals::refuse(Refusal::ValueLimit, message),
        ErrorKind::Data => FunctionError::new(422, message),
    }
}
