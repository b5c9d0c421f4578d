//! Array buffers and the views of them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::document::{Document, Node, View};
use super::error::Error;

/// The longest base64 that seroval reads by default, in characters (`maxBase64Length`).
const MAX_BASE64: usize = 1_000_000;

/// The most bytes that fit into one value; more are to be streamed.
pub const MAX_BINARY_BYTES: usize = MAX_BASE64 / 4 * 3;

/// The class of a typed array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are JavaScript's")]
pub enum ArrayClass {
    Int8,
    Uint8,
    Uint8Clamped,
    Int16,
    Uint16,
    Int32,
    Uint32,
    Float32,
    Float64,
    BigInt64,
    BigUint64,
}

/// An element of a typed array.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Element {
    Signed(i64),
    Unsigned(u64),
    Float(f64),
}

impl ArrayClass {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Int8,
        Self::Uint8,
        Self::Uint8Clamped,
        Self::Int16,
        Self::Uint16,
        Self::Int32,
        Self::Uint32,
        Self::Float32,
        Self::Float64,
        Self::BigInt64,
        Self::BigUint64,
    ];

    /// Its name in JavaScript.
    pub fn name(self) -> &'static str {
        match self {
            Self::Int8 => "Int8Array",
            Self::Uint8 => "Uint8Array",
            Self::Uint8Clamped => "Uint8ClampedArray",
            Self::Int16 => "Int16Array",
            Self::Uint16 => "Uint16Array",
            Self::Int32 => "Int32Array",
            Self::Uint32 => "Uint32Array",
            Self::Float32 => "Float32Array",
            Self::Float64 => "Float64Array",
            Self::BigInt64 => "BigInt64Array",
            Self::BigUint64 => "BigUint64Array",
        }
    }

    /// Bytes of an element.
    pub fn width(self) -> usize {
        match self {
            Self::Int8 | Self::Uint8 | Self::Uint8Clamped => 1,
            Self::Int16 | Self::Uint16 => 2,
            Self::Int32 | Self::Uint32 | Self::Float32 => 4,
            Self::Float64 | Self::BigInt64 | Self::BigUint64 => 8,
        }
    }

    pub(super) fn is_big(self) -> bool {
        matches!(self, Self::BigInt64 | Self::BigUint64)
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }

    /// The elements in `bytes`, little-endian as on every machine that browsers run on.
    pub(super) fn elements(self, bytes: &[u8]) -> impl Iterator<Item = Element> {
        bytes.chunks_exact(self.width()).map(move |chunk| {
            let mut wide = [0; 8];
            wide[..chunk.len()].copy_from_slice(chunk);
            let [a, b, c, d, ..] = wide;
            match self {
                Self::Int8 => Element::Signed(i8::from_le_bytes([a]).into()),
                Self::Uint8 | Self::Uint8Clamped => Element::Unsigned(a.into()),
                Self::Int16 => Element::Signed(i16::from_le_bytes([a, b]).into()),
                Self::Uint16 => Element::Unsigned(u16::from_le_bytes([a, b]).into()),
                Self::Int32 => Element::Signed(i32::from_le_bytes([a, b, c, d]).into()),
                Self::Uint32 => Element::Unsigned(u32::from_le_bytes([a, b, c, d]).into()),
                Self::Float32 => Element::Float(f32::from_le_bytes([a, b, c, d]).into()),
                Self::Float64 => Element::Float(f64::from_le_bytes(wide)),
                Self::BigInt64 => Element::Signed(i64::from_le_bytes(wide)),
                Self::BigUint64 => Element::Unsigned(u64::from_le_bytes(wide)),
            }
        })
    }
}

/// How long the buffer of this base64 is, in bytes.
fn decoded_length(base64: &str) -> usize {
    let padding = base64.bytes().rev().take_while(|byte| *byte == b'=').count();
    (base64.len() / 4 * 3).saturating_sub(padding)
}

impl<'t> Document<'t> {
    /// All bytes of a buffer.
    pub(super) fn buffer(&self, entry: usize, base64: &str) -> Result<Vec<u8>, Error> {
        self.spend_bytes(entry, decoded_length(base64))?;
        let wrong = |_| Error::malformed(self.place(entry), "this is no base64");
        STANDARD.decode(base64).map_err(wrong)
    }

    /// The bytes that a view shows, and its class; only they are decoded.
    pub(super) fn view_bytes(
        &self,
        entry: usize,
        view: &View<'t>,
    ) -> Result<(Option<ArrayClass>, Vec<u8>), Error> {
        let fail = |message: &str| Err(Error::malformed(self.place(entry), message));
        let class = match &view.class {
            None => None,
            Some(name) => match ArrayClass::named(name) {
                Some(class) => Some(class),
                None => return fail("this class of typed arrays is not known"),
            },
        };
        let width = class.map_or(1, ArrayClass::width);
        let base64 = self.base64(view.buffer)?;
        let whole = decoded_length(base64);
        let left = whole.checked_sub(view.offset).filter(|_| view.offset.is_multiple_of(width));
        let Some(left) = left else { return fail("the view does not fit its buffer") };
        let length = match view.length.map(|length| length.checked_mul(width)) {
            None if left.is_multiple_of(width) => left,
            Some(Some(length)) if length <= left => length,
            _ => return fail("the view does not fit its buffer"),
        };
        self.spend_bytes(entry, length)?;
        // Four characters are three bytes.
        let first = view.offset / 3;
        let last = (view.offset + length).div_ceil(3);
        let Some(part) = base64.get(first * 4..last * 4) else { return fail("this is no base64") };
        let Ok(mut bytes) = STANDARD.decode(part) else { return fail("this is no base64") };
        bytes.drain(..(view.offset - first * 3).min(bytes.len()));
        bytes.truncate(length);
        if bytes.len() < length { fail("this is no base64") } else { Ok((class, bytes)) }
    }

    fn base64(&self, buffer: usize) -> Result<&'t str, Error> {
        let target = match self.node(buffer)? {
            Node::Buffer(base64) => return Ok(base64),
            Node::Reference(target) => target,
            _ => return Err(Error::malformed(self.place(buffer), "an ArrayBuffer is expected")),
        };
        match self.node(target)? {
            Node::Buffer(base64) => Ok(base64),
            _ => Err(Error::malformed(self.place(buffer), "an ArrayBuffer is expected")),
        }
    }
}

/// Appends base64 between quotes.
pub(super) fn write_base64(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Error> {
    if bytes.len() > MAX_BINARY_BYTES {
        let message = format!(
            "a value holds {} bytes, browsers take {MAX_BINARY_BYTES}: answer with a stream or a response",
            bytes.len()
        );
        return Err(Error::data(message));
    }
    out.push(b'"');
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = STANDARD.encode_slice(bytes, &mut out[start..]);
    debug_assert!(written.is_ok(), "the room for base64 is as long as its bytes need");
    out.push(b'"');
    Ok(())
}
