//! How many requests of a route run, where the configuration limits that.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use futures_core::Stream;

use crate::config::edge::RouteLimit;

/// A request that runs; it has ended when this is dropped.
#[derive(Debug)]
#[must_use = "the place frees when it is dropped"]
pub struct Place(Arc<AtomicUsize>);

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
        Ok(_) => Ok(Some(Place(Arc::clone(&limit.running)))),
        Err(_) => Err(Busy),
    }
}

pin_project_lite::pin_project! {
    /// A body whose request holds a place until the body's end.
    #[derive(Debug)]
    pub struct Held<S> {
        #[pin]
        stream: S,
        place: Option<Place>,
    }
}

impl<S> Held<S> {
    /// Holds `place` as long as `stream`.
    pub fn new(stream: S, place: Option<Place>) -> Self {
        Self { stream, place }
    }
}

impl<S: Stream> Stream for Held<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        self.project().stream.poll_next(cx)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_frees_when_it_is_dropped() {
        let of = |max_concurrent| RouteLimit {
            max_concurrent,
            timeout: None,
            queue_wait: None,
            running: Arc::default(),
        };
        let (limit, unlimited) = (of(Some(1)), of(None));
        let place = take(Some(&limit)).unwrap();
        assert!(place.is_some());
        assert_eq!(take(Some(&limit)).unwrap_err(), Busy);
        drop(place);
        assert!(take(Some(&limit)).is_ok());
        assert!(take(Some(&unlimited)).unwrap().is_none() && take(None).unwrap().is_none());
    }
}
