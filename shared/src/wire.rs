//! Reads and writes the fields of binary payloads: little-endian integers and length-prefixed byte strings.

use bytes::{Buf, Bytes, BytesMut};

/// Why a payload is not what its kind promises.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// The payload ends before the field does.
    #[error("the payload ends inside `{field}`")]
    Short {
        /// The field that was being read.
        field: &'static str,
    },
    /// Bytes are left after the last field.
    #[error("{left} bytes are left after the last field")]
    Trailing {
        /// How many.
        left: usize,
    },
    /// The field's value is not one of those that this version knows.
    #[error("`{field}` has the unknown value {value}")]
    Unknown {
        /// The field.
        field: &'static str,
        /// Its value.
        value: u64,
    },
    /// The field is text, but not UTF-8.
    #[error("`{field}` is not UTF-8")]
    NotUtf8 {
        /// The field.
        field: &'static str,
    },
    /// A field is longer than it may be.
    #[error("`{field}` is too long, {limit} bytes are allowed")]
    TooLong {
        /// The field.
        field: &'static str,
        /// In bytes.
        limit: usize,
    },
    /// The payload is JSON of another shape.
    #[error("the control message does not parse: {0}")]
    Json(String),
}

/// Reads fields off the front of a payload, without copying byte strings.
#[derive(Debug)]
pub struct Reader {
    payload: Bytes,
}

impl Reader {
    /// A reader at the start of `payload`.
    pub fn new(payload: Bytes) -> Self {
        Self { payload }
    }

    fn need(&self, bytes: usize, field: &'static str) -> Result<(), PayloadError> {
        if self.payload.len() < bytes { Err(PayloadError::Short { field }) } else { Ok(()) }
    }

    /// One byte.
    pub fn u8(&mut self, field: &'static str) -> Result<u8, PayloadError> {
        self.need(1, field)?;
        Ok(self.payload.get_u8())
    }

    /// Two bytes.
    pub fn u16(&mut self, field: &'static str) -> Result<u16, PayloadError> {
        self.need(2, field)?;
        Ok(self.payload.get_u16_le())
    }

    /// Four bytes.
    pub fn u32(&mut self, field: &'static str) -> Result<u32, PayloadError> {
        self.need(4, field)?;
        Ok(self.payload.get_u32_le())
    }

    /// Eight bytes.
    pub fn u64(&mut self, field: &'static str) -> Result<u64, PayloadError> {
        self.need(8, field)?;
        Ok(self.payload.get_u64_le())
    }

    /// A byte string behind its `u32` length; shares the payload's memory.
    pub fn bytes(&mut self, field: &'static str) -> Result<Bytes, PayloadError> {
        let length = self.u32(field)? as usize;
        self.need(length, field)?;
        Ok(self.payload.split_to(length))
    }

    /// A byte string as [`Self::bytes`] reads it, unless it is a `known` one: that does not share the payload's memory,
    /// whose owners are counted.
    pub fn known_bytes(
        &mut self,
        field: &'static str,
        known: impl FnOnce(&[u8]) -> Option<&'static [u8]>,
    ) -> Result<Bytes, PayloadError> {
        let length = self.u32(field)? as usize;
        self.need(length, field)?;
        let Some(known) = known(&self.payload[..length]) else { return Ok(self.payload.split_to(length)) };
        self.payload.advance(length);
        Ok(Bytes::from_static(known))
    }

    /// A byte string that must be UTF-8.
    pub fn text(&mut self, field: &'static str) -> Result<String, PayloadError> {
        String::from_utf8(self.bytes(field)?.into()).map_err(|_| PayloadError::NotUtf8 { field })
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.payload.is_empty()
    }

    /// All that is left.
    pub fn rest(self) -> Bytes {
        self.payload
    }

    /// The end: nothing may be left.
    pub fn end(self) -> Result<(), PayloadError> {
        match self.payload.len() {
            0 => Ok(()),
            left => Err(PayloadError::Trailing { left }),
        }
    }
}

/// Appends a byte string behind its `u32` length.
pub fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    const PREFIX: usize = size_of::<u32>();
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let together = PREFIX + bytes.len();
    out.reserve(together);
    // Heads are dozens of short texts: one look at the room for each, not two.
    let room = out.spare_capacity_mut();
    room[..PREFIX].write_copy_of_slice(&length.to_le_bytes());
    room[PREFIX..together].write_copy_of_slice(bytes);
    // SAFETY: the first `together` bytes of the spare capacity were written above.
    unsafe { out.set_len(out.len() + together) };
}
