//! How long a request's head is, while it comes. Pure.
//!
//! actix-http looks at a head once it has all that came, and at 128 KiB for the first time at its length; a head
//! with a longer target than 64 KiB it calls malformed. So the bytes are counted on their way.

use memchr::memchr;

/// Looks for the end of a head in pieces of any length.
#[derive(Debug, Clone, Default)]
pub struct HeadScan {
    bytes: usize,
    /// The line that is being read is empty so far. The request line never counts as one: servers skip empty
    /// lines before it (RFC 9112 section 2.2).
    is_line_empty: bool,
    has_begun: bool,
    has_ended: bool,
}

impl HeadScan {
    /// The bytes of the head so far.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the head is complete.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Takes the next piece in. Returns the bytes of the head so far.
    pub fn take(&mut self, piece: &[u8]) -> usize {
        if self.has_ended {
            return self.bytes;
        }
        let mut rest = piece;
        // Lines are skipped over as wholes: only how each begins counts.
        while let Some(first) = rest.first() {
            let is_within_line = self.has_begun && !self.is_line_empty;
            let taken = match first {
                _ if is_within_line => match memchr(b'\n', rest) {
                    Some(at) => {
                        self.is_line_empty = true;
                        at + 1
                    }
                    None => rest.len(),
                },
                b'\n' => {
                    self.has_ended = self.has_begun;
                    self.is_line_empty = true;
                    1
                }
                b'\r' => 1,
                _ => {
                    (self.has_begun, self.is_line_empty) = (true, false);
                    continue;
                }
            };
            self.bytes += taken;
            if self.has_ended {
                break;
            }
            rest = &rest[taken..];
        }
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEAD: &str = "POST / HTTP/1.1\r\nhost: localhost\r\n\r\n";

    #[test]
    fn the_body_does_not_count() {
        assert_eq!(HeadScan::default().take(format!("{HEAD}body\r\n\r\nbody").as_bytes()), HEAD.len());
        assert_eq!(HeadScan::default().take(b"GET / HTTP/1.1\nhost: a\n\nbody"), 24);
        assert_eq!(HeadScan::default().take(format!("\r\n\r\n{HEAD}body").as_bytes()), HEAD.len() + 4);
    }

    #[test]
    fn a_head_that_does_not_end_counts_whole() {
        let long = format!("GET /{}", "a".repeat(100_000));
        assert_eq!(HeadScan::default().take(long.as_bytes()), long.len());
    }

    #[test]
    fn a_head_in_one_piece_is_known_by_its_end() {
        let mut scan = HeadScan::default();
        assert_eq!(scan.take(HEAD.as_bytes()), HEAD.len());
        assert_eq!(scan.take(b"body"), HEAD.len());
        assert_eq!(HeadScan::default().take(b"\r\n\r\n"), 4, "no head has begun");
        for behind in [HEAD, "\r\n\r\n", "\r\n", "body\r\n\r\n"] {
            assert_eq!(
                HeadScan::default().take(format!("{HEAD}{behind}").as_bytes()),
                HEAD.len(),
                "{behind:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn pieces_of_any_length_say_the_same(cuts in proptest::collection::vec(1usize..9, 1..80)) {
            let text = format!("{HEAD}body\r\n\r\nbody");
            let (mut scan, mut left, mut bytes) = (HeadScan::default(), text.as_bytes(), 0);
            for cut in cuts.iter().cycle() {
                if left.is_empty() {
                    break;
                }
                let (piece, rest) = left.split_at((*cut).min(left.len()));
                bytes = scan.take(piece);
                left = rest;
            }
            prop_assert_eq!(bytes, HEAD.len());
        }
    }
}
