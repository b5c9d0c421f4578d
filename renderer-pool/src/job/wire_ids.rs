//! Under which ids the gateway knows the jobs of an isolate, for other threads: while JavaScript does not come to its
//! end, nobody gets at the isolate's table of jobs.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// So many jobs are remembered, the latest ones; more than an isolate has under way unless one lasts very long.
const REMEMBERED: usize = 1024;

/// The ids of the latest jobs. One thread writes, others read.
#[derive(Debug)]
pub struct WireIds(Box<[Entry]>);

#[derive(Debug, Default)]
struct Entry {
    key: AtomicU32,
    id: AtomicU64,
}

impl Default for WireIds {
    fn default() -> Self {
        Self((0..REMEMBERED).map(|_| Entry::default()).collect())
    }
}

impl WireIds {
    fn entry(&self, key: u32) -> &Entry {
        &self.0[key as usize % REMEMBERED]
    }

    /// Remembers a job; only the isolate's thread calls this.
    pub fn remember(&self, key: u32, id: u64) {
        let entry = self.entry(key);
        entry.id.store(id, Ordering::Relaxed);
        entry.key.store(key, Ordering::Release);
    }

    /// Forgets a job that has ended; only the isolate's thread calls this.
    pub fn forget(&self, key: u32) {
        let entry = self.entry(key);
        if entry.key.load(Ordering::Relaxed) == key {
            entry.key.store(0, Ordering::Release);
        }
    }

    /// The id of the one job that there is, if there is but one.
    pub fn only(&self) -> Option<u64> {
        let mut there = self.0.iter().filter(|entry| entry.key.load(Ordering::Acquire) != 0);
        let only = there.next()?;
        there.next().is_none().then(|| only.id.load(Ordering::Relaxed))
    }

    /// The id of this job, unless it is too old. Right as long as the isolate starts no job meanwhile.
    pub fn find(&self, key: u32) -> Option<u64> {
        let entry = self.entry(key);
        let known = key != 0 && entry.key.load(Ordering::Acquire) == key;
        known.then(|| entry.id.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_jobs_are_found_and_no_others() {
        let ids = WireIds::default();
        assert_eq!(ids.find(0), None);
        (1..=2000).for_each(|key| ids.remember(key, u64::from(key) << 40));
        assert_eq!(ids.find(2000), Some(2000 << 40));
        assert_eq!(ids.find(977), Some(977 << 40));
        assert_eq!(ids.find(976), None, "forgotten");
        assert_eq!(ids.find(2001), None, "not begun");
        assert_eq!(ids.only(), None, "one of many");
        (1..2000).for_each(|key| ids.forget(key));
        assert_eq!((ids.find(1999), ids.only()), (None, Some(2000 << 40)));
        ids.forget(2000);
        assert_eq!(ids.only(), None);
    }
}
