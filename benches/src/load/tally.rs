//! What came of the requests of a load.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::Pace;
use super::connections::Answer;

/// How late a request may leave, in the 99th percentile: beyond, the generator measures itself.
const MOST_LATE: Duration = Duration::from_millis(5);

/// Microseconds; values beyond an hour are an hour.
const LONGEST_MICROS: u64 = 3_600_000_000;

/// Counts while a load runs.
#[derive(Debug)]
pub struct Tally {
    sent: u64,
    late: Option<Histogram<u64>>,
    statuses: BTreeMap<u16, Times>,
    broken: u64,
    timeouts: u64,
    wrong: u64,
}

#[derive(Debug)]
struct Times {
    first_byte: Option<Histogram<u64>>,
    last_byte: Option<Histogram<u64>>,
    count: u64,
    bytes: u64,
}

/// Latencies in microseconds, from the time at which a request was due.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Percentiles {
    /// The median.
    pub p50_micros: u64,
    /// The 99th percentile.
    pub p99_micros: u64,
    /// The 99.9th percentile.
    pub p999_micros: u64,
    /// The longest.
    pub max_micros: u64,
}

/// The answers with one status.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Latencies {
    /// How many.
    pub count: u64,
    /// Until the head had come.
    pub first_byte: Percentiles,
    /// Until the last byte had.
    pub last_byte: Percentiles,
    /// Bytes of their bodies.
    pub bytes: u64,
}

/// What came of a load.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// Requests in a second that were begun, or were to be.
    pub rate: f64,
    /// For so many seconds.
    pub seconds: f64,
    /// Requests that were begun.
    pub sent: u64,
    /// By status.
    pub statuses: BTreeMap<u16, Latencies>,
    /// Requests whose connection broke, or was refused.
    pub broken: u64,
    /// Requests without a whole answer in time.
    pub timeouts: u64,
    /// Answers with the status 200 that are not the page.
    pub wrong: u64,
    /// How late requests were begun.
    pub late: Percentiles,
}

fn histogram() -> Option<Histogram<u64>> {
    Histogram::new_with_bounds(1, LONGEST_MICROS, 3).ok()
}

fn record(histogram: &mut Option<Histogram<u64>>, time: Duration) {
    if let Some(histogram) = histogram {
        histogram.saturating_record(u64::try_from(time.as_micros()).unwrap_or(LONGEST_MICROS).max(1));
    }
}

fn percentiles(histogram: &Option<Histogram<u64>>) -> Percentiles {
    histogram.as_ref().filter(|histogram| !histogram.is_empty()).map_or_else(
        Percentiles::default,
        |histogram| Percentiles {
            p50_micros: histogram.value_at_quantile(0.5),
            p99_micros: histogram.value_at_quantile(0.99),
            p999_micros: histogram.value_at_quantile(0.999),
            max_micros: histogram.max(),
        },
    )
}

impl Tally {
    /// Nothing so far.
    pub fn new() -> Self {
        Self { sent: 0, late: histogram(), statuses: BTreeMap::new(), broken: 0, timeouts: 0, wrong: 0 }
    }

    /// For the tasks of one thread.
    pub fn shared() -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self::new()))
    }

    /// A request was begun, so late.
    pub fn sent(&mut self, late: Duration) {
        self.sent += 1;
        record(&mut self.late, late);
    }

    /// One was answered that had been due at `due`.
    pub fn answered(&mut self, answer: Answer, due: Instant) {
        let times = self.statuses.entry(answer.status).or_insert_with(|| Times {
            first_byte: histogram(),
            last_byte: histogram(),
            count: 0,
            bytes: 0,
        });
        self.wrong += u64::from(!answer.is_right);
        times.count += 1;
        times.bytes += answer.bytes as u64;
        record(&mut times.first_byte, answer.head.saturating_duration_since(due));
        record(&mut times.last_byte, answer.end.saturating_duration_since(due));
    }

    /// One has no answer: its connection broke.
    pub fn broke(&mut self) {
        self.broken += 1;
    }

    /// One has no answer in time.
    pub fn timed_out(&mut self) {
        self.timeouts += 1;
    }

    /// The figures.
    pub fn conclude(self, pace: Pace, time: Duration) -> Outcome {
        let rate = match pace {
            Pace::Open(rate) => rate,
            Pace::Closed => self.sent as f64 / time.as_secs_f64(),
        };
        let latencies = |times: Times| Latencies {
            count: times.count,
            first_byte: percentiles(&times.first_byte),
            last_byte: percentiles(&times.last_byte),
            bytes: times.bytes,
        };
        Outcome {
            rate,
            seconds: time.as_secs_f64(),
            sent: self.sent,
            statuses: self.statuses.into_iter().map(|(status, times)| (status, latencies(times))).collect(),
            broken: self.broken,
            timeouts: self.timeouts,
            wrong: self.wrong,
            late: percentiles(&self.late),
        }
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}

impl Outcome {
    /// Answers with this status in a second.
    pub fn per_second(&self, status: u16) -> f64 {
        self.statuses.get(&status).map_or(0.0, |latencies| latencies.count as f64 / self.seconds)
    }

    /// Why this is no measurement: the generator was too slow, or pages were wrong.
    pub fn problem(&self) -> Option<String> {
        let late = Duration::from_micros(self.late.p99_micros);
        if self.wrong > 0 {
            return Some(format!(
                "{} answers with the status 200 are not the page that was asked for",
                self.wrong
            ));
        }
        (late > MOST_LATE).then(|| {
            format!(
                "the generator begins requests {late:?} late (99th percentile); it cannot hold {:.0} in a second",
                self.rate
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_counts_from_the_time_that_was_due() {
        let (mut tally, due) = (Tally::new(), Instant::now());
        let head = due + Duration::from_millis(40);
        let end = due + Duration::from_millis(50);
        tally.answered(Answer { status: 200, head, end, bytes: 10, is_right: true }, due);
        let outcome = tally.conclude(Pace::Open(1.0), Duration::from_secs(1));
        let seen = outcome.statuses[&200];
        assert!((39_900..40_100).contains(&seen.first_byte.p99_micros), "{seen:?}");
        assert!((49_900..50_100).contains(&seen.last_byte.p50_micros), "{seen:?}");
        assert!((outcome.per_second(200) - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_generator_that_is_late_says_so() {
        let mut tally = Tally::new();
        (0..100).for_each(|_| tally.sent(Duration::from_millis(20)));
        assert!(tally.conclude(Pace::Open(1000.0), Duration::from_secs(1)).problem().is_some());
        let mut tally = Tally::new();
        (0..1000).for_each(|_| tally.sent(Duration::from_micros(200)));
        assert_eq!(tally.conclude(Pace::Open(1000.0), Duration::from_secs(1)).problem(), None);
    }
}
