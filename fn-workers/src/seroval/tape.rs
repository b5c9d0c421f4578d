//! JSON text as a tape: one entry for each part, in the order of the text. A container's entry says where it
//! ends, so that it can be skipped. Nothing is copied; a string's entry is its place in the text.

use std::borrow::Cow;

use super::error::Error;
use super::limits::Limits;

/// Levels of JSON for each level of values: `{"p":{"v":[` is three.
const JSON_LEVELS: usize = 3;

/// Room for entries that is made at the start: no more than this, and no more than the text may need.
const FIRST_ENTRIES: usize = 512;

/// One part of the text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Part {
    Null,
    True,
    False,
    Number(f64),
    /// Between its quotes; whether it holds escapes.
    Text {
        length: u32,
        escaped: bool,
    },
    /// The entry behind its last, and how many elements there are.
    Array {
        end: u32,
        count: u32,
    },
    /// Names and values by turns. The entry behind its last.
    Object {
        end: u32,
    },
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    part: Part,
    at: u32,
}

/// A text and its parts.
#[derive(Debug)]
pub(super) struct Tape<'t> {
    text: &'t str,
    entries: Vec<Entry>,
    references: bool,
}

impl<'t> Tape<'t> {
    /// Reads the whole text as one JSON value (RFC 8259).
    pub fn read(bytes: &'t [u8], limits: &Limits) -> Result<Self, Error> {
        let most = limits.bytes.min(u32::MAX as usize);
        if bytes.len() > most {
            let given = bytes.len();
            return Err(Error::too_large(most, format!("the text has {given} bytes, {most} are allowed")));
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|error| Error::malformed(error.valid_up_to(), "the text is not UTF-8"))?;
        let depth = limits.depth.saturating_mul(JSON_LEVELS) + JSON_LEVELS;
        // Two bytes are the least that an entry takes, with its comma.
        let entries = Vec::with_capacity(FIRST_ENTRIES.min(bytes.len() / 2 + 1).min(limits.parts));
        let mut parser = Parser { bytes, at: 0, entries, parts: limits.parts, depth, references: false };
        parser.value(0)?;
        parser.space();
        if parser.at < bytes.len() {
            return Err(Error::malformed(parser.at, "there is more after the value"));
        }
        Ok(Self { text, entries: parser.entries, references: parser.references })
    }

    /// Whether any object has a member `t` that is 4, as references to other values have.
    pub fn may_have_references(&self) -> bool {
        self.references
    }

    /// The names and values of an object, by entries; none of what is no object.
    pub fn members(&self, object: usize) -> impl Iterator<Item = (usize, usize)> {
        let end = match self.part(object) {
            Part::Object { end } => end as usize,
            _ => 0,
        };
        let mut name = object + 1;
        std::iter::from_fn(move || {
            let (at, value) = (name, name + 1);
            (at < end).then(|| {
                name = self.after(value);
                (at, value)
            })
        })
    }

    /// A string of one byte: the name of most fields of a node.
    pub fn letter(&self, entry: usize) -> Option<u8> {
        match self.entries[entry] {
            Entry { part: Part::Text { length: 1, escaped: false }, at } => {
                self.text.as_bytes().get(at as usize).copied()
            }
            _ => None,
        }
    }

    pub fn part(&self, entry: usize) -> Part {
        self.entries[entry].part
    }

    /// Where the entry begins in the text; a string's content begins behind its quote.
    pub fn place(&self, entry: usize) -> usize {
        self.entries[entry].at as usize
    }

    /// The entry behind this one and all that is in it.
    pub fn after(&self, entry: usize) -> usize {
        match self.part(entry) {
            Part::Array { end, .. } | Part::Object { end } => end as usize,
            _ => entry + 1,
        }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// A string as it stands between its quotes, if it holds no escapes.
    pub fn plain_text(&self, entry: usize) -> Option<&'t str> {
        match self.part(entry) {
            Part::Text { length, escaped: false } => Some(self.raw(entry, length)),
            _ => None,
        }
    }

    /// A string without JSON's escapes.
    pub fn text(&self, entry: usize) -> Option<Cow<'t, str>> {
        match self.part(entry) {
            Part::Text { length, escaped: false } => Some(Cow::Borrowed(self.raw(entry, length))),
            Part::Text { length, escaped: true } => Some(Cow::Owned(unescape(self.raw(entry, length)))),
            _ => None,
        }
    }

    fn raw(&self, entry: usize, length: u32) -> &'t str {
        let start = self.place(entry);
        &self.text[start..start + length as usize]
    }
}

struct Parser<'t> {
    bytes: &'t [u8],
    at: usize,
    entries: Vec<Entry>,
    parts: usize,
    depth: usize,
    references: bool,
}

impl Parser<'_> {
    fn fail<T>(&self, message: &str) -> Result<T, Error> {
        Err(Error::malformed(self.at, message))
    }

    #[inline]
    fn space(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn push(&mut self, part: Part, at: usize) -> Result<usize, Error> {
        if self.entries.len() >= self.parts {
            return Err(Error::too_large(at, format!("the value has more than {} parts", self.parts)));
        }
        // The text's length fits, so does every place in it.
        self.entries.push(Entry { part, at: u32::try_from(at).unwrap_or(u32::MAX) });
        Ok(self.entries.len() - 1)
    }

    fn close(&mut self, entry: usize, part: impl FnOnce(u32) -> Part) {
        // There are at most as many entries as bytes.
        self.entries[entry].part = part(u32::try_from(self.entries.len()).unwrap_or(u32::MAX));
    }

    fn value(&mut self, depth: usize) -> Result<(), Error> {
        self.space();
        let at = self.at;
        match self.bytes.get(at) {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(|_| ()),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Part::True),
            Some(b'f') => self.word("false", Part::False),
            Some(b'n') => self.word("null", Part::Null),
            Some(_) => self.fail("this is no JSON value"),
            None => self.fail("the text ends too early"),
        }
    }

    fn word(&mut self, word: &str, part: Part) -> Result<(), Error> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return self.fail("this is no JSON value");
        }
        self.push(part, self.at)?;
        self.at += word.len();
        Ok(())
    }

    fn deeper(&self, depth: usize) -> Result<usize, Error> {
        if depth >= self.depth {
            return Err(Error::too_large(self.at, "the value is too deep"));
        }
        Ok(depth + 1)
    }

    fn array(&mut self, depth: usize) -> Result<(), Error> {
        let depth = self.deeper(depth)?;
        let entry = self.push(Part::Array { end: 0, count: 0 }, self.at)?;
        self.at += 1;
        self.space();
        let mut count = 0;
        if self.bytes.get(self.at) == Some(&b']') {
            self.at += 1;
        } else {
            loop {
                self.value(depth)?;
                count += 1;
                if self.separator(b']')? {
                    break;
                }
            }
        }
        self.close(entry, |end| Part::Array { end, count });
        Ok(())
    }

    fn object(&mut self, depth: usize) -> Result<(), Error> {
        let depth = self.deeper(depth)?;
        let entry = self.push(Part::Object { end: 0 }, self.at)?;
        self.at += 1;
        self.space();
        if self.bytes.get(self.at) == Some(&b'}') {
            self.at += 1;
        } else {
            loop {
                self.space();
                if self.bytes.get(self.at) != Some(&b'"') {
                    return self.fail("a name in quotes is missing");
                }
                let name = self.at;
                self.string()?;
                self.space();
                if self.bytes.get(self.at) != Some(&b':') {
                    return self.fail("a colon is missing");
                }
                self.at += 1;
                let value = self.entries.len();
                self.value(depth)?;
                self.references |=
                    self.entries[value].part == Part::Number(4.0) && self.bytes[name..].starts_with(b"\"t\"");
                if self.separator(b'}')? {
                    break;
                }
            }
        }
        self.close(entry, |end| Part::Object { end });
        Ok(())
    }

    /// After a member: whether the container ends here.
    fn separator(&mut self, close: u8) -> Result<bool, Error> {
        self.space();
        let end = match self.bytes.get(self.at) {
            Some(b',') => false,
            Some(byte) if *byte == close => true,
            Some(_) => return self.fail("a comma is missing"),
            None => return self.fail("the text ends too early"),
        };
        self.at += 1;
        Ok(end)
    }

    fn string(&mut self) -> Result<usize, Error> {
        let start = self.at + 1;
        let (end, escaped) = string_end(self.bytes, start)?;
        let length = u32::try_from(end - start).unwrap_or(u32::MAX);
        let entry = self.push(Part::Text { length, escaped }, start)?;
        self.at = end + 1;
        Ok(entry)
    }

    fn number(&mut self) -> Result<(), Error> {
        let start = self.at;
        let Some((number, length)) = number(&self.bytes[start..]) else {
            return self.fail("this is no number");
        };
        self.push(Part::Number(number), start)?;
        self.at += length;
        Ok(())
    }
}

/// Where the string whose content begins at `start` ends, and whether it holds escapes, which are checked.
pub(super) fn string_end(bytes: &[u8], start: usize) -> Result<(usize, bool), Error> {
    let mut at = start;
    let mut escaped = false;
    loop {
        at = plain_end(bytes, at);
        match bytes.get(at) {
            Some(b'"') => return Ok((at, escaped)),
            Some(b'\\') => {
                escaped = true;
                at = escape_end(bytes, at)?;
            }
            Some(_) => return Err(Error::malformed(at, "a control character stands in a string")),
            None => return Err(Error::malformed(at, "the text ends inside a string")),
        }
    }
}

/// Where the first quote, backslash or control character stands, from `at` on.
fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    let special = |byte: u8| matches!(byte, 0..0x20 | b'"' | b'\\');
    // The names of a node's fields have one letter.
    for _ in 0..2 {
        match bytes.get(at) {
            Some(byte) if !special(*byte) => at += 1,
            _ => return at,
        }
    }
    while let Some(word) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let found = word_with_special(u64::from_le_bytes(*word));
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    at + bytes[at..].iter().take_while(|byte| !special(**byte)).count()
}

/// Checks the escape at `at` and says where it ends.
fn escape_end(bytes: &[u8], at: usize) -> Result<usize, Error> {
    let fail = |message: &str| Err(Error::malformed(at, message));
    match bytes.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => match hex(bytes, at + 2) {
            None => fail("an escape is not four hexadecimal digits"),
            Some(0xd800..0xdc00) => match (bytes.get(at + 6..at + 8), hex(bytes, at + 8)) {
                (Some(b"\\u"), Some(0xdc00..0xe000)) => Ok(at + 12),
                _ => fail("half a surrogate pair is no Unicode text"),
            },
            Some(0xdc00..0xe000) => fail("half a surrogate pair is no Unicode text"),
            Some(_) => Ok(at + 6),
        },
        Some(_) => fail("this is no escape"),
        None => fail("the text ends inside a string"),
    }
}

/// The whole number that a text begins with, if it is short, and its length: what most numbers are.
pub(super) fn whole(text: &[u8]) -> Option<(f64, usize)> {
    let negative = text.first() == Some(&b'-');
    let mut at = usize::from(negative);
    let mut number: u32 = 0;
    while let Some(digit @ b'0'..=b'9') = text.get(at) {
        number = number.checked_mul(10)?.checked_add(u32::from(digit - b'0'))?;
        at += 1;
    }
    let length = at - usize::from(negative);
    if length == 0
        || (length > 1 && text[usize::from(negative)] == b'0')
        || matches!(text.get(at), Some(b'.' | b'e' | b'E'))
    {
        return None;
    }
    let number = f64::from(number);
    Some((if negative { -number } else { number }, at))
}

/// The number that a text begins with, and its length.
pub(super) fn number(text: &[u8]) -> Option<(f64, usize)> {
    if let Some(whole) = whole(text) {
        return Some(whole);
    }
    let digits = |at: usize| text[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut at = usize::from(text.first() == Some(&b'-'));
    let integer = digits(at);
    if integer == 0 || (integer > 1 && text[at] == b'0') {
        return None;
    }
    at += integer;
    if text.get(at) == Some(&b'.') {
        let fraction = digits(at + 1);
        if fraction == 0 {
            return None;
        }
        at += 1 + fraction;
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        at += 1 + usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        let exponent = digits(at);
        if exponent == 0 {
            return None;
        }
        at += exponent;
    }
    // Digits, a point, signs and `e` are ASCII, and of a form that `f64` reads.
    let number = std::str::from_utf8(&text[..at]).ok()?.parse().ok()?;
    Some((number, at))
}

/// The high bits of those bytes that are a quote, a backslash or a control character; the lowest that is set is always
/// right, those above it may not be.
fn word_with_special(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    let is = |byte: u8| {
        let zero = word ^ (ONES * u64::from(byte));
        zero.wrapping_sub(ONES) & !zero
    };
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (control | is(b'"') | is(b'\\')) & (ONES << 7)
}

fn hex(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at + 4)?;
    digits.iter().try_fold(0, |sum, digit| Some(sum * 16 + char::from(*digit).to_digit(16)?))
}

/// The string without its escapes, which have been checked.
pub(super) fn unescape(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let bytes = rest.as_bytes();
        let (char, length) = match bytes[at + 1] {
            b'b' => ('\u{8}', 2),
            b'f' => ('\u{c}', 2),
            b'n' => ('\n', 2),
            b'r' => ('\r', 2),
            b't' => ('\t', 2),
            b'u' => unicode(bytes, at + 2),
            other => (char::from(other), 2),
        };
        text.push(char);
        rest = &rest[at + length..];
    }
    text.push_str(rest);
    text
}

fn unicode(bytes: &[u8], at: usize) -> (char, usize) {
    let unit = hex(bytes, at).unwrap_or_default();
    let pair = hex(bytes, at + 6).filter(|_| (0xd800..0xdc00).contains(&unit));
    let (code, length) = match pair {
        Some(low) => (0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00), 12),
        None => (unit, 6),
    };
    (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> Error {
        Tape::read(text.as_bytes(), &Limits::default()).unwrap_err()
    }

    #[test]
    fn what_is_no_json_is_refused_with_its_place() {
        for (text, at) in [
            ("", 0),
            ("{", 1),
            ("[1,]", 3),
            ("[1 2]", 3),
            ("{a:1}", 1),
            (r#"{"a"1}"#, 4),
            ("01", 0),
            ("1.", 0),
            ("-", 0),
            ("nul", 0),
            ("1 1", 2),
            ("\"a\u{1}\"", 2),
            (r#""\x""#, 1),
            (r#""\ud800""#, 1),
            (r#""\udc00\ud800""#, 1),
            (r#""\u12g4""#, 1),
            ("\"abc", 4),
        ] {
            assert_eq!(refused(text).position(), Some(at), "{text}: {}", refused(text));
        }
        let not_utf8 = Tape::read(b"\"\xff\"", &Limits::default()).unwrap_err();
        assert_eq!(not_utf8.position(), Some(1));
    }

    #[test]
    fn limits_hold_before_memory_is_taken() {
        let limits = Limits { bytes: 4, ..Limits::default() };
        assert!(Tape::read(b"[1,2]", &limits).unwrap_err().to_string().contains("4 are allowed"));
        let limits = Limits { parts: 2, ..Limits::default() };
        assert!(Tape::read(b"[1]", &limits).is_ok());
        assert!(Tape::read(b"[1,2]", &limits).unwrap_err().to_string().contains("more than 2 parts"));
        let limits = Limits { depth: 1, ..Limits::default() };
        assert!(Tape::read(&b"[".repeat(100_000), &limits).unwrap_err().to_string().contains("too deep"));
    }

    #[test]
    fn strings_and_numbers_are_those_of_serde_json() {
        for text in [
            r#""\u00e9\ud83d\ude00\n\/\"\\\b""#,
            "\"é😀\"",
            r#""a longer text, without escapes""#,
            r#""a longer text, with one \n near its end""#,
            "-0.5e+3",
            "-0",
            "7",
            "4294967295",
            "4294967296",
            "-12",
            "1e400",
            "123456789012345678901",
        ] {
            let tape = Tape::read(text.as_bytes(), &Limits::default()).unwrap();
            match tape.part(0) {
                Part::Text { .. } => {
                    assert_eq!(tape.text(0).unwrap(), serde_json::from_str::<String>(text).unwrap());
                }
                Part::Number(number) => {
                    assert_eq!(number.to_string(), text.parse::<f64>().unwrap().to_string())
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
