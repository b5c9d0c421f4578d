//! Routes that are given a rest because they fail again and again; shared by all gateway threads.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::admission::breaker::{Breaker, BreakerSettings, Verdict};

/// Routes that are watched at a time, at most: those that have failed of late.
const MOST: usize = 1024;

/// The routes that have failed of late. A site whose routes do not fail pays one load of an atomic for each request.
#[derive(Debug)]
pub struct Rests {
    settings: BreakerSettings,
    watched: AtomicUsize,
    routes: Mutex<HashMap<String, Breaker>>,
}

impl Rests {
    /// None so far.
    pub fn new(settings: BreakerSettings) -> Self {
        Self { settings, watched: AtomicUsize::new(0), routes: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Breaker>> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watches_any(&self) -> bool {
        self.watched.load(Ordering::Relaxed) > 0
    }

    /// Whether a job of this route may run.
    pub fn allows(&self, route: impl FnOnce() -> String) -> bool {
        if !self.watches_any() {
            return true;
        }
        let route = route();
        self.lock().get_mut(&route).is_none_or(|breaker| breaker.allows(self.settings, Instant::now()))
    }

    /// A job of this route has ended.
    pub fn ended(&self, route: impl FnOnce() -> String, verdict: Verdict) {
        if self.settings.failures == 0 || (verdict != Verdict::Bad && !self.watches_any()) {
            return;
        }
        let (route, now) = (route(), Instant::now());
        let mut routes = self.lock();
        if routes.len() >= MOST {
            routes.retain(|_, breaker| !breaker.is_blank(self.settings, now));
        }
        let has_room = routes.len() < MOST;
        let breaker = match routes.entry(route) {
            Entry::Occupied(breaker) => breaker.into_mut(),
            // What fails while so many others do is not watched.
            Entry::Vacant(place) if verdict == Verdict::Bad && has_room => place.insert(Breaker::new(now)),
            Entry::Vacant(_) => return,
        };
        let rests = breaker.ended(verdict, self.settings, now);
        let is_blank = breaker.is_blank(self.settings, now);
        if is_blank && verdict == Verdict::Good {
            routes.retain(|_, breaker| !breaker.is_blank(self.settings, now));
        }
        self.watched.store(routes.len(), Ordering::Relaxed);
        if rests {
            tracing::warn!(routes = routes.len(), "a route fails again and again and is given a rest");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn rests(failures: u32) -> Rests {
        Rests::new(BreakerSettings { failures, pause: Duration::from_secs(60), ..BreakerSettings::default() })
    }

    #[test]
    fn only_the_route_that_fails_rests() {
        let rests = rests(1);
        assert!(rests.allows(|| panic!("nobody asks for the route while none fails")));
        rests.ended(|| panic!("nor then"), Verdict::Good);
        rests.ended(|| "/bad".into(), Verdict::Bad);
        assert!(!rests.allows(|| "/bad".into()));
        assert!(rests.allows(|| "/good".into()));
        rests.ended(|| "/good".into(), Verdict::Good);
        assert_eq!(rests.lock().len(), 1);
    }

    #[test]
    fn only_so_many_are_watched() {
        let rests = rests(2);
        for number in 0..2 * MOST {
            rests.ended(|| format!("/{number}"), Verdict::Bad);
        }
        assert_eq!(rests.lock().len(), MOST);
    }
}
