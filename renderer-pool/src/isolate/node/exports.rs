//! What an analysis of a file found, as bytes for the cache. Pure.

use node_resolver::analyze::CjsAnalysisExports;

const SCRIPT: u8 = 0;
const MODULE: u8 = 1;
const MODULE_WITH_NAMES: u8 = 2;

/// Names that a file exports, and files whose names it exports as well.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Its own.
    pub exports: Vec<String>,
    /// The files, as it writes them.
    pub reexports: Vec<String>,
}

impl From<Names> for CjsAnalysisExports {
    fn from(Names { exports, reexports }: Names) -> Self {
        Self { exports, reexports, member_reexports: Vec::new() }
    }
}

/// What a file turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// CommonJS.
    Script(Names),
    /// A module; its names where they were asked for.
    Module(Option<Names>),
}

impl Found {
    /// Writes it: a kind, then each list with its length, each name with its length.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, names) = match self {
            Self::Script(names) => (SCRIPT, Some(names)),
            Self::Module(Some(names)) => (MODULE_WITH_NAMES, Some(names)),
            Self::Module(None) => (MODULE, None),
        };
        let mut bytes = vec![kind];
        for list in names.iter().flat_map(|names| [&names.exports, &names.reexports]) {
            bytes.extend_from_slice(&length(list.len()));
            for name in list {
                bytes.extend_from_slice(&length(name.len()));
                bytes.extend_from_slice(name.as_bytes());
            }
        }
        bytes
    }

    /// Reads what [`encode`](Self::encode) wrote; nothing from anything else.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, mut rest) = bytes.split_first()?;
        let found = match *kind {
            SCRIPT => Self::Script(take_names(&mut rest)?),
            MODULE_WITH_NAMES => Self::Module(Some(take_names(&mut rest)?)),
            MODULE => Self::Module(None),
            _ => return None,
        };
        rest.is_empty().then_some(found)
    }
}

fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}

fn take_names(bytes: &mut &[u8]) -> Option<Names> {
    Some(Names { exports: take_list(bytes)?, reexports: take_list(bytes)? })
}

fn take_list(bytes: &mut &[u8]) -> Option<Vec<String>> {
    (0..take_length(bytes)?).map(|_| take_name(bytes)).collect()
}

fn take_name(bytes: &mut &[u8]) -> Option<String> {
    let length = take_length(bytes)?;
    let (name, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    String::from_utf8(name.to_owned()).ok()
}

fn take_length(bytes: &mut &[u8]) -> Option<usize> {
    let (length, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    usize::try_from(u32::from_le_bytes(*length)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(exports: &[&str], reexports: &[&str]) -> Names {
        let owned = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        Names { exports: owned(exports), reexports: owned(reexports) }
    }

    #[test]
    fn what_was_found_is_read_again_and_nothing_else() {
        let all = [
            Found::Script(names(&["one", "", "a\nb", "café"], &["./inner.js"])),
            Found::Module(Some(names(&[], &["x"]))),
            Found::Module(None),
        ];
        for found in all {
            let bytes = found.encode();
            assert_eq!(Found::decode(&bytes), Some(found));
            for length in 0..bytes.len() {
                assert_eq!(Found::decode(&bytes[..length]), None, "{length} of {bytes:?}");
            }
            assert_eq!(Found::decode(&[&bytes[..], b"x"].concat()), None);
        }
        assert_eq!(Found::decode(&[9]), None);
    }
}
