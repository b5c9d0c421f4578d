//! How long an isolate's thread had nothing to do, as the kernel counts it.
//!
//! The admission of the gateway asks whether jobs compute or wait. What they take of the time of the clock does not tell
//! when others take the core; what the kernel counts does: a thread that could run and has no core is not idle.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use shared::message::control::IdleTime;

/// Time on a core and time of waiting for one, in nanoseconds, and a number of slices (Linux,
/// `Documentation/scheduler/sched-stats.rst`). No file or zeros where the kernel is built without these counts.
const OWN_COUNTS: &str = "/proc/thread-self/schedstat";

/// A lap that took longer was one of a thread that had no jobs for a part of it.
const LONGEST_LAP: Duration = Duration::from_millis(500);

/// The time of one thread.
#[derive(Debug)]
pub struct ThreadTime {
    counts: File,
    /// When it was last looked at, and how long the thread had been busy by then.
    last: Option<(Instant, Duration)>,
}

impl ThreadTime {
    /// That of the calling thread; `None` where the kernel does not count it or the process may not know.
    pub fn of_this_thread() -> Option<Self> {
        let counts = File::open(OWN_COUNTS).ok()?;
        busy(&counts)?;
        Some(Self { counts, last: None })
    }

    /// How long the thread was idle since the last call; `None` the first time, and after a long one.
    pub fn lap(&mut self, now: Instant) -> Option<IdleTime> {
        // The kernel that does not count says so in zeros.
        let busy = busy(&self.counts).filter(|busy| !busy.is_zero())?;
        let (before, busy_before) = self.last.replace((now, busy))?;
        let passed = now.saturating_duration_since(before);
        let idle = passed.saturating_sub(busy.saturating_sub(busy_before));
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        (passed <= LONGEST_LAP).then(|| IdleTime { idle_us: micros(idle), passed_us: micros(passed) })
    }
}

/// Time on a core and of waiting for one.
fn busy(counts: &File) -> Option<Duration> {
    let mut text = [0; 64];
    let length = counts.read_at(&mut text, 0).ok()?;
    let mut numbers = std::str::from_utf8(text.get(..length)?).ok()?.split_ascii_whitespace();
    let mut next = || numbers.next()?.parse().ok().map(Duration::from_nanos);
    Some(next()? + next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_sleeps_is_idle_and_one_that_computes_is_not() {
        let mut time = ThreadTime::of_this_thread().expect("Linux counts");
        assert_eq!(time.lap(Instant::now()), None);
        std::thread::sleep(Duration::from_millis(100));
        let slept = time.lap(Instant::now()).unwrap();
        assert!(slept.idle_us * 10 > slept.passed_us * 5, "{slept:?}");
        let until = Instant::now() + Duration::from_millis(100);
        while Instant::now() < until {}
        let computed = time.lap(Instant::now()).unwrap();
        // The kernel adds to the counts of a thread that runs at its ticks.
        assert!(computed.idle_us * 10 < computed.passed_us * 2, "{computed:?}");
    }

    #[test]
    fn a_long_lap_tells_nothing() {
        let mut time = ThreadTime::of_this_thread().expect("Linux counts");
        let now = Instant::now();
        time.lap(now);
        assert_eq!(time.lap(now + LONGEST_LAP + Duration::from_millis(1)), None);
        assert!(time.lap(now + LONGEST_LAP * 2).is_some());
    }
}
