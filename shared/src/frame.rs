//! Frames: the unit of the wire between processes.
//!
//! ```text
//!  0        4      5            8               16            16 + length
//!  +--------+------+------------+---------------+-------------+
//!  | length | kind | zero       | id            | payload     |
//!  | u32 LE | u8   | 3 bytes    | u64 LE        |             |
//!  +--------+------+------------+---------------+-------------+
//! ```
//!
//! `length` counts the payload alone. A link opens with a [`PREFACE`] in each direction, so that two builds
//! that do not fit together find out before the first job.

use bytes::{Buf, Bytes, BytesMut};

/// The longest payload that a frame may carry, in bytes. A longer one is refused before it is read.
pub const MAX_FRAME_BYTES: usize = 1 << 20;

/// The length of a frame's header in bytes.
pub const HEADER_BYTES: usize = 16;

/// The first bytes of each direction: a name and the version of the wire.
pub const PREFACE: [u8; 8] = *b"ISOPOD\x00\x02";

/// One frame: what it is, which job or call it belongs to, and its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The message kind; its meaning depends on the direction of the link.
    pub kind: u8,
    /// The job or call, 0 where the message concerns the link itself.
    pub id: u64,
    /// The payload, at most [`MAX_FRAME_BYTES`] long.
    pub payload: Bytes,
}

/// Why a byte stream is not a sequence of frames. Each ends the link: there is no way back into step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The other side speaks another version, or is not an Isopod process.
    #[error(
        "the other side opened with {found:02x?}, expected {PREFACE:02x?}: both binaries must come from one build"
    )]
    Preface {
        /// The bytes that came.
        found: [u8; 8],
    },
    /// A length beyond [`MAX_FRAME_BYTES`].
    #[error("a frame announces {length} bytes, the limit is {MAX_FRAME_BYTES}")]
    TooLong {
        /// The announced length.
        length: usize,
    },
    /// The reserved bytes are not zero.
    #[error("a frame's reserved bytes are not zero")]
    Reserved,
    /// The stream ended inside a frame.
    #[error("the stream ended inside a frame, {missing} bytes short")]
    Truncated {
        /// How many bytes were still to come, at least.
        missing: usize,
    },
}

/// Appends a frame whose payload `write` appends; the length is filled in afterwards.
///
/// # Panics
/// In debug builds when the payload exceeds [`MAX_FRAME_BYTES`]: senders cut their payloads.
pub fn encode_with(out: &mut BytesMut, kind: u8, id: u64, write: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    let mut header = [0; HEADER_BYTES];
    header[4] = kind;
    header[8..].copy_from_slice(&id.to_le_bytes());
    out.extend_from_slice(&header);
    write(out);
    let length = out.len() - start - HEADER_BYTES;
    debug_assert!(length <= MAX_FRAME_BYTES, "a payload of {length} bytes");
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

/// Appends a frame with this payload.
pub fn encode(out: &mut BytesMut, kind: u8, id: u64, payload: &[u8]) {
    encode_with(out, kind, id, |out| out.extend_from_slice(payload));
}

/// Appends to the payload of the last frame in a buffer, which starts at `start`: one frame takes what came one after
/// the other.
///
/// # Panics
/// When no frame starts there; in debug builds when the payload exceeds [`MAX_FRAME_BYTES`] then.
pub fn extend_last(out: &mut BytesMut, start: usize, more: &[u8]) {
    out.extend_from_slice(more);
    let length = out.len() - start - HEADER_BYTES;
    debug_assert!(length <= MAX_FRAME_BYTES, "a payload of {length} bytes");
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

/// Takes frames off the front of a buffer. Keeps no bytes itself: what is incomplete stays in the buffer.
#[derive(Debug, Default)]
pub struct Decoder {
    preface_seen: bool,
}

impl Decoder {
    /// A decoder that expects the preface first.
    pub fn new() -> Self {
        Self::default()
    }

    /// A decoder for frames that travel without a preface: what carries them has told the version already.
    pub fn without_preface() -> Self {
        Self { preface_seen: true }
    }

    /// The next frame, or `None` when the buffer does not yet hold a whole one.
    ///
    /// # Errors
    /// [`FrameError`]; the link is unusable afterwards.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        if !self.preface_seen {
            let Some(found) = buffer.first_chunk::<8>() else { return Ok(None) };
            if *found != PREFACE {
                return Err(FrameError::Preface { found: *found });
            }
            buffer.advance(PREFACE.len());
            self.preface_seen = true;
        }
        let Some(header) = buffer.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let mut fields = &header[..];
        let length = fields.get_u32_le() as usize;
        let kind = fields.get_u8();
        if length > MAX_FRAME_BYTES {
            return Err(FrameError::TooLong { length });
        }
        if fields.get_uint_le(3) != 0 {
            return Err(FrameError::Reserved);
        }
        let id = fields.get_u64_le();
        if buffer.len() < HEADER_BYTES + length {
            buffer.reserve(HEADER_BYTES + length - buffer.len());
            return Ok(None);
        }
        buffer.advance(HEADER_BYTES);
        Ok(Some(Frame { kind, id, payload: buffer.split_to(length).freeze() }))
    }

    /// Whether the stream may end here: only between frames.
    ///
    /// # Errors
    /// [`FrameError::Truncated`] when bytes of an unfinished frame remain.
    pub fn finish(&self, buffer: &BytesMut) -> Result<(), FrameError> {
        if buffer.is_empty() {
            return Ok(());
        }
        let expected = match buffer.first_chunk::<4>() {
            Some(length) if self.preface_seen => HEADER_BYTES + u32::from_le_bytes(*length) as usize,
            _ => HEADER_BYTES,
        };
        Err(FrameError::Truncated { missing: expected.saturating_sub(buffer.len()).max(1) })
    }
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;
    use proptest::prelude::*;

    use super::*;

    fn frames() -> impl Strategy<Value = Vec<Frame>> {
        let payload = proptest::collection::vec(any::<u8>(), 0..200);
        let frame = (any::<u8>(), any::<u64>(), payload).prop_map(|(kind, id, payload)| Frame {
            kind,
            id,
            payload: payload.into(),
        });
        proptest::collection::vec(frame, 0..6)
    }

    fn bytes_of(frames: &[Frame]) -> Vec<u8> {
        let mut out = BytesMut::from(&PREFACE[..]);
        for frame in frames {
            encode(&mut out, frame.kind, frame.id, &frame.payload);
        }
        out.to_vec()
    }

    fn drain(decoder: &mut Decoder, buffer: &mut BytesMut) -> Vec<Frame> {
        std::iter::from_fn(|| decoder.decode(buffer).unwrap()).collect()
    }

    proptest! {
        #[test]
        fn frames_survive_any_split(frames in frames()) {
            let bytes = bytes_of(&frames);
            for split in 0..=bytes.len() {
                let (mut decoder, mut buffer) = (Decoder::new(), BytesMut::new());
                buffer.extend_from_slice(&bytes[..split]);
                let mut seen = drain(&mut decoder, &mut buffer);
                buffer.extend_from_slice(&bytes[split..]);
                seen.extend(drain(&mut decoder, &mut buffer));
                prop_assert_eq!(&seen, &frames);
                prop_assert!(decoder.finish(&buffer).is_ok());
            }
        }

        #[test]
        fn only_the_end_of_a_frame_is_a_clean_end(frames in frames(), cut in 1usize..500) {
            let bytes = bytes_of(&frames);
            let cut = bytes.len().saturating_sub(cut);
            let (mut decoder, mut buffer) = (Decoder::new(), BytesMut::from(&bytes[..cut]));
            let whole = drain(&mut decoder, &mut buffer).len();
            let clean = cut == 0 || bytes_of(&frames[..whole]).len() == cut;
            prop_assert_eq!(decoder.finish(&buffer).is_ok(), clean);
        }

        #[test]
        fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut buffer = BytesMut::from(&PREFACE[..]);
            buffer.extend_from_slice(&noise);
            let mut decoder = Decoder::new();
            while let Ok(Some(_)) = decoder.decode(&mut buffer) {}
        }
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_its_bytes_come() {
        let mut buffer = BytesMut::from(&PREFACE[..]);
        buffer.put_u32_le(u32::try_from(MAX_FRAME_BYTES).unwrap() + 1);
        buffer.put_bytes(0, 12);
        assert_eq!(
            Decoder::new().decode(&mut buffer),
            Err(FrameError::TooLong { length: MAX_FRAME_BYTES + 1 })
        );
    }

    #[test]
    fn another_preface_is_refused() {
        let mut buffer = BytesMut::from(&b"HTTP/1.1 200 OK"[..]);
        assert!(matches!(Decoder::new().decode(&mut buffer), Err(FrameError::Preface { .. })));
    }
}
