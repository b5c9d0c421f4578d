//! Jobs and calls by their ids.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// What belongs to ids that this program has given out or been given by its own peer: nobody outside chooses them.
pub type ById<T> = HashMap<u64, T, BuildHasherDefault<IdHasher>>;

/// Spreads ids, which are counted up, by one multiplication (Knuth, "The Art of Computer Programming", section 6.4).
#[derive(Debug, Clone, Default)]
pub struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, id: u64) {
        // Tables look at the highest bits and at the lowest.
        self.0 = (self.0 ^ id).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::{BuildHasher, BuildHasherDefault};

    use super::*;

    #[test]
    fn neighbours_are_spread_in_the_bits_that_tables_look_at() {
        let hash = |id: u64| BuildHasherDefault::<IdHasher>::default().hash_one(id);
        for thread in [0, 3 << 48] {
            let low: HashSet<_> = (0..1024).map(|id| hash(thread | id) & 1023).collect();
            let high: HashSet<_> = (0..128).map(|id| hash(thread | id) >> 57).collect();
            assert!(low.len() > 512, "{}", low.len());
            assert!(high.len() > 32, "{}", high.len());
        }
    }
}
