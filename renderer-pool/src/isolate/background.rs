//! Work that finished requests handed to `waitUntil`: bounded, counted, and waited for by a drain.
//!
//! The build script includes this file too.

use deno_core::{OpState, op2};

/// How work ended, as the boot script says it.
const FAILED: u32 = 1;
const TIMED_OUT: u32 = 2;

/// What became of work since the last report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// Promises that were fulfilled.
    pub finished: u32,
    /// Promises that were rejected.
    pub failed: u32,
    /// Promises that were not taken: too many were pending.
    pub refused: u32,
    /// Promises that were pending for too long and are not waited for any longer.
    pub timed_out: u32,
}

/// The work of an isolate.
#[derive(Debug, Clone, Default)]
pub struct BackgroundWork {
    max_pending: u32,
    limit_ms: u32,
    pending: u32,
    outcomes: Outcomes,
    /// What the last report said is pending.
    reported: u32,
}

#[allow(dead_code, reason = "the build script makes isolates that never run")]
impl BackgroundWork {
    /// None yet, and at most `max_pending` promises at a time, each for at most `limit_ms`.
    pub fn new(max_pending: u32, limit_ms: u32) -> Self {
        Self { max_pending, limit_ms, ..Self::default() }
    }

    /// How many promises are pending.
    pub fn pending(&self) -> u32 {
        self.pending
    }

    /// How many promises are pending, and what became of others since this was asked last. `None` when nothing
    /// has changed since then.
    pub fn take_report(&mut self) -> Option<(u32, Outcomes)> {
        let outcomes = std::mem::take(&mut self.outcomes);
        let is_old = std::mem::replace(&mut self.reported, self.pending) == self.pending;
        if is_old && outcomes == Outcomes::default() { None } else { Some((self.pending, outcomes)) }
    }

    fn begin(&mut self) -> bool {
        let fits = self.pending < self.max_pending;
        if fits {
            self.pending += 1;
        } else {
            self.outcomes.refused = self.outcomes.refused.saturating_add(1);
        }
        fits
    }

    fn end(&mut self, outcome: u32) {
        self.pending = self.pending.saturating_sub(1);
        let Outcomes { finished, failed, timed_out, .. } = &mut self.outcomes;
        let count = match outcome {
            FAILED => failed,
            TIMED_OUT => timed_out,
            _ => finished,
        };
        *count = count.saturating_add(1);
    }
}

/// A promise is to be waited for; says whether it is.
#[op2(fast)]
pub fn op_background_begin(state: &mut OpState) -> bool {
    state.borrow_mut::<BackgroundWork>().begin()
}

/// A promise is not waited for any longer.
#[op2(fast)]
pub fn op_background_end(state: &mut OpState, outcome: u32) {
    state.borrow_mut::<BackgroundWork>().end(outcome);
}

/// How long a promise is waited for, in milliseconds.
#[op2(fast)]
pub fn op_background_limit(state: &mut OpState) -> u32 {
    state.borrow::<BackgroundWork>().limit_ms
}

/// How many promises are waited for at a time.
#[op2(fast)]
pub fn op_background_capacity(state: &mut OpState) -> u32 {
    state.borrow::<BackgroundWork>().max_pending
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_bounded_and_counted_by_its_end() {
        let mut work = BackgroundWork::new(2, 1000);
        assert!(work.begin() && work.begin());
        assert!(!work.begin(), "a third");
        assert_eq!(work.take_report(), Some((2, Outcomes { refused: 1, ..Outcomes::default() })));
        assert_eq!(work.take_report(), None, "nothing has changed");
        work.end(0);
        assert!(work.begin());
        work.end(FAILED);
        work.end(TIMED_OUT);
        let outcomes = Outcomes { finished: 1, failed: 1, refused: 0, timed_out: 1 };
        assert_eq!((work.pending(), work.take_report()), (0, Some((0, outcomes))));
    }
}
