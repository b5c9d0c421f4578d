//! A pack: what V8 compiled for one app, as one file. Pure: bytes in, entries out.
//!
//! ```text
//! "isopodV8" | build u64 | checksum u64 | count u32 | count x (name u64, content u64, length u32) | count x data
//! ```
//!
//! Integers are little-endian. Each entry's data begins at a multiple of 8 bytes: V8 copies what does not. The checksum covers everything behind it. V8 runs what it is given and checks next to
//! nothing of it, so a pack that is not exactly what was written is refused as a whole.

use std::collections::HashMap;
use std::ops::Range;

use twox_hash::XxHash64;

const MAGIC: &[u8; 8] = b"isopodV8";
const HEADER: usize = 24;
const INDEX_ENTRY: usize = 20;

/// Where an entry's data begins, in multiples of bytes.
const ALIGNMENT: usize = 8;

/// What a piece of compiled code was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// Of the module's kind and name.
    pub name: u64,
    /// Of its source.
    pub content: u64,
}

/// Why bytes are no pack to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPack {
    /// Too short, or another kind of file.
    #[error("it is no pack of compiled code")]
    NoPack,
    /// Made by other binaries, or for another V8 or processor.
    #[error("it is another build's")]
    OtherBuild,
    /// Cut off, overwritten or otherwise not what was written.
    #[error("it is damaged")]
    Damaged,
}

/// A pack that has been checked. A process has one and keeps it to its end, so that V8 reads it where it is.
#[derive(Debug, Default)]
pub struct Pack {
    bytes: &'static [u8],
    entries: HashMap<Key, Range<usize>>,
}

impl Pack {
    /// Checks and takes a file's bytes. `build` names everything that compiled code depends on besides its source.
    ///
    /// # Errors
    /// [`BadPack`]; what it held is to be compiled again.
    pub fn decode(bytes: Vec<u8>, build: u64) -> Result<Self, BadPack> {
        if bytes.len() < HEADER || !bytes.starts_with(MAGIC) {
            return Err(BadPack::NoPack);
        }
        let mut reader = Reader { bytes: &bytes, at: MAGIC.len() };
        if reader.u64() != Some(build) {
            return Err(BadPack::OtherBuild);
        }
        if reader.u64() != Some(checksum(build, &bytes[HEADER..])) {
            return Err(BadPack::Damaged);
        }
        // A checked file has the right form; another one is a fault of its writer and refused all the same.
        let entries = read_index(&mut reader).ok_or(BadPack::Damaged)?;
        Ok(Self { bytes: bytes.leak(), entries })
    }

    /// The compiled code of a key.
    pub fn get(&self, key: Key) -> Option<&'static [u8]> {
        let bytes = self.bytes;
        self.entries.get(&key).map(|range| &bytes[range.clone()])
    }
}

fn read_index(reader: &mut Reader<'_>) -> Option<HashMap<Key, Range<usize>>> {
    let count = usize::try_from(reader.u32()?).ok()?;
    let mut start = reader.at.checked_add(count.checked_mul(INDEX_ENTRY)?)?;
    // Before the table is allocated: the file holds so many entries.
    if start > reader.bytes.len() {
        return None;
    }
    let mut entries = HashMap::with_capacity(count);
    for _ in 0..count {
        let key = Key { name: reader.u64()?, content: reader.u64()? };
        start = start.checked_next_multiple_of(ALIGNMENT)?;
        let end = start.checked_add(usize::try_from(reader.u32()?).ok()?)?;
        if end > reader.bytes.len() {
            return None;
        }
        entries.insert(key, start..end);
        start = end;
    }
    (start == reader.bytes.len()).then_some(entries)
}

/// Writes a pack. An entry of 4 GiB or more is left out.
pub fn encode(build: u64, entries: &[(Key, &[u8])]) -> Vec<u8> {
    let entries: Vec<_> =
        entries.iter().filter_map(|(key, data)| Some((key, u32::try_from(data.len()).ok()?, data))).collect();
    let data_bytes: usize = entries.iter().map(|(_, _, data)| data.len() + ALIGNMENT).sum();
    let mut bytes = Vec::with_capacity(HEADER + 4 + entries.len() * INDEX_ENTRY + data_bytes);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&build.to_le_bytes());
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&u32::try_from(entries.len()).unwrap_or(u32::MAX).to_le_bytes());
    for (key, length, _) in &entries {
        bytes.extend_from_slice(&key.name.to_le_bytes());
        bytes.extend_from_slice(&key.content.to_le_bytes());
        bytes.extend_from_slice(&length.to_le_bytes());
    }
    for (_, _, data) in &entries {
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
        bytes.extend_from_slice(data);
    }
    let checksum = checksum(build, &bytes[HEADER..]);
    bytes[HEADER - 8..HEADER].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

fn checksum(build: u64, bytes: &[u8]) -> u64 {
    XxHash64::oneshot(build, bytes)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let end = self.at.checked_add(N)?;
        let taken = self.bytes.get(self.at..end)?.try_into().ok()?;
        self.at = end;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILD: u64 = 7;

    fn key(number: u64) -> Key {
        Key { name: number, content: number.wrapping_mul(31) }
    }

    fn written() -> Vec<u8> {
        encode(BUILD, &[(key(1), b"one"), (key(2), b""), (key(3), &[3; 500])])
    }

    #[test]
    fn what_was_written_is_read() {
        let pack = Pack::decode(written(), BUILD).unwrap();
        assert_eq!(pack.get(key(1)), Some(&b"one"[..]));
        assert_eq!(pack.get(key(2)), Some(&b""[..]));
        assert_eq!(pack.get(key(3)), Some(&[3; 500][..]));
        assert_eq!(pack.get(key(4)), None);
        assert_eq!(pack.get(Key { name: 1, content: 1 }), None, "the same name, another content");
    }

    #[test]
    fn data_is_where_v8_reads_it_without_a_copy() {
        let pack = Pack::decode(encode(BUILD, &[(key(1), b"one"), (key(2), b"two")]), BUILD).unwrap();
        for number in [1, 2] {
            assert_eq!(pack.get(key(number)).unwrap().as_ptr().align_offset(ALIGNMENT), 0, "{number}");
        }
    }

    #[test]
    fn another_builds_is_refused() {
        assert_eq!(Pack::decode(written(), BUILD + 1).unwrap_err(), BadPack::OtherBuild);
    }

    #[test]
    fn each_single_changed_byte_is_noticed() {
        let whole = written();
        for at in 0..whole.len() {
            for change in [0x01, 0x80] {
                let mut bytes = whole.clone();
                bytes[at] ^= change;
                assert!(Pack::decode(bytes, BUILD).is_err(), "byte {at}");
            }
        }
    }

    #[test]
    fn each_cut_and_each_added_byte_is_noticed() {
        let whole = written();
        for length in 0..whole.len() {
            assert!(Pack::decode(whole[..length].to_vec(), BUILD).is_err(), "{length} bytes");
        }
        let longer = [&whole[..], b"x"].concat();
        assert_eq!(Pack::decode(longer, BUILD).unwrap_err(), BadPack::Damaged);
    }

    #[test]
    fn a_table_that_claims_more_than_there_is_is_refused_before_it_is_made() {
        let mut bytes = encode(BUILD, &[]);
        bytes.truncate(HEADER);
        bytes.extend_from_slice(&u32::MAX.to_le_bytes());
        let checksum = checksum(BUILD, &bytes[HEADER..]);
        bytes[HEADER - 8..HEADER].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(Pack::decode(bytes, BUILD).unwrap_err(), BadPack::Damaged);
    }
}
