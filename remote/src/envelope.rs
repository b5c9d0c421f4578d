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
    /// It is shorter than a header.
    #[error("a message of {0} bytes is too short")]
    Short(usize),
    /// The other side is of another version.
    #[error(
        "a message of version {0}, this side speaks {VERSION}: gateways and workers must be of one release"
    )]
    Version(u8),
    /// Its kind is unknown.
    #[error("a message of the unknown kind {0}")]
    Kind(u8),
    /// A ping or pong is cut short.
    #[error("a list of calls is cut short")]
    List,
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
    pub fn decode(mut message: Bytes) -> Result<Self, EnvelopeError> {
        let Some(&[version, kind, a, b, c, d]) = message.first_chunk::<HEADER_BYTES>() else {
            return Err(EnvelopeError::Short(message.len()));
        };
        if version != VERSION {
            return Err(EnvelopeError::Version(version));
        }
        let kind = match kind {
            1 => Kind::Open,
            2 => Kind::More,
            3 => Kind::Ping,
            4 => Kind::Accepted,
            5 => Kind::Refused,
            6 => Kind::Broken,
            7 => Kind::Pong,
            kind => return Err(EnvelopeError::Kind(kind)),
        };
        let bytes = message.split_off(HEADER_BYTES);
        Ok(Self { kind, number: u32::from_le_bytes([a, b, c, d]), bytes })
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
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.newest.to_le_bytes().to_vec();
        put_list(&mut out, &self.calls);
        out
    }

    /// Reads what [`Ping::encode`] wrote.
    ///
    /// # Errors
    /// [`EnvelopeError::List`].
    pub fn decode(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let (newest, list) = bytes.split_first_chunk::<8>().ok_or(EnvelopeError::List)?;
        Ok(Self { newest: u64::from_le_bytes(*newest), calls: list_of(list)? })
    }
}

/// A pong as it travels.
pub fn encode_list(calls: &[Listed]) -> Vec<u8> {
    let mut out = Vec::new();
    put_list(&mut out, calls);
    out
}

fn put_list(out: &mut Vec<u8>, calls: &[Listed]) {
    out.reserve(calls.len() * 12);
    for call in calls {
        out.extend_from_slice(&call.id.to_le_bytes());
        out.extend_from_slice(&call.messages.to_le_bytes());
    }
}

/// Reads the calls of a pong.
///
/// # Errors
/// [`EnvelopeError::List`].
pub fn list_of(bytes: &[u8]) -> Result<Vec<Listed>, EnvelopeError> {
    let (entries, []) = bytes.as_chunks::<12>() else { return Err(EnvelopeError::List) };
    let read = |entry: &[u8; 12]| {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = *entry;
        Listed {
            id: u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            messages: u32::from_le_bytes([i, j, k, l]),
        }
    };
    Ok(entries.iter().map(read).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_survives_the_way_and_nonsense_is_told() {
        let message = encode(Kind::More, 7, b"abc");
        let read = Envelope::decode(message).unwrap();
        assert_eq!(read, Envelope { kind: Kind::More, number: 7, bytes: "abc".into() });
        assert_eq!(Envelope::decode("ab".into()), Err(EnvelopeError::Short(2)));
        assert_eq!(Envelope::decode("\u{2}\u{1}0000".into()), Err(EnvelopeError::Version(2)));
        assert_eq!(Envelope::decode("\u{1}\u{9}0000".into()), Err(EnvelopeError::Kind(9)));
    }

    #[test]
    fn a_ping_survives_the_way_and_fits_the_smallest_server() {
        let listed = |id| Listed { id, messages: 3 };
        let ping = Ping { newest: 9, calls: (0..MAX_LISTED as u64).map(listed).collect() };
        let bytes = ping.encode();
        assert!(HEADER_BYTES + bytes.len() <= MIN_PAYLOAD_BYTES);
        assert_eq!(Ping::decode(&bytes).unwrap(), ping);
        assert_eq!(Ping::decode(&bytes[..bytes.len() - 1]), Err(EnvelopeError::List));
        assert_eq!(list_of(&encode_list(&ping.calls)).unwrap(), ping.calls);
    }
}
