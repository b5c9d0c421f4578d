//! The fuzz target's check, on a stable compiler and in bounded time: its seeds, changed at random.

#[path = "../../fuzz/fuzz_targets/reading.rs"]
mod reading;

use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::Index;

use super::{Document, Form, Limits};

/// What the reader looks for.
const WORDS: [&str; 24] = [
    "\"t\":",
    "\"i\":",
    "\"s\":",
    "\"p\":",
    "\"a\":",
    "\"k\":",
    "\"v\":",
    "\"f\":",
    "\"e\":",
    "\"l\":",
    "\"m\":",
    "{",
    "}",
    "[",
    "]",
    ",",
    "{\"t\":4,\"i\":0}",
    "{\"t\":2,\"s\":1}",
    "\"__proto__\"",
    "\\u0000",
    "-1",
    "1e308",
    "4294967296",
    "\"",
];

/// One change of some bytes.
#[derive(Debug, Clone)]
enum Change {
    Set(Index, u8),
    Remove(Index, usize),
    Insert(Index, &'static str),
    /// A piece stands a second time, somewhere.
    Repeat(Index, usize, Index),
    /// The rest of another seed.
    Splice(Index, Index, Index),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (at(), 1..40usize).prop_map(|(at, length)| Change::Remove(at, length)),
        (at(), prop::sample::select(&WORDS[..])).prop_map(|(at, word)| Change::Insert(at, word)),
        (at(), 1..200usize, at()).prop_map(|(from, length, to)| Change::Repeat(from, length, to)),
        (at(), at(), at()).prop_map(|(at, seed, from)| Change::Splice(at, seed, from)),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change, seeds: &[Vec<u8>]) {
    if bytes.is_empty() {
        return;
    }
    let end = |from: usize, length: usize| (from + length).min(bytes.len());
    match change {
        Change::Set(at, byte) => {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        Change::Remove(at, length) => {
            let at = at.index(bytes.len());
            bytes.drain(at..end(at, *length));
        }
        Change::Insert(at, word) => {
            let at = at.index(bytes.len());
            bytes.splice(at..at, word.bytes());
        }
        Change::Repeat(from, length, to) => {
            let from = from.index(bytes.len());
            let piece = bytes[from..end(from, *length)].to_vec();
            let to = to.index(bytes.len());
            bytes.splice(to..to, piece);
        }
        Change::Splice(at, seed, from) => {
            let seed = &seeds[seed.index(seeds.len())];
            bytes.truncate(at.index(bytes.len()));
            bytes.extend_from_slice(&seed[from.index(seed.len())..]);
        }
    }
}

static SEEDS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/seroval");
    let mut files: Vec<_> = std::fs::read_dir(directory).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|file| std::fs::read(file).unwrap()).collect()
});

#[test]
fn seeds_are_read() {
    for seed in &*SEEDS {
        let form = if seed[0] == 0 { Form::Cross } else { Form::Document };
        let text = String::from_utf8_lossy(&seed[1..]);
        assert!(Document::read(text.as_bytes(), form, &Limits::default()).is_ok(), "{text}");
        reading::check(seed);
    }
}

proptest! {
    // `PROPTEST_CASES` asks for more.
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(8192), ..ProptestConfig::default() })]

    #[test]
    fn changed_seeds_are_refused_or_read(seed in any::<Index>(), changes in prop::collection::vec(change(), 1..12)) {
        let mut bytes = SEEDS[seed.index(SEEDS.len())].clone();
        changes.iter().for_each(|change| apply(&mut bytes, change, &SEEDS));
        reading::check(&bytes);
    }
}
