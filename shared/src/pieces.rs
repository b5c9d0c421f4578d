//! Bytes that have come and wait for their reader.
//!
//! A window counts bytes. What lies here must cost little more than these, however small the pieces are in which they
//! come: a sender may cut its window into as many pieces as it has bytes. Small ones are put together.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::window::MAX_CHUNK_BYTES;

/// A piece of at least so many bytes is kept as it came; the others are copied.
const WHOLE_BYTES: usize = 1024;

/// Pieces in their order.
#[derive(Debug, Default)]
pub struct Pieces {
    waiting: VecDeque<Bytes>,
    /// What came last, in small pieces; comes after all that is `waiting`.
    small: BytesMut,
}

impl Pieces {
    /// Adds a piece at the end.
    pub fn push(&mut self, bytes: Bytes) {
        if bytes.len() >= WHOLE_BYTES {
            self.close();
            self.waiting.push_back(bytes);
            return;
        }
        if self.small.len() + bytes.len() > MAX_CHUNK_BYTES {
            self.close();
        }
        self.small.extend_from_slice(&bytes);
    }

    /// Takes from the front: one piece, or several small ones together. Never empty.
    pub fn pop(&mut self) -> Option<Bytes> {
        if let Some(bytes) = self.waiting.pop_front() {
            return Some(bytes);
        }
        (!self.small.is_empty()).then(|| self.small.split().freeze())
    }

    fn close(&mut self) {
        if !self.small.is_empty() {
            self.waiting.push_back(std::mem::take(&mut self.small).freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::window::INITIAL_WINDOW;

    #[test]
    fn a_window_of_single_bytes_costs_no_more_than_a_window() {
        let mut pieces = Pieces::default();
        (0..INITIAL_WINDOW).for_each(|_| pieces.push(Bytes::from_static(b"a")));
        assert!(pieces.waiting.capacity() <= 16, "{}", pieces.waiting.capacity());
        let taken: Vec<Bytes> = std::iter::from_fn(|| pieces.pop()).collect();
        assert_eq!(taken.len(), INITIAL_WINDOW / MAX_CHUNK_BYTES);
        assert_eq!(taken.iter().map(Bytes::len).sum::<usize>(), INITIAL_WINDOW);
    }

    proptest! {
        #[test]
        fn all_bytes_come_once_and_in_order(
            steps in proptest::collection::vec(prop_oneof![Just(None), (0..3000usize).prop_map(Some)], 0..60),
        ) {
            let (mut pieces, mut given, mut taken) = (Pieces::default(), Vec::new(), Vec::new());
            for step in steps {
                match step {
                    Some(length) => {
                        let bytes: Vec<u8> = (0..length).map(|at| (given.len() + at).to_le_bytes()[0]).collect();
                        given.extend_from_slice(&bytes);
                        pieces.push(bytes.into());
                    }
                    None => {
                        if let Some(bytes) = pieces.pop() {
                            prop_assert!(!bytes.is_empty());
                            taken.extend_from_slice(&bytes);
                        }
                    }
                }
            }
            while let Some(bytes) = pieces.pop() {
                taken.extend_from_slice(&bytes);
            }
            prop_assert_eq!(taken, given);
        }
    }
}
