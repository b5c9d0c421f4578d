//! The text of a file: what is UTF-8, without the tags of HTML.

use std::io::{self, Read};

/// How much of a text is kept, in bytes.
const MAX_KEPT_BYTES: usize = 64 * 1024;

/// How much is read at a time, in bytes.
const PIECE_BYTES: usize = 64 * 1024;

/// A file's text.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Extracted {
    /// Its beginning.
    pub text: String,
    /// Words of all of it.
    pub words: u32,
    /// Bytes of the file.
    pub bytes: u32,
}

/// Why a file has no text.
#[derive(Debug, thiserror::Error)]
pub enum ExtractionError {
    /// It is something else.
    #[error("is no text: byte {at} is not UTF-8")]
    NotText {
        /// The first byte that is none, from 0.
        at: u64,
    },
    /// It cannot be read.
    #[error("cannot be read")]
    Io(#[from] io::Error),
}

/// Reads a file to its end, in pieces. Tags are left out where the file begins with one.
///
/// # Errors
/// [`ExtractionError`].
pub fn extract(mut file: impl Read) -> Result<Extracted, ExtractionError> {
    let mut piece = vec![0; PIECE_BYTES];
    let (mut held, mut read) = (0, 0_u64);
    let mut text = Text::default();
    loop {
        let length = file.read(&mut piece[held..])?;
        let filled = held + length;
        // Of a character that is cut by the piece's end, the beginning waits for the next piece.
        let valid = match str::from_utf8(&piece[..filled]) {
            Ok(_) => filled,
            Err(error) if error.error_len().is_none() && length > 0 => error.valid_up_to(),
            Err(error) => return Err(ExtractionError::NotText { at: read + error.valid_up_to() as u64 }),
        };
        // Looked at above.
        text.add(str::from_utf8(&piece[..valid]).unwrap_or_default());
        read += valid as u64;
        piece.copy_within(valid..filled, 0);
        held = filled - valid;
        if length == 0 {
            return Ok(text.finish(read));
        }
    }
}

#[derive(Default)]
struct Text {
    kept: String,
    words: u32,
    in_word: bool,
    markup: Option<bool>,
    in_tag: bool,
}

impl Text {
    fn add(&mut self, piece: &str) {
        for character in piece.chars() {
            if self.markup.is_none() && !character.is_whitespace() && character != '\u{feff}' {
                self.markup = Some(character == '<');
            }
            match (self.markup, self.in_tag, character) {
                (Some(true), false, '<') => {
                    self.in_tag = true;
                    self.take(' ');
                }
                (_, true, '>') => self.in_tag = false,
                (_, true, _) => {}
                (_, false, character) => self.take(character),
            }
        }
    }

    fn take(&mut self, character: char) {
        let is_word = character.is_alphanumeric();
        if is_word && !self.in_word {
            self.words = self.words.saturating_add(1);
        }
        self.in_word = is_word;
        if self.kept.len() + character.len_utf8() <= MAX_KEPT_BYTES {
            self.kept.push(character);
        }
    }

    fn finish(self, bytes: u64) -> Extracted {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        Extracted { text: self.kept.trim().to_owned(), words: self.words, bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives so many bytes at a time.
    struct Drops<'a>(&'a [u8], usize);

    impl Read for Drops<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let length = self.1.min(self.0.len()).min(into.len());
            into[..length].copy_from_slice(&self.0[..length]);
            self.0 = &self.0[length..];
            Ok(length)
        }
    }

    #[test]
    fn text_reads_the_same_in_whatever_pieces_it_comes() {
        let text = "Größe, 漢字 and 🦀s";
        for at_a_time in 1..text.len() {
            let extracted = extract(Drops(text.as_bytes(), at_a_time)).unwrap();
            assert_eq!((extracted.text.as_str(), extracted.words), (text, 4));
            assert_eq!(extracted.bytes as usize, text.len());
        }
    }

    #[test]
    fn tags_are_left_out_of_what_begins_with_one() {
        let html = extract(&b"\n<!doctype html><p class=\"a\">One <b>two</b></p><p>three</p>"[..]).unwrap();
        assert_eq!(html.words, 3);
        assert!(!html.text.contains(['<', '>']), "{}", html.text);
        assert_eq!(extract(&b"1 < 2 > 1"[..]).unwrap().text, "1 < 2 > 1");
    }

    #[test]
    fn what_is_no_text_is_told_with_its_place() {
        let cut = extract(&b"good\xff"[..]).unwrap_err();
        assert_eq!(cut.to_string(), "is no text: byte 4 is not UTF-8");
        let unfinished = extract(Drops("gr\u{f6}".as_bytes().split_last().unwrap().1, 1)).unwrap_err();
        assert_eq!(unfinished.to_string(), "is no text: byte 2 is not UTF-8");
    }

    #[test]
    fn a_long_text_is_counted_whole_and_kept_in_part() {
        let long = "word ".repeat(100_000);
        let extracted = extract(long.as_bytes()).unwrap();
        assert_eq!((extracted.words, extracted.bytes as usize), (100_000, long.len()));
        assert!(extracted.text.len() <= MAX_KEPT_BYTES);
    }
}
