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
pub(super) fn write(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let bytes = text.as_bytes();
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
    out.push(b'"');
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
    fn an_unknown_escape_stays() {
        assert_eq!(unescape("a\\qb\\".into()), "a\\qb\\");
    }
}
