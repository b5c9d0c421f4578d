//! seroval's JSON form, by which TanStack Start sends what JSON alone cannot hold.
//!
//! ```text
//! bytes -> tape       JSON, checked, each part's place; limits before memory
//!       -> document   seroval's nodes; what refers to what
//!       -> Reader     serde's Deserializer: any type of Rust's
//!       -> Graph      any value of JavaScript's, with sharing and cycles
//! bytes -> quick      plain values as clients write them, with none of the above
//!
//! any Serialize -> Writer -> bytes that `fromCrossJSON` reads
//! ```
//!
//! | JavaScript | Rust |
//! |---|---|
//! | `null`, `undefined` | `None`, `()`; [`Undefined`] writes `undefined` |
//! | numbers, also NaN, infinities, -0 | numbers; integers where they are whole |
//! | `BigInt` | [`BigInt`]; integers read it where it fits |
//! | `Date` | [`Date`], or its ISO text |
//! | `RegExp`, `URL`, `Error` | [`RegExp`], [`Url`], [`ErrorValue`], or their text |
//! | arrays, `Set` | sequences; [`Set`] writes a `Set`. A hole reads as `null` |
//! | objects | structs and maps; `__proto__` is a name as any other |
//! | `Map` | [`Map`], or any map |
//! | typed arrays, `ArrayBuffer` | [`Uint8Array`], bytes, sequences of numbers |
//! | anything, with identity | [`Graph`] |
//!
//! What several places share is read as copies, bounded by [`Limits`]; only a [`Graph`] holds a cycle.

mod any;
mod binary;
mod document;
mod error;
mod escape;
mod graph;
mod key_text;
mod limits;
mod parts;
mod quick;
mod read;
mod scalar;
mod tape;
mod time;
mod write;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use binary::{ArrayClass, MAX_BINARY_BYTES};
pub use document::{Document, Form};
pub use error::{Error, ErrorKind};
pub use graph::{Graph, Value, ValueId};
pub use limits::Limits;
pub use read::Reader;
pub use scalar::{BigInt, Date, ErrorValue, Map, RegExp, Set, Uint8Array, Undefined, Url};
pub use write::Writer;

/// Reads a value.
///
/// # Errors
/// When the text is malformed, exceeds a limit, or holds another type.
pub fn from_slice<T: DeserializeOwned>(text: &[u8], form: Form, limits: &Limits) -> Result<T, Error> {
    if let Some(value) = quick::read(text, form, None, limits) {
        return Ok(value);
    }
    let document = Document::read(text, form, limits)?;
    T::deserialize(Reader::new(&document))
}

/// Reads a document, or its member of this name, where that is plain, as most are; `None` says nothing of why it is not.
pub(crate) fn read_plain<T: DeserializeOwned>(
    text: &[u8],
    member: Option<&str>,
    limits: &Limits,
) -> Option<T> {
    quick::read(text, Form::Document, member, limits)
}

/// Writes a value of at most about `limit` bytes, for `fromCrossJSON`.
///
/// # Errors
/// When it is larger, or holds what JavaScript cannot.
pub fn to_vec<T: Serialize + ?Sized>(value: &T, limit: usize) -> Result<Vec<u8>, Error> {
    let mut writer = Writer::new(limit);
    value.serialize(&mut writer)?;
    writer.fits(0)?;
    Ok(writer.into_bytes())
}

#[cfg(test)]
mod fuzzed;
#[cfg(test)]
mod tests;
