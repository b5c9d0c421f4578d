//! The table of keys: what can be set, in which unit, with which default, and what it does.

mod app;
mod connections;
mod edge;
mod jobs;
mod processes;

use std::time::Duration;

use super::keys::{Fallback, Key, Kind};
use super::tables::TABLES;

const fn key(name: &'static str, kind: Kind, fallback: Fallback, doc: &'static str) -> Key {
    Key { name, kind, fallback, doc }
}

const fn count(min: usize, max: usize) -> Kind {
    Kind::Count { min, max }
}

const fn time(min_ms: u64, max_ms: u64) -> Kind {
    Kind::Time { min: Duration::from_millis(min_ms), max: Duration::from_millis(max_ms) }
}

const fn size(min: u64, max: u64) -> Kind {
    Kind::Size { min, max }
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const SECOND: u64 = 1000;
const HOUR: u64 = 3600 * SECOND;

/// Keys that belong together.
#[derive(Debug, Clone, Copy)]
pub struct Section {
    /// Its heading.
    pub title: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
}

/// Every key, in the order of help and file.
pub const SECTIONS: &[Section] = &[
    app::APP,
    app::ISOLATION,
    app::DEBUGGING,
    connections::ADDRESSES,
    connections::PROTOCOLS,
    processes::PROCESSES,
    connections::CLIENTS,
    connections::PROXIES,
    edge::ACCESS,
    edge::RESPONSES,
    processes::REMOTE,
    edge::RATES,
    edge::PATHS,
    jobs::JOBS,
    processes::RESTARTS,
    processes::LOG,
];

/// Every key.
pub fn all() -> impl Iterator<Item = &'static Key> {
    SECTIONS.iter().flat_map(|section| section.keys)
}

/// The key of this name.
pub fn find(name: &str) -> Option<&'static Key> {
    all().find(|key| key.name == name)
}

/// The known key that `name` most likely means.
pub fn nearest(name: &str) -> Option<&'static str> {
    let wanted = name.replace('-', "_");
    let distance = |name: &&'static str| strsim::damerau_levenshtein(name, &wanted);
    let names = all().map(|key| key.name).chain(TABLES.iter().map(|table| table.name));
    names.min_by_key(distance).filter(|name| distance(name) <= name.len().div_ceil(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_plain() {
        let keys: Vec<_> = all().collect();
        for (index, key) in keys.iter().enumerate() {
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            assert!(key.name.bytes().all(plain), "{}", key.name);
            assert!(keys[..index].iter().all(|other| other.name != key.name), "{} twice", key.name);
        }
    }

    #[test]
    fn a_misspelt_key_finds_its_neighbour() {
        assert_eq!(nearest("rendrers"), Some("renderers"));
        assert_eq!(nearest("trusted-proxies"), Some("trusted_proxy"));
        assert_eq!(nearest("zzzzzzzzzzzz"), None);
    }
}
