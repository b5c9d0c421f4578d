//! How long a job may take: first its `request.signal` aborts, a grace later it is closed. Pure.
//!
//! The time counts while the gateway waits for the isolate, and not while the isolate waits for a slow client: a
//! page that a client takes its time to read is none that the app is late with.

use std::time::{Duration, Instant};

/// The times of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobTimes {
    /// After so long `request.signal` aborts; zero never aborts and never closes.
    pub abort_delay: Duration,
    /// So much later the job is closed, whatever JavaScript does.
    pub abort_grace: Duration,
}

impl JobTimes {
    /// With as much time as a route's own limit gives, where that is more.
    #[must_use]
    pub fn reaching(self, limit: Option<Duration>) -> Self {
        let end = self.abort_delay + self.abort_grace;
        match limit.filter(|limit| !self.abort_delay.is_zero() && *limit > end) {
            Some(limit) => Self { abort_delay: limit - self.abort_grace, ..self },
            None => self,
        }
    }
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing before this time.
    Until(Instant),
    /// Tell the job to come to its end, and ask again.
    Abort,
    /// Close it.
    Close,
}

/// What is left of a job's times.
#[derive(Debug)]
pub(super) struct Patience {
    times: JobTimes,
    /// What was used up before the wait that goes on.
    used: Duration,
    waiting_since: Option<Instant>,
    aborted: bool,
}

impl Patience {
    /// The patience with a job that starts; `None` when it has no end.
    pub fn new(times: JobTimes) -> Option<Self> {
        let ends = times.abort_delay > Duration::ZERO;
        ends.then_some(Self { times, used: Duration::ZERO, waiting_since: None, aborted: false })
    }

    /// The gateway waits for the isolate. Says what is due; asked again at that time it says more.
    pub fn wait(&mut self, now: Instant) -> Due {
        let since = *self.waiting_since.get_or_insert(now);
        let used = self.used + now.saturating_duration_since(since);
        let allowed = match self.aborted {
            false => self.times.abort_delay,
            true => self.times.abort_delay + self.times.abort_grace,
        };
        match allowed.checked_sub(used).filter(|left| !left.is_zero()) {
            Some(left) => Due::Until(now + left),
            None if self.aborted => Due::Close,
            None => {
                self.aborted = true;
                Due::Abort
            }
        }
    }

    /// Whether the gateway waits for the isolate.
    pub fn is_waiting(&self) -> bool {
        self.waiting_since.is_some()
    }

    /// Something has come: the wait is over.
    pub fn stop(&mut self, now: Instant) {
        if let Some(since) = self.waiting_since.take() {
            self.used += now.saturating_duration_since(since);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: JobTimes =
        JobTimes { abort_delay: Duration::from_secs(15), abort_grace: Duration::from_secs(5) };

    #[test]
    fn the_signal_aborts_and_the_job_is_closed_after_the_grace() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut patience = Patience::new(TIMES).unwrap();
        assert_eq!(patience.wait(at(0)), Due::Until(at(15)));
        assert_eq!(patience.wait(at(15)), Due::Abort);
        assert_eq!(patience.wait(at(15)), Due::Until(at(20)));
        assert_eq!(patience.wait(at(20)), Due::Close);
    }

    #[test]
    fn the_time_of_a_slow_client_does_not_count() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut patience = Patience::new(TIMES).unwrap();
        patience.wait(at(0));
        patience.stop(at(10));
        assert_eq!(patience.wait(at(1000)), Due::Until(at(1005)));
        assert_eq!(patience.wait(at(1005)), Due::Abort);
    }

    #[test]
    fn a_limit_beyond_the_end_moves_it_and_none_comes_before_it() {
        let ends = |limit| {
            let times = TIMES.reaching(limit);
            [times.abort_delay, times.abort_delay + times.abort_grace].map(|time| time.as_secs())
        };
        assert_eq!(ends(Some(Duration::from_secs(60))), [55, 60]);
        for limit in [None, Some(Duration::from_secs(1)), Some(Duration::from_secs(20))] {
            assert_eq!(ends(limit), [15, 20]);
        }
        let never = JobTimes { abort_delay: Duration::ZERO, ..TIMES };
        assert_eq!(never.reaching(Some(Duration::from_secs(60))), never);
    }

    #[test]
    fn without_a_delay_there_is_no_end() {
        assert!(Patience::new(JobTimes { abort_delay: Duration::ZERO, ..TIMES }).is_none());
    }
}
