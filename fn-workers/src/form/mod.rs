//! Forms: `multipart/form-data` and `application/x-www-form-urlencoded`, as browsers and TanStack Start's client send
//! them.
//!
//! ```text
//! request's body -> multipart   one part after the other, under the upload's window
//!                     |  texts  in memory, each and all of them within limits
//!                     |  files  in memory up to `spill_bytes`, then in an unlinked temporary file
//!                     v
//!                   Fields  ->  the handler's type, by field names
//! ```
//!
//! A handler takes a form as any other input; a file is a [`FormFile`]:
//!
//! ```
//! use fn_workers::{Form, FormFile, Function, FunctionError};
//! use serde::Deserialize;
//!
//! #[derive(Deserialize)]
//! struct Upload {
//!     title: String,
//!     #[serde(default)]
//!     tags: Vec<String>,
//!     file: FormFile,
//!     preview: Option<FormFile>,
//! }
//!
//! async fn upload(form: Form<Upload>) -> Result<u64, FunctionError> {
//!     Ok(form.file.len())
//! }
//!
//! let function = Function::write("files.upload", upload);
//! ```
//!
//! Start's client adds what its middleware sends as one more field, [`CONTEXT_FIELD`]; the handler does not see it
//! among the form's fields, but with [`crate::Context::sent_context`].

mod content;
mod file;
mod multipart;

use std::ops::{Deref, DerefMut};

use serde::{Deserialize, Deserializer};
use shared::message::control::Refusal;
pub use shared::setup::FormLimits;

use crate::error::FunctionError;
use crate::exchange::{CollectError, RequestBody};
use crate::refusals;
use crate::strings::urlencoded;

pub(crate) use file::FILE;
pub use file::{FormFile, FormFileReader};

/// The field by which Start's client sends its context (`TSS_FORMDATA_CONTEXT` of `@tanstack/start-client-core`).
pub const CONTEXT_FIELD: &str = "__TSS_CONTEXT";

/// An input that comes as a form. In JavaScript the function takes a `FormData`.
///
/// A transparent wrapper: it reads what its type reads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Form<T>(pub T);

impl<T> Deref for Form<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Form<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Form<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self)
    }
}

/// What a form holds, each in the order in which it came.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    pub(crate) texts: Vec<(String, String)>,
    pub(crate) files: Vec<(String, FormFile)>,
    /// The text of [`CONTEXT_FIELD`].
    pub(crate) context: Option<String>,
}

/// Whether a body of this media type is a form.
pub(crate) fn is_form(content_type: &str) -> bool {
    let media_type = media_type(content_type);
    media_type.eq_ignore_ascii_case(MULTIPART) || media_type.eq_ignore_ascii_case(URLENCODED)
}

const MULTIPART: &str = "multipart/form-data";
const URLENCODED: &str = "application/x-www-form-urlencoded";

fn media_type(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// Reads a form to its end.
///
/// # Errors
/// 400 when it is malformed or broke off, 413 when it exceeds a limit, 415 when its type is none of a form's.
pub(crate) async fn read(
    content_type: &str,
    body: &mut RequestBody,
    limits: &FormLimits,
) -> Result<Fields, FunctionError> {
    let media_type = media_type(content_type);
    if media_type.eq_ignore_ascii_case(MULTIPART) {
        return multipart::read(content_type, body, limits).await;
    }
    if !media_type.eq_ignore_ascii_case(URLENCODED) {
        let message = format!("the body must be {MULTIPART} or {URLENCODED}");
        return Err(FunctionError::new(415, message));
    }
    let limit = usize::try_from(limits.max_bytes).unwrap_or(usize::MAX);
    let bytes = body.collect(limit).await.map_err(|error| match error {
        CollectError::TooLong { .. } => total_exceeded(limits),
        CollectError::Broken(_) => error.refusal(),
    })?;
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        refusals::refuse(
            Refusal::FormMalformed,
            format!("the form is no text at byte {}", error.valid_up_to()),
        )
    })?;
    // Counted before anything is decoded.
    let count = text.split('&').filter(|pair| !pair.is_empty()).count();
    check_count(count, count, limits)?;
    let mut fields = Fields::default();
    for (name, text) in urlencoded(text) {
        check_text(&name, text.len(), limits)?;
        fields.add_text(name, text);
    }
    Ok(fields)
}

impl Fields {
    /// Adds a text. The first of [`CONTEXT_FIELD`] is the context, as Start has it; further ones are dropped.
    fn add_text(&mut self, name: String, text: String) {
        if name == CONTEXT_FIELD {
            self.context.get_or_insert(text);
        } else {
            self.texts.push((name, text));
        }
    }
}

fn total_exceeded(limits: &FormLimits) -> FunctionError {
    let message = format!("the form is longer than {} bytes", limits.max_bytes);
    refusals::refuse(Refusal::FormBytes, message)
}

/// So many parts have come, so many of them texts.
fn check_count(parts: usize, texts: usize, limits: &FormLimits) -> Result<(), FunctionError> {
    if parts > limits.max_parts as usize {
        let message = format!("the form has more than {} parts", limits.max_parts);
        return Err(refusals::refuse(Refusal::FormParts, message));
    }
    if texts > limits.max_fields as usize {
        let message = format!("the form has more than {} fields of text", limits.max_fields);
        return Err(refusals::refuse(Refusal::FormFields, message));
    }
    Ok(())
}

fn check_text(name: &str, length: usize, limits: &FormLimits) -> Result<(), FunctionError> {
    if length <= limits.max_field_bytes as usize {
        return Ok(());
    }
    let limit = limits.max_field_bytes;
    let message = format!("the form's field `{}` is longer than {limit} bytes", shown(name));
    Err(refusals::refuse(Refusal::FormField, message))
}

/// A field's name in a message: it comes from outside.
fn shown(name: &str) -> String {
    name.chars().take(64).map(|c| if c.is_control() { '?' } else { c }).collect()
}
