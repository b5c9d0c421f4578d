//! How long a request's head is, while it comes. Pure.
//!
//! actix-http looks at a head once it has all that came, and at 128 KiB for the first time at its length; a head
//! with a longer target than 64 KiB it calls malformed. So the bytes are counted on their way.

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
        if self.bytes == 0 && is_one_head(piece) {
            self.has_begun = true;
            self.has_ended = true;
            self.bytes = piece.len();
            return self.bytes;
        }
        for byte in piece {
            self.bytes += 1;
            match byte {
                b'\n' if self.is_line_empty && self.has_begun => {
                    self.has_ended = true;
                    return self.bytes;
                }
                b'\n' => self.is_line_empty = true,
                b'\r' => {}
                _ => {
                    self.is_line_empty = false;
                    self.has_begun = true;
                }
            }
        }
        self.bytes
    }
}

/// Whether a piece that begins a head is certainly all of it and nothing more: mostly so.
fn is_one_head(piece: &[u8]) -> bool {
    piece.ends_with(b"\r\n\r\n")
        && !matches!(piece[0], b'\r' | b'\n')
        && !piece[..piece.len() - 2].windows(2).any(|pair| matches!(pair, b"\n\r" | b"\n\n"))
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
