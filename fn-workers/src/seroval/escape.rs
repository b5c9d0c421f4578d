//! seroval escapes strings by itself, before JSON does: what a script element could trip over never stands in them.

use std::borrow::Cow;

/// The characters that are escaped, and how.
const ESCAPES: [(char, &str); 10] = [
    ('"', "\\\""),
    ('\\', "\\\\"),
    ('\n', "\\n"),
    ('\r', "\\r"),
    ('\u{8}', "\\b"),
    ('\t', "\\t"),
    ('\u{c}', "\\f"),
    ('<', "\\x3C"),
    ('\u{2028}', "\\u2028"),
    ('\u{2029}', "\\u2029"),
];

/// As seroval's `deserializeString`: an unknown escape stays as it is.
pub(super) fn unescape(text: Cow<'_, str>) -> Cow<'_, str> {
    if !text.contains('\\') {
        return text;
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        match ESCAPES.iter().find(|(_, escape)| rest.starts_with(escape)) {
            Some((char, escape)) => {
                plain.push(*char);
                rest = &rest[escape.len()..];
            }
            None => {
                plain.push('\\');
                rest = &rest[1..];
            }
        }
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

/// Appends `text`, escaped for seroval and then for JSON, between quotes.
#[inline]
pub(super) fn write(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    let plain = plain_prefix(bytes);
    out.extend_from_slice(&bytes[..plain]);
    if plain < bytes.len() {
        write_escaped(out, &bytes[plain..]);
    }
    out.push(b'"');
}

/// One in each byte.
const ONES: u64 = u64::MAX / 255;
/// The highest bit of each byte.
const HIGH: u64 = ONES << 7;

/// How many bytes come before the first that may have to be escaped. Eight at a time: most texts need no escape.
fn plain_prefix(bytes: &[u8]) -> usize {
    let may_be_escaped = |byte: &u8| matches!(byte, 0..0x20 | b'"' | b'<' | b'\\' | 0xe2);
    let Some(last) = bytes.last_chunk::<8>() else {
        return bytes.iter().take_while(|byte| !may_be_escaped(byte)).count();
    };
    let mut at = 0;
    while let Some(word) = bytes[at..].first_chunk::<8>() {
        let found = suspects(u64::from_le_bytes(*word));
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    // The last eight again, of which some were seen.
    match suspects(u64::from_le_bytes(*last)) {
        0 => bytes.len(),
        found => bytes.len() - 8 + (found.trailing_zeros() / 8) as usize,
    }
}

/// The high bits of those bytes that may have to be escaped; the lowest that is set is always right, those above it
/// may not be.
fn suspects(word: u64) -> u64 {
    let is = |byte: u8| {
        let zero = word ^ (ONES * u64::from(byte));
        zero.wrapping_sub(ONES) & !zero
    };
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (control | is(b'"') | is(b'<') | is(b'\\') | is(0xe2)) & HIGH
}

fn write_escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut written = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => b"\\\\\\\"",
            b'\\' => b"\\\\\\\\",
            b'\n' => b"\\\\n",
            b'\r' => b"\\\\r",
            0x8 => b"\\\\b",
            b'\t' => b"\\\\t",
            0xc => b"\\\\f",
            b'<' => b"\\\\x3C",
            // U+2028 and U+2029 are E2 80 A8 and E2 80 A9.
            0xe2 if bytes[at..].starts_with(b"\xe2\x80\xa8") => b"\\\\u2028",
            0xe2 if bytes[at..].starts_with(b"\xe2\x80\xa9") => b"\\\\u2029",
            0..0x20 => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(&bytes[written..at]);
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
                written = at + 1;
                continue;
            }
            _ => continue,
        };
        out.extend_from_slice(&bytes[written..at]);
        out.extend_from_slice(escape);
        written = at + if *byte == 0xe2 { 3 } else { 1 };
    }
    out.extend_from_slice(&bytes[written..]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_escaped_comes_back(text in any::<String>()) {
            let mut out = Vec::new();
            write(&mut out, &text);
            let json: String = serde_json::from_slice(&out).unwrap();
            prop_assert!(!json.contains('<'));
            prop_assert_eq!(unescape(Cow::Owned(json)), text);
        }
    }

    #[test]
    fn each_escape_comes_back() {
        let text: String = ESCAPES.iter().map(|(char, _)| *char).chain(['\0', '\u{1f}', 'é']).collect();
        let mut out = Vec::new();
        write(&mut out, &text);
        let json: String = serde_json::from_slice(&out).unwrap();
        assert_eq!(json, "\\\"\\\\\\n\\r\\b\\t\\f\\x3C\\u2028\\u2029\0\u{1f}é");
        assert_eq!(unescape(Cow::Owned(json)), text);
    }

    #[test]
    fn an_escape_is_found_wherever_it_stands() {
        for length in 0..40 {
            for at in 0..length {
                for found in ESCAPES.iter().map(|(char, _)| *char).chain(['\0', '\u{1f}', '\u{20ac}']) {
                    let mut text: Vec<char> =
                        "plain \u{7f}\u{80}\u{e9}~!#;=[]".chars().cycle().take(length).collect();
                    text[at] = found;
                    let text: String = text.into_iter().collect();
                    let mut out = Vec::new();
                    write(&mut out, &text);
                    let json: String = serde_json::from_slice(&out).unwrap();
                    assert_eq!(unescape(Cow::Owned(json)), text);
                }
            }
        }
    }

    #[test]
    fn an_unknown_escape_stays() {
        assert_eq!(unescape("a\\qb\\".into()), "a\\qb\\");
    }
}
