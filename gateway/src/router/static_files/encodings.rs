//! A file's encoded forms: those that the build wrote beside it, and those that are made once when first asked for.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use super::index::{Content, Entry};
use crate::config::edge::CompressionMode;
use crate::middleware::compression::encoded_once;
use crate::middleware::compression::encoding::{Accepted, Encoding};

/// A shorter file is sent as it is, in bytes: it fits into a packet anyway.
const MIN_BYTES: u64 = 1024;

/// The encoded forms of one file, in the order of [`Encoding::ALL`].
#[derive(Debug, Default)]
pub struct Encodings {
    built: [Option<Arc<Entry>>; 3],
    /// Made here, at most once each; `None` where it saves nothing. Together at most thrice the file.
    made: [OnceLock<Option<Arc<Entry>>>; 3],
}

/// The forms that the build has written beside each file, in the order of the files.
pub fn find(files: &[(String, Entry)]) -> Vec<Encodings> {
    let by_name: HashMap<&str, &Entry> = files.iter().map(|(name, entry)| (&**name, entry)).collect();
    let of = |(name, entry): &(String, Entry)| {
        let built = Encoding::ALL.map(|encoding| {
            let form = by_name.get(&*format!("{name}{}", encoding.suffix()))?;
            Some(Arc::new(form.encoded_form_of(entry)))
        });
        Encodings { built, made: Default::default() }
    };
    files.iter().map(of).collect()
}

/// Whether the file is sent in several forms, so that responses depend on `Accept-Encoding`.
pub fn has_several(entry: &Entry, mode: CompressionMode) -> bool {
    mode != CompressionMode::Off
        && (entry.encodings.built.iter().any(Option::is_some) || makes_some(entry, mode))
}

/// Whether forms are made here: of what lies in memory alone, so that it is bounded.
fn makes_some(entry: &Entry, mode: CompressionMode) -> bool {
    mode == CompressionMode::On
        && entry.length >= MIN_BYTES
        && matches!(entry.content, Content::Memory(_))
        && entry.is_compressible
}

/// A form of the file for a client; `None` for the file as it is.
type Form = Option<(Encoding, Arc<Entry>)>;

/// The form of the file for a client, which is made if it is the first that takes it.
pub async fn best(entry: &Arc<Entry>, mode: CompressionMode, accepted: Accepted) -> Form {
    if let Some(form) = best_at_once(entry, mode, accepted) {
        return form;
    }
    let encoding = accepted.best(|_| makes_some(entry, mode))?;
    let entry = Arc::clone(entry);
    // It takes milliseconds, once.
    let made = tokio::task::spawn_blocking(move || made(&entry, encoding)).await.ok().flatten();
    made.map(|form| (encoding, form))
}

/// The same, unless it is to be made first.
pub fn best_at_once(entry: &Entry, mode: CompressionMode, accepted: Accepted) -> Option<Form> {
    if mode == CompressionMode::Off {
        return Some(None);
    }
    let built = &entry.encodings.built;
    if let Some(encoding) = accepted.best(|encoding| built[place(encoding)].is_some()) {
        return Some(built[place(encoding)].clone().map(|form| (encoding, form)));
    }
    let Some(encoding) = accepted.best(|_| makes_some(entry, mode)) else { return Some(None) };
    let made = entry.encodings.made[place(encoding)].get()?;
    Some(made.clone().map(|form| (encoding, form)))
}

fn place(encoding: Encoding) -> usize {
    match encoding {
        Encoding::Zstd => 0,
        Encoding::Brotli => 1,
        Encoding::Gzip => 2,
    }
}

fn made(entry: &Entry, encoding: Encoding) -> Option<Arc<Entry>> {
    let make = || {
        let Content::Memory(bytes) = &entry.content else { return None };
        let encoded = encoded_once(bytes, encoding)?;
        Some(Arc::new(Entry::in_memory("", encoded, SystemTime::UNIX_EPOCH).encoded_form_of(entry)))
    };
    entry.encodings.made[place(encoding)].get_or_init(make).clone()
}
