//! Buckets in memory, shared by all threads.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use super::bucket::{Bucket, Standing};

/// How often full buckets are swept out while there is no room, in microseconds.
const SWEEP_PAUSE: u64 = 1_000_000;

/// The buckets of one gateway.
#[derive(Debug)]
pub struct Local {
    /// When each is full, by rule and client.
    full_at: DashMap<u64, u64>,
    most: usize,
    names: RandomState,
    started: Instant,
    swept: AtomicU64,
}

impl Local {
    /// No buckets yet, and at most `most` but for one that the rest of each rule's clients share.
    pub fn new(most: usize) -> Self {
        let names = RandomState::new();
        Self { full_at: DashMap::new(), most, names, started: Instant::now(), swept: AtomicU64::new(0) }
    }

    /// Takes a token from the bucket of this client under this rule.
    pub fn take(&self, rule: usize, client: &[u8], bucket: Bucket) -> Standing {
        // A second on, so that a bucket that nobody has used is full in the past.
        let now =
            u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX).saturating_add(1_000_000);
        self.take_at(rule, client, bucket, now)
    }

    fn take_at(&self, rule: usize, client: &[u8], bucket: Bucket, now: u64) -> Standing {
        let name = self.names.hash_one((rule, client));
        let has_room = self.full_at.len() < self.most || self.full_at.contains_key(&name) || self.sweep(now);
        let name = if has_room { name } else { self.names.hash_one((rule, "the rest")) };
        match self.full_at.entry(name) {
            Entry::Occupied(mut entry) => {
                let (standing, full_at) = bucket.take(*entry.get(), now);
                entry.insert(full_at);
                standing
            }
            Entry::Vacant(entry) => {
                let (standing, full_at) = bucket.take(0, now);
                entry.insert(full_at);
                standing
            }
        }
    }

    /// Forgets buckets that are full: they are as if they had never been used. Whether there is room now.
    fn sweep(&self, now: u64) -> bool {
        let last = self.swept.load(Ordering::Relaxed);
        let due = now.saturating_sub(last) >= SWEEP_PAUSE
            && self.swept.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if due {
            self.full_at.retain(|_, full_at| *full_at > now);
        }
        self.full_at.len() < self.most
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.full_at.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.full_at.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_and_rules_have_buckets_of_their_own() {
        let (local, bucket) = (Local::new(100), Bucket::new(1, 1_000_000, 1));
        assert!(local.take_at(0, b"a", bucket, 10).allowed);
        assert!(!local.take_at(0, b"a", bucket, 11).allowed);
        assert!(local.take_at(0, b"b", bucket, 12).allowed);
        assert!(local.take_at(1, b"a", bucket, 13).allowed);
        assert_eq!(local.len(), 3);
    }

    #[test]
    fn a_crowd_shares_one_bucket_and_memory_is_bounded() {
        let (local, bucket) = (Local::new(10), Bucket::new(1, 10_000_000, 1));
        let ask = |client: u32, now| local.take_at(0, &client.to_be_bytes(), bucket, now).allowed;
        assert!((0..10).all(|client| ask(client, 1_000_000)));
        assert!(ask(10, 1_000_001), "the first of the rest");
        assert!((11..1000).all(|client| !ask(client, 1_000_002)), "the others of the rest");
        assert!(!ask(3, 1_000_003), "who has a bucket keeps it");
        assert_eq!(local.len(), 11);
        // Once the buckets are full again they are forgotten, and there is room.
        assert!((2000..2005).all(|client| ask(client, 12_000_000)));
        assert!(local.len() <= 11);
    }
}
