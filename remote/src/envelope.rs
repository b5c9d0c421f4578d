//! What one NATS message carries: a kind, its number within the call, and a piece of the call's frames.
//!
//! ```text
//!  0         1      2               6
//!  +---------+------+---------------+------------------+
//!  | version | kind | number u32 LE | bytes            |
//!  +---------+------+---------------+------------------+
//! ```
//!
//! The frames of each direction of a call are one stream of bytes, cut where a message is full: a frame may be longer
//! than the server lets a message be. The number counts the messages of one direction of one call from 0.

use bytes::{BufMut, Bytes, BytesMut};
use shared::wire::{PayloadError, Reader};

/// The version of what is said between machines.
pub const VERSION: u8 = 1;

/// The length of an envelope's header, in bytes.
pub const HEADER_BYTES: usize = 6;

/// The most bytes of frames that one message carries; less where the server allows less.
pub const MAX_PIECE_BYTES: usize = 256 * 1024;

/// The least that a server must let a message carry, in bytes: a [`Ping`] fits.
pub const MIN_PAYLOAD_BYTES: usize = 16 * 1024;

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// To a worker: a call, from its first byte on.
    Open = 1,
    /// To either: more of a call.
    More = 2,
    /// To a worker: a gateway thread lives, and these are its calls.
    Ping = 3,
    /// To a gateway: the worker of this name runs the call.
    Accepted = 4,
    /// To a gateway: the worker does not take the call; the bytes say why.
    Refused = 5,
    /// To a gateway: the call is lost, its stream has a hole.
    Broken = 6,
    /// To a gateway: the answer to a ping.
    Pong = 7,
}

/// A message, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// What it is.
    pub kind: Kind,
    /// Its number.
    pub number: u32,
    /// What it carries.
    pub bytes: Bytes,
}

/// A message that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// It is cut short, or its kind is unknown.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The other side is of another version.
    #[error(
        "a message of version {0}, this side speaks {VERSION}: gateways and workers must be of one release"
    )]
    Version(u8),
}

/// One message.
pub fn encode(kind: Kind, number: u32, bytes: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(HEADER_BYTES + bytes.len());
    out.put_u8(VERSION);
    out.put_u8(kind as u8);
    out.put_u32_le(number);
    out.extend_from_slice(bytes);
    out.freeze()
}

impl Envelope {
    /// Reads a message.
    ///
    /// # Errors
    /// [`EnvelopeError`].
    pub fn decode(message: Bytes) -> Result<Self, EnvelopeError> {
        let mut reader = Reader::new(message);
        let version = reader.u8("version")?;
        if version != VERSION {
            return Err(EnvelopeError::Version(version));
        }
        let kind = match reader.u8("kind")? {
            1 => Kind::Open,
            2 => Kind::More,
            3 => Kind::Ping,
            4 => Kind::Accepted,
            5 => Kind::Refused,
            6 => Kind::Broken,
            7 => Kind::Pong,
            value => return Err(PayloadError::Unknown { field: "kind", value: value.into() }.into()),
        };
        let number = reader.u32("number")?;
        Ok(Self { kind, number, bytes: reader.rest() })
    }
}

/// One call in a ping: how many messages of it went to this worker. In a pong: how many came from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// The call's id, as its gateway thread gave it.
    pub id: u64,
    /// Messages of this direction so far; [`UNKNOWN`] when the one who says so does not know.
    pub messages: u32,
}

/// In a ping: nobody has accepted the call yet. In a pong: the worker has no such call.
pub const UNKNOWN: u32 = u32::MAX;

/// The most calls that one ping lists; 12 bytes each.
pub const MAX_LISTED: usize = 1024;

/// What a gateway thread says of its calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ping {
    /// The newest id that it has given to a call: what is not listed and not newer has ended.
    pub newest: u64,
    /// Its calls with this worker, and those that nobody has accepted.
    pub calls: Vec<Listed>,
}

impl Ping {
    /// As it travels.
    pub fn encode(&self) -> BytesMut {
        let mut out = BytesMut::new();
        out.put_u64_le(self.newest);
        put_list(&mut out, &self.calls);
        out
    }

    /// Reads what [`Ping::encode`] wrote.
    ///
    /// # Errors
    /// [`EnvelopeError::Payload`] when it is cut short.
    pub fn decode(bytes: Bytes) -> Result<Self, EnvelopeError> {
        let mut reader = Reader::new(bytes);
        let newest = reader.u64("newest")?;
        Ok(Self { newest, calls: list_of(reader.rest())? })
    }
}

/// A pong as it travels.
pub fn encode_list(calls: &[Listed]) -> BytesMut {
    let mut out = BytesMut::new();
    put_list(&mut out, calls);
    out
}

fn put_list(out: &mut BytesMut, calls: &[Listed]) {
    out.reserve(calls.len() * 12);
    for call in calls {
        out.put_u64_le(call.id);
        out.put_u32_le(call.messages);
    }
}

/// Reads the calls of a pong.
///
/// # Errors
/// [`EnvelopeError::Payload`] when it is cut short.
pub fn list_of(bytes: Bytes) -> Result<Vec<Listed>, EnvelopeError> {
    let mut calls = Vec::with_capacity(bytes.len() / 12);
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        calls.push(Listed { id: reader.u64("call")?, messages: reader.u32("messages")? });
    }
    Ok(calls)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_survives_the_way_and_nonsense_is_told() {
        let message = encode(Kind::More, 7, b"abc");
        let read = Envelope::decode(message).unwrap();
        assert_eq!(read, Envelope { kind: Kind::More, number: 7, bytes: "abc".into() });
        let payload = |error| Err(EnvelopeError::Payload(error));
        let short = PayloadError::Short { field: "number" };
        assert_eq!(Envelope::decode("\u{1}\u{1}0".into()), payload(short));
        assert_eq!(Envelope::decode("\u{2}\u{1}0000".into()), Err(EnvelopeError::Version(2)));
        let unknown = PayloadError::Unknown { field: "kind", value: 9 };
        assert_eq!(Envelope::decode("\u{1}\u{9}0000".into()), payload(unknown));
    }

    #[test]
    fn a_ping_survives_the_way_and_fits_the_smallest_server() {
        let listed = |id| Listed { id, messages: 3 };
        let ping = Ping { newest: 9, calls: (0..MAX_LISTED as u64).map(listed).collect() };
        let bytes = ping.encode().freeze();
        assert!(HEADER_BYTES + bytes.len() <= MIN_PAYLOAD_BYTES);
        assert_eq!(Ping::decode(bytes.clone()).unwrap(), ping);
        let short = PayloadError::Short { field: "messages" };
        assert_eq!(Ping::decode(bytes.slice(..bytes.len() - 1)), Err(EnvelopeError::Payload(short)));
        assert_eq!(list_of(encode_list(&ping.calls).freeze()).unwrap(), ping.calls);
    }
}
