//! How many requests of a route run, where the configuration limits that.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::config::edge::RouteLimit;

/// A place of a route. It frees when all clones are dropped, or while its request needs none.
#[derive(Debug, Clone)]
#[must_use = "the place frees when it is dropped"]
pub struct Place(Rc<Taken>);

#[derive(Debug)]
struct Taken {
    running: Arc<AtomicUsize>,
    is_taken: Cell<bool>,
}

/// As many run as may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

/// Takes a place of this route; `None` where it has no limit.
///
/// # Errors
/// [`Busy`].
pub fn take(limit: Option<&RouteLimit>) -> Result<Option<Place>, Busy> {
    let Some((limit, most)) = limit.and_then(|limit| Some((limit, limit.max_concurrent?))) else {
        return Ok(None);
    };
    let more = |running: usize| (running < most).then_some(running + 1);
    match limit.running.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) {
        Ok(_) => {
            let running = Arc::clone(&limit.running);
            Ok(Some(Place(Rc::new(Taken { running, is_taken: Cell::new(true) }))))
        }
        Err(_) => Err(Busy),
    }
}

impl Place {
    /// Whether the request needs its place, for now. It takes it again also beyond those that there are.
    pub fn set_needed(&self, is_needed: bool) {
        match (self.0.is_taken.replace(is_needed), is_needed) {
            (false, true) => {
                self.0.running.fetch_add(1, Ordering::Relaxed);
            }
            (true, false) => {
                self.0.running.fetch_sub(1, Ordering::Relaxed);
            }
            _ => {}
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if self.is_taken.get() {
            self.running.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(max_concurrent: Option<usize>) -> RouteLimit {
        RouteLimit { max_concurrent, timeout: None, queue_wait: None, running: Arc::default() }
    }

    #[test]
    fn a_place_frees_when_it_is_dropped() {
        let (limit, unlimited) = (of(Some(1)), of(None));
        let place = take(Some(&limit)).unwrap();
        let clone = place.clone();
        drop(place);
        assert_eq!(take(Some(&limit)).unwrap_err(), Busy);
        drop(clone);
        assert!(take(Some(&limit)).is_ok());
        assert!(take(Some(&unlimited)).unwrap().is_none() && take(None).unwrap().is_none());
    }

    #[test]
    fn a_place_is_free_while_its_request_does_not_need_it() {
        let limit = of(Some(1));
        let place = take(Some(&limit)).unwrap().unwrap();
        (0..2).for_each(|_| place.set_needed(false));
        let other = take(Some(&limit)).unwrap();
        (0..2).for_each(|_| place.set_needed(true));
        assert_eq!(limit.running.load(Ordering::Relaxed), 2, "who comes back is let in");
        drop(other);
        assert_eq!(take(Some(&limit)).unwrap_err(), Busy);
        place.set_needed(false);
        drop(place);
        assert_eq!(limit.running.load(Ordering::Relaxed), 0);
    }
}
