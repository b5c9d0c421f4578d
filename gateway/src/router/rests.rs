//! Routes that are given a rest because they fail again and again; shared by all gateway threads.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use futures_core::Stream;

use super::classes::RouteClasses;
use crate::admission::breaker::{Breaker, BreakerSettings, Leave, Trial, Verdict};
use crate::pool::RenderError;

/// Routes that are watched at a time, at most: those that have failed of late.
const MOST: usize = 1024;

/// What is told apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Route {
    /// A pattern of the build's manifest, by its number.
    Pattern(u32),
    /// What paths have in common where the manifest tells of no pattern.
    Shape(String),
}

/// The routes that have failed of late. A site whose routes do not fail pays one load of an atomic for each request.
#[derive(Debug)]
pub struct Rests {
    settings: BreakerSettings,
    /// What patterns are called.
    classes: Arc<RouteClasses>,
    watched: AtomicUsize,
    routes: Mutex<HashMap<Route, Breaker>>,
}

impl Rests {
    /// None so far.
    pub fn new(settings: BreakerSettings, classes: Arc<RouteClasses>) -> Self {
        Self { settings, classes, watched: AtomicUsize::new(0), routes: Mutex::default() }
    }

    fn name<'a>(&'a self, route: &'a Route) -> &'a str {
        match route {
            Route::Pattern(number) => self.classes.pattern(*number).unwrap_or_default(),
            Route::Shape(shape) => shape,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Route, Breaker>> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watches_any(&self) -> bool {
        self.watched.load(Ordering::Relaxed) > 0
    }

    /// Lets a job of this route run, or not. What it returns is to be told how the job ends, if it returns anything.
    ///
    /// # Errors
    /// [`Resting`].
    pub fn enter(self: &Arc<Self>, route: impl FnOnce() -> Route) -> Result<Option<Watch>, Resting> {
        if !self.watches_any() {
            return Ok(None);
        }
        let route = route();
        let leave = self.lock().get_mut(&route).map(|breaker| breaker.allows(self.settings, Instant::now()));
        match leave {
            None | Some(Leave::Run) => Ok(None),
            Some(Leave::Try(trial)) => Ok(Some(Watch { rests: Arc::clone(self), route, trial: Some(trial) })),
            Some(Leave::Rest(left)) => {
                let seconds = u32::try_from(left.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1);
                Err(Resting { seconds })
            }
        }
    }

    /// Watches a job of this route whose end is not near; `None` where no route is ever given a rest.
    pub fn watch(self: &Arc<Self>, route: impl FnOnce() -> Route) -> Option<Watch> {
        let is_any = self.settings.failures > 0;
        is_any.then(|| Watch { rests: Arc::clone(self), route: route(), trial: None })
    }

    /// A job of this route has ended that nobody watches.
    pub fn ended(&self, route: impl FnOnce() -> Route, verdict: Verdict) {
        if self.is_told(verdict) {
            self.tell(&route(), None, verdict);
        }
    }

    /// Whether this verdict on a job that was no trial can change anything.
    fn is_told(&self, verdict: Verdict) -> bool {
        match verdict {
            Verdict::Bad => self.settings.failures > 0,
            Verdict::Good => self.watches_any(),
            Verdict::Unknown => false,
        }
    }

    fn tell(&self, route: &Route, trial: Option<Trial>, verdict: Verdict) {
        let now = Instant::now();
        let mut routes = self.lock();
        if routes.len() >= MOST {
            routes.retain(|_, breaker| !breaker.is_blank(self.settings, now));
        }
        let has_room = routes.len() < MOST;
        let breaker = match routes.entry(route.clone()) {
            Entry::Occupied(breaker) => breaker.into_mut(),
            // What fails while so many others do is not watched.
            Entry::Vacant(place) if verdict == Verdict::Bad && has_room => place.insert(Breaker::new(now)),
            Entry::Vacant(_) => return,
        };
        let rests = breaker.ended(verdict, trial, self.settings, now);
        let is_blank = breaker.is_blank(self.settings, now);
        if is_blank && verdict == Verdict::Good {
            routes.retain(|_, breaker| !breaker.is_blank(self.settings, now));
        }
        self.watched.store(routes.len(), Ordering::Relaxed);
        if rests {
            let (route, routes) = (self.name(route), routes.len());
            tracing::warn!(route, routes, "a route fails again and again and is given a rest");
        }
    }
}

/// The route rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resting {
    /// After so many seconds another attempt makes sense; at least 1.
    pub seconds: u32,
}

/// A job whose end its route is to hear of. Where it is dropped before, it says nothing of the route.
#[derive(Debug)]
#[must_use = "a trial that is dropped says nothing of its route"]
pub struct Watch {
    rests: Arc<Rests>,
    route: Route,
    /// The job finds out whether the route is well again.
    trial: Option<Trial>,
}

impl Watch {
    /// The job's response has begun, and goes on.
    pub fn begun(&self) {
        let Some(trial) = self.trial else { return };
        if let Some(breaker) = self.rests.lock().get_mut(&self.route) {
            breaker.begun(trial, self.rests.settings, Instant::now());
        }
    }

    /// The job has ended.
    pub fn ended(mut self, verdict: Verdict) {
        let trial = self.trial.take();
        if trial.is_some() || self.rests.is_told(verdict) {
            self.rests.tell(&self.route, trial, verdict);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(trial) = self.trial.take() {
            self.rests.tell(&self.route, Some(trial), Verdict::Unknown);
        }
    }
}

/// What a job that failed says of its route.
pub fn verdict(error: &RenderError) -> Verdict {
    match error {
        RenderError::Lost | RenderError::Timeout | RenderError::TurnLimit | RenderError::HeapLimit => {
            Verdict::Bad
        }
        _ => Verdict::Unknown,
    }
}

pin_project_lite::pin_project! {
    /// A response's body whose end its route hears of.
    #[derive(Debug)]
    pub struct Watched<S> {
        #[pin]
        body: S,
        watch: Option<Watch>,
    }
}

impl<S> Watched<S> {
    /// Lets `watch`, if any, hear of the end of `body`.
    pub fn new(body: S, watch: Option<Watch>) -> Self {
        Self { body, watch }
    }
}

impl<S, T> Stream for Watched<S>
where
    S: Stream<Item = Result<T, RenderError>>,
{
    type Item = Result<T, RenderError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        let part = std::task::ready!(this.body.poll_next(cx));
        let end = match &part {
            Some(Ok(_)) => None,
            Some(Err(error)) => Some(verdict(error)),
            None => Some(Verdict::Good),
        };
        if let Some(end) = end
            && let Some(watch) = this.watch.take()
        {
            watch.ended(end);
        }
        Poll::Ready(part)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;
    use std::time::Duration;

    use super::*;

    fn classes() -> Arc<RouteClasses> {
        Arc::new(RouteClasses::of(&[], ""))
    }

    fn rests(failures: u32) -> Arc<Rests> {
        let pause = Duration::from_secs(60);
        Arc::new(Rests::new(BreakerSettings { failures, pause, ..BreakerSettings::default() }, classes()))
    }

    /// Whose rests are over at once.
    fn soon_over() -> Arc<Rests> {
        let settings = BreakerSettings { failures: 1, pause: Duration::ZERO, ..BreakerSettings::default() };
        let rests = Arc::new(Rests::new(settings, classes()));
        rests.ended(bad, Verdict::Bad);
        rests
    }

    fn bad() -> Route {
        Route::Shape("/bad".into())
    }

    fn trial(rests: &Arc<Rests>) -> Watch {
        rests.enter(bad).unwrap().expect("a trial")
    }

    /// A body of these parts.
    struct Parts(Vec<Result<u8, RenderError>>);

    impl Stream for Parts {
        type Item = Result<u8, RenderError>;

        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            Poll::Ready((!self.0.is_empty()).then(|| self.0.remove(0)))
        }
    }

    fn next(body: &mut Watched<Parts>) -> bool {
        let part = Pin::new(body).poll_next(&mut Context::from_waker(Waker::noop()));
        matches!(part, Poll::Ready(Some(_)))
    }

    #[test]
    fn only_the_route_that_fails_rests() {
        let rests = rests(1);
        assert!(rests.enter(|| panic!("nobody asks for the route while none fails")).unwrap().is_none());
        rests.ended(|| panic!("nor then"), Verdict::Good);
        rests.ended(bad, Verdict::Bad);
        assert_eq!(rests.enter(bad).unwrap_err(), Resting { seconds: 60 });
        assert!(rests.enter(|| Route::Pattern(1)).unwrap().is_none());
        rests.ended(|| Route::Pattern(1), Verdict::Good);
        assert_eq!(rests.lock().len(), 1);
    }

    #[test]
    fn only_so_many_are_watched() {
        let rests = rests(2);
        for number in 0..2 * MOST {
            rests.ended(|| Route::Shape(format!("/{number}")), Verdict::Bad);
        }
        assert_eq!(rests.lock().len(), MOST);
    }

    #[test]
    fn a_trial_that_is_dropped_makes_room_for_the_next() {
        let rests = soon_over();
        let first = trial(&rests);
        assert_eq!(rests.enter(bad).unwrap_err(), Resting { seconds: 1 });
        drop(first);
        trial(&rests).ended(Verdict::Good);
        assert!(rests.enter(bad).unwrap().is_none(), "it is well again");
    }

    #[test]
    fn a_body_that_breaks_off_is_a_failure() {
        let rests = rests(1);
        let parts = vec![Ok(1), Err(RenderError::TurnLimit)];
        let mut body = Watched::new(Parts(parts), rests.watch(bad));
        assert!(next(&mut body) && rests.enter(bad).is_ok());
        next(&mut body);
        assert_eq!(rests.enter(bad).unwrap_err(), Resting { seconds: 60 });
    }

    #[test]
    fn a_body_that_comes_to_its_end_is_a_success_and_one_that_nobody_reads_says_nothing() {
        let rests = soon_over();
        drop(Watched::new(Parts(vec![Ok(1)]), Some(trial(&rests))));
        let mut body = Watched::new(Parts(vec![Ok(1)]), Some(trial(&rests)));
        assert!(next(&mut body));
        assert_eq!(rests.enter(bad).unwrap_err(), Resting { seconds: 1 }, "its end is still to come");
        assert!(!next(&mut body));
        assert!(rests.enter(bad).unwrap().is_none());
    }
}
