//! The path of a request, normalised once. What two programs could read in two ways is refused. Pure.
//!
//! The decoded form serves the lookup of static files; the bundle gets the path exactly as it was sent.

use std::borrow::Cow;

/// A path that has one meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestPath<'a> {
    decoded: Cow<'a, str>,
    has_encoded_separator: bool,
}

/// Why a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It does not begin with a slash.
    #[error("the path does not begin with a slash")]
    NotAbsolute,
    /// `//`.
    #[error("the path has an empty segment")]
    EmptySegment,
    /// `.` or `..`, plain or encoded.
    #[error("the path has a dot segment")]
    DotSegment,
    /// A backslash.
    #[error("the path has a backslash")]
    Backslash,
    /// A control character, plain or encoded; `%00` among them.
    #[error("the path has a control character")]
    Control,
    /// A `%` without two hexadecimal digits.
    #[error("the path has a broken percent-encoding")]
    Encoding,
    /// Not UTF-8 once decoded, or not ASCII before.
    #[error("the path is not UTF-8")]
    NotUtf8,
}

impl<'a> RequestPath<'a> {
    /// Checks and decodes the path of a request target.
    ///
    /// # Errors
    /// [`PathError`]; the request is answered 400.
    pub fn parse(raw: &'a str) -> Result<Self, PathError> {
        if !raw.starts_with('/') {
            return Err(PathError::NotAbsolute);
        }
        let (mut is_encoded, mut has_dots) = (false, false);
        let mut previous = 0;
        for byte in raw.bytes() {
            match byte {
                b'\\' => return Err(PathError::Backslash),
                b'/' if previous == b'/' => return Err(PathError::EmptySegment),
                b'%' => is_encoded = true,
                // Perhaps one that begins a dot segment.
                b'.' => has_dots |= previous == b'/',
                0..=0x20 | 0x7f => return Err(PathError::Control),
                0x80.. => return Err(PathError::NotUtf8),
                _ => {}
            }
            previous = byte;
        }
        let (decoded, has_encoded_separator) =
            if is_encoded { decode(raw)? } else { (Cow::Borrowed(raw), false) };
        // Encoded separators count here, so that no later decoder finds a dot segment that this one did not see.
        let has_dots = has_dots || is_encoded;
        if has_dots && decoded.split(['/', '\\']).any(|segment| segment == "." || segment == "..") {
            return Err(PathError::DotSegment);
        }
        Ok(Self { decoded, has_encoded_separator })
    }

    /// The decoded path for the lookup of a static file. `None` when the path holds an encoded slash or
    /// backslash: such a path names no file.
    pub fn file(&self) -> Option<&str> {
        (!self.has_encoded_separator).then_some(&*self.decoded)
    }
}

/// The decoded path; one that is refused is left as it is.
pub fn decoded(raw: &str) -> Cow<'_, str> {
    RequestPath::parse(raw).map_or(Cow::Borrowed(raw), |path| path.decoded)
}

fn decode(raw: &str) -> Result<(Cow<'_, str>, bool), PathError> {
    let mut decoded = Vec::with_capacity(raw.len());
    let mut has_separator = false;
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(hex).ok_or(PathError::Encoding);
        match digit()? << 4 | digit()? {
            0..0x20 | 0x7f => return Err(PathError::Control),
            byte => {
                has_separator |= matches!(byte, b'/' | b'\\');
                decoded.push(byte);
            }
        }
    }
    let decoded = String::from_utf8(decoded).map_err(|_| PathError::NotUtf8)?;
    Ok((decoded.into(), has_separator))
}

fn hex(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ordinary_paths_pass() {
        for path in
            ["/", "/a", "/a/", "/assets/main-abc.js", "/a.b", "/...", "/a~b/$x:y@z;v=1", "/.well-known/x"]
        {
            let parsed = RequestPath::parse(path).unwrap();
            assert_eq!(parsed.file(), Some(path));
        }
        assert_eq!(RequestPath::parse("/caf%C3%A9%20x").unwrap().file(), Some("/caf\u{e9} x"));
        assert_eq!(decoded("/caf%C3%A9/a%2Fb"), "/caf\u{e9}/a/b");
        assert_eq!(decoded("/%zz"), "/%zz");
    }

    #[test]
    fn what_is_ambiguous_is_refused() {
        for (path, error) in [
            ("", PathError::NotAbsolute),
            ("*", PathError::NotAbsolute),
            ("//", PathError::EmptySegment),
            ("/a//b", PathError::EmptySegment),
            ("/..", PathError::DotSegment),
            ("/a/../b", PathError::DotSegment),
            ("/a/.", PathError::DotSegment),
            ("/%2e%2E/etc", PathError::DotSegment),
            ("/.%2e/etc", PathError::DotSegment),
            ("/a%2f..%2fb", PathError::DotSegment),
            ("/a%5c..%5cb", PathError::DotSegment),
            ("/a\\b", PathError::Backslash),
            ("/%00", PathError::Control),
            ("/a%0d%0ab", PathError::Control),
            ("/%7f", PathError::Control),
            ("/a b", PathError::Control),
            ("/%", PathError::Encoding),
            ("/%4", PathError::Encoding),
            ("/%zz", PathError::Encoding),
            ("/%+1", PathError::Encoding),
            ("/%ff", PathError::NotUtf8),
            ("/%c0%ae", PathError::NotUtf8),
            ("/\u{e9}", PathError::NotUtf8),
        ] {
            assert_eq!(RequestPath::parse(path), Err(error), "{path}");
        }
    }

    #[test]
    fn an_encoded_separator_names_no_file_and_reaches_the_bundle() {
        for path in ["/a%2Fb", "/a%5cb", "/go/https%3A%2F%2Fexample.com"] {
            assert_eq!(RequestPath::parse(path).unwrap().file(), None, "{path}");
        }
    }

    #[test]
    fn what_is_encoded_twice_is_decoded_once() {
        assert_eq!(RequestPath::parse("/%252e%252e/x").unwrap().file(), Some("/%2e%2e/x"));
    }

    proptest! {
        #[test]
        fn no_accepted_path_leaves_its_root(path in "/?[a./%2eEfF5cC\\\\\u{0}-\u{ff}]{0,20}") {
            if let Ok(parsed) = RequestPath::parse(&path)
                && let Some(file) = parsed.file()
            {
                prop_assert!(file.starts_with('/'));
                prop_assert!(!file.contains('\\') && !file.contains('\0'));
                prop_assert!(file.split('/').all(|segment| segment != "." && segment != ".."));
            }
        }

        #[test]
        fn decoding_undoes_encoding(segments in proptest::collection::vec("[^/\\\\\\p{Cc}]{1,8}", 1..4)) {
            let plain = format!("/{}", segments.join("/"));
            let encoded: String = plain
                .bytes()
                .map(|byte| if byte == b'/' { "/".to_owned() } else { format!("%{byte:02X}") })
                .collect();
            let has_dots = segments.iter().any(|segment| segment == "." || segment == "..");
            match RequestPath::parse(&encoded) {
                Ok(parsed) => prop_assert_eq!(parsed.file(), Some(&*plain)),
                Err(error) => prop_assert!(has_dots && error == PathError::DotSegment, "{error}"),
            }
        }
    }
}
