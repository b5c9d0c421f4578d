//! The jobs and calls that run now, by id, over all gateway threads: for `/status`, and for a drain that waits.

use std::hash::BuildHasherDefault;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use shared::ids::IdHasher;
use tokio::sync::Notify;

use super::slot::{ChildId, IsolateId};

/// Where a job or call runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Isolate(IsolateId),
    Worker(ChildId),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Running {
    pub place: Place,
    pub started: Instant,
    /// It took its process with it.
    blamed: bool,
}

/// What runs now.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    running: DashMap<u64, Running, BuildHasherDefault<IdHasher>>,
    count: AtomicUsize,
    idle: Notify,
}

/// One that runs; it has ended when this is dropped.
#[derive(Debug)]
pub(super) struct Entry {
    owner: Arc<InFlight>,
    id: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.owner.running.remove(&self.id);
        if self.owner.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.owner.idle.notify_waiters();
        }
    }
}

impl InFlight {
    pub fn enter(self: &Arc<Self>, id: u64, place: Place) -> Entry {
        self.enter_at(id, place, Instant::now())
    }

    /// One that starts now, which the caller knows already.
    pub fn enter_at(self: &Arc<Self>, id: u64, place: Place, started: Instant) -> Entry {
        self.count.fetch_add(1, Ordering::AcqRel);
        self.running.insert(id, Running { place, started, blamed: false });
        Entry { owner: self.clone(), id }
    }

    pub fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// The time since the oldest one started.
    pub fn oldest(&self) -> Option<Duration> {
        self.running.iter().map(|entry| entry.started.elapsed()).max()
    }

    /// One that runs is to blame for the end of its process.
    pub fn blame(&self, id: u64) {
        if let Some(mut running) = self.running.get_mut(&id) {
            running.blamed = true;
        }
    }

    /// Whether one that runs is to blame for the end of its process.
    pub fn is_blamed(&self, id: u64) -> bool {
        self.running.get(&id).is_some_and(|running| running.blamed)
    }

    /// Waits until nothing runs.
    pub async fn idle(&self) {
        loop {
            let mut idle = std::pin::pin!(self.idle.notified());
            idle.as_mut().enable();
            if self.count() == 0 {
                return;
            }
            idle.await;
        }
    }

    /// Those that run at this place.
    pub fn at(&self, place: Place) -> Vec<Running> {
        self.running.iter().filter(|entry| entry.place == place).map(|entry| *entry.value()).collect()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn idle_comes_with_the_last_one() {
        let in_flight = Arc::new(InFlight::default());
        let place = Place::Isolate(IsolateId { slot: 0, generation: 1, isolate: 0 });
        let (first, second) = (in_flight.enter(1, place), in_flight.enter(2, place));
        let mut idle = Box::pin(in_flight.idle());
        assert!(idle.as_mut().now_or_never().is_none());
        drop(first);
        assert!(idle.as_mut().now_or_never().is_none());
        assert_eq!(in_flight.at(place).len(), 1);
        drop(second);
        idle.await;
        in_flight.idle().await;
    }
}
