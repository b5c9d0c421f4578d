//! A file of a form.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use serde::de::{self, Deserialize, Deserializer, Visitor};

use super::content::Content;
use crate::error::FunctionError;

/// The name by which a form's deserializer knows this type.
pub(crate) const FILE: &str = "$isopod::FormFile";

/// The longest [`FormFile::safe_name`], in bytes: what file systems take, less room for a suffix of one's own.
const MAX_SAFE_NAME_BYTES: usize = 200;

/// What a stream of a file's bytes gives at a time, in bytes.
const PIECE_BYTES: usize = 64 * 1024;

thread_local! {
    /// The file on its way from the form to the type that asked for it: serde has no value of this kind.
    static HANDED: RefCell<Option<FormFile>> = const { RefCell::new(None) };
}

/// A file that a client sent with a form. Cheap to clone. What lies on disk is gone with the last clone.
///
/// Everything about it comes from outside: name and type are what the client says, and the bytes may be anything.
#[derive(Clone)]
pub struct FormFile {
    name: Option<Arc<str>>,
    content_type: Option<Arc<str>>,
    content: Arc<Content>,
}

impl FormFile {
    pub(super) fn new(name: Option<&str>, content_type: Option<&str>, content: Content) -> Self {
        let (name, content_type) = (name.map(Into::into), content_type.map(Into::into));
        Self { name, content_type, content: Arc::new(content) }
    }

    /// Its name as the client sent it. Untrusted: it may hold `../`, control characters or anything else; for a
    /// file system or a header take [`FormFile::safe_name`].
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// A name that is one segment of a path: without directories, control characters and what file systems or
    /// shells take for something else, at most 200 bytes, never empty and never hidden. Not unique.
    pub fn safe_name(&self) -> String {
        safe_name(self.name().unwrap_or_default())
    }

    /// Its media type as the client sent it. Untrusted: the bytes may be of any other.
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        self.content.len()
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it lies in a temporary file, not in memory.
    pub fn is_on_disk(&self) -> bool {
        matches!(*self.content, Content::Disk { .. })
    }

    /// All of its bytes, in memory; for what lies on disk take [`FormFile::reader`] or [`FormFile::into_stream`].
    ///
    /// # Errors
    /// When the temporary file cannot be read.
    pub async fn bytes(&self) -> Result<Bytes, FunctionError> {
        if let Content::Memory(bytes) = &*self.content {
            return Ok(bytes.clone());
        }
        let mut reader = self.reader();
        let length = usize::try_from(self.len())?;
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::with_capacity(length);
            reader.read_to_end(&mut bytes).map(|_| bytes)
        });
        Ok(read.await??.into())
    }

    /// Reads it from its beginning. What lies on disk blocks: for [`crate::Context::blocking`].
    pub fn reader(&self) -> FormFileReader {
        FormFileReader { content: Arc::clone(&self.content), at: 0 }
    }

    /// Its bytes, piece by piece.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, FunctionError>> {
        futures_util::stream::unfold(self.reader(), |mut reader| async {
            let piece = tokio::task::spawn_blocking(move || {
                let mut piece = vec![0; PIECE_BYTES];
                let length = reader.read(&mut piece)?;
                piece.truncate(length);
                io::Result::Ok((piece, reader))
            });
            match piece.await.map_err(io::Error::other).flatten() {
                Ok((piece, _)) if piece.is_empty() => None,
                Ok((piece, reader)) => Some((Ok(piece.into()), reader)),
                // The stream ends with its error.
                Err(error) => Some((Err(error.into()), FormFileReader::at_end())),
            }
        })
    }

    /// Hands the file to the visitor that asked for [`FILE`].
    pub(crate) fn hand_to<'de, V: Visitor<'de>, E: de::Error>(&self, visitor: V) -> Result<V::Value, E> {
        HANDED.with_borrow_mut(|handed| *handed = Some(self.clone()));
        let value = visitor.visit_unit();
        HANDED.take();
        value
    }
}

impl fmt::Debug for FormFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FormFile")
            .field("name", &self.name)
            .field("content_type", &self.content_type)
            .field("length", &self.len())
            .finish()
    }
}

impl<'de> Deserialize<'de> for FormFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Taken;

        impl Visitor<'_> for Taken {
            type Value = FormFile;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a file of a form")
            }

            fn visit_unit<E: de::Error>(self) -> Result<FormFile, E> {
                HANDED.take().ok_or_else(|| E::invalid_type(de::Unexpected::Unit, &self))
            }
        }
        deserializer.deserialize_newtype_struct(FILE, Taken)
    }
}

/// Reads a [`FormFile`]; several readers do not disturb each other.
#[derive(Debug)]
pub struct FormFileReader {
    content: Arc<Content>,
    at: u64,
}

impl FormFileReader {
    fn at_end() -> Self {
        Self { content: Arc::new(Content::Memory(Bytes::new())), at: 0 }
    }
}

impl Read for FormFileReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.content.read_at(into, self.at)?;
        self.at += length as u64;
        Ok(length)
    }
}

impl Seek for FormFileReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.content.len().checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

fn safe_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let harmless = |c: char| match c {
        '<' | '>' | ':' | '"' | '|' | '?' | '*' | '\'' | '`' | '$' | '&' | ';' => '_',
        // Also what turns the direction of text around, or has no width.
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' => '_',
        c if c.is_control() => '_',
        c => c,
    };
    let name: String = last.chars().map(harmless).collect();
    // A leading dash is an option to programs, a leading dot hides.
    let name = name.trim_start_matches(['.', '-', ' ']).trim_end_matches(['.', ' ']);
    let cut = shortened(name);
    if cut.is_empty() { "file".into() } else { cut }
}

/// A name that is short enough; its ending stays.
fn shortened(name: &str) -> String {
    if name.len() <= MAX_SAFE_NAME_BYTES {
        return name.to_owned();
    }
    let ending = name.rfind('.').map_or("", |dot| &name[dot..]);
    let ending = if ending.len() <= 16 { ending } else { "" };
    let stem = &name[..name.floor_char_boundary(MAX_SAFE_NAME_BYTES - ending.len())];
    format!("{stem}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_safe_name_is_one_segment_and_nothing_else() {
        for (sent, safe) in [
            ("report.pdf", "report.pdf"),
            ("../../etc/passwd", "passwd"),
            ("C:\\fakepath\\photo.jpg", "photo.jpg"),
            ("..", "file"),
            ("", "file"),
            (".htaccess", "htaccess"),
            ("-rf", "rf"),
            ("a\0b\r\nc.txt", "a_b__c.txt"),
            ("gpj.\u{202e}exe", "gpj._exe"),
            ("a;b&c$d", "a_b_c_d"),
            ("caf\u{e9}.png", "caf\u{e9}.png"),
            ("ends. . ", "ends"),
        ] {
            assert_eq!(safe_name(sent), safe, "{sent:?}");
        }
        let long = format!("{}.tar", "\u{e9}".repeat(300));
        let safe = safe_name(&long);
        assert!(safe.len() <= MAX_SAFE_NAME_BYTES && safe.ends_with(".tar"), "{safe}");
    }

    #[test]
    fn readers_do_not_disturb_each_other() {
        let file = FormFile::new(None, None, Content::Memory("abcdef".into()));
        let (mut one, mut other) = (file.reader(), file.reader());
        one.seek(SeekFrom::End(-2)).unwrap();
        let mut read = String::new();
        one.read_to_string(&mut read).unwrap();
        other.read_to_string(&mut read).unwrap();
        assert_eq!(read, "efabcdef");
        assert!(one.seek(SeekFrom::Current(-9)).is_err());
    }

    #[test]
    fn nothing_else_is_a_file() {
        assert!(serde_json::from_str::<FormFile>("null").is_err());
        assert!(serde_json::from_str::<FormFile>("\"a\"").is_err());
    }
}
