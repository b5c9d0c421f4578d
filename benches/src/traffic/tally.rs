//! What came of the requests of a load.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::Pace;
use super::connections::Answer;
use crate::error::BenchFailure;

/// How late a request may leave, in the 99th percentile: beyond, the generator measures itself.
const MOST_LATE: Duration = Duration::from_millis(5);

/// The width of a slot of the timeline.
pub const SLOT: Duration = Duration::from_millis(100);

/// The most slots: more than any run is long.
const MOST_SLOTS: usize = 36_000;

/// The quantiles at which a distribution is told.
const QUANTILES: [f64; 17] =
    [0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.99, 0.999, 1.0];

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
    left: u64,
    wrong: u64,
    start: Instant,
    patience: Duration,
    /// Right answers that came in time, by when their requests were due.
    timeline: Vec<u32>,
}

#[derive(Debug)]
struct Times {
    first_byte: Option<Histogram<u64>>,
    shell: Option<Histogram<u64>>,
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
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Latencies {
    /// How many.
    pub count: u64,
    /// Until the head had come.
    pub first_byte: Percentiles,
    /// Until the shell had, where the request has one.
    pub shell: Percentiles,
    /// Until the last byte had.
    pub last_byte: Percentiles,
    /// Bytes of their bodies.
    pub bytes: u64,
}

/// What came of a load.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// Requests in a second that were asked for.
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
    /// Requests whose visitor left, as it was to.
    pub left: u64,
    /// Answers with 200 and another body.
    pub wrong: u64,
    /// Right answers that came before the visitor lost patience, in each slot of [`SLOT`] by when they were due.
    pub timeline: Vec<u32>,
    /// Of right answers: parts of them, and microseconds until their last byte.
    pub distribution: Vec<(f64, u64)>,
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
    pub fn new(start: Instant, patience: Duration) -> Self {
        Self {
            sent: 0,
            late: histogram(),
            statuses: BTreeMap::new(),
            broken: 0,
            timeouts: 0,
            left: 0,
            wrong: 0,
            start,
            patience,
            timeline: Vec::new(),
        }
    }

    /// For the tasks of one thread.
    pub fn shared(start: Instant, patience: Duration) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self::new(start, patience)))
    }

    /// A request was begun, so late.
    pub fn sent(&mut self, late: Duration) {
        self.sent += 1;
        record(&mut self.late, late);
    }

    /// One was answered that had been due at `due`.
    pub fn answered(&mut self, answer: Answer, due: Instant) {
        if answer.has_left {
            self.left += 1;
            return;
        }
        if !answer.is_right {
            self.wrong += 1;
            return;
        }
        let took = answer.end.saturating_duration_since(due);
        if answer.status == 200 && took <= self.patience {
            self.note(due);
        }
        let times = self.statuses.entry(answer.status).or_insert_with(|| Times {
            first_byte: histogram(),
            shell: histogram(),
            last_byte: histogram(),
            count: 0,
            bytes: 0,
        });
        times.count += 1;
        times.bytes += answer.bytes as u64;
        record(&mut times.first_byte, answer.head.saturating_duration_since(due));
        if let Some(shell) = answer.shell {
            record(&mut times.shell, shell.saturating_duration_since(due));
        }
        record(&mut times.last_byte, took);
    }

    fn note(&mut self, due: Instant) {
        let slot = due.saturating_duration_since(self.start).as_millis() / SLOT.as_millis();
        let slot = usize::try_from(slot).unwrap_or(MOST_SLOTS).min(MOST_SLOTS);
        if slot >= self.timeline.len() {
            self.timeline.resize(slot + 1, 0);
        }
        if let Some(count) = self.timeline.get_mut(slot) {
            *count += 1;
        }
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
    pub fn conclude(self, pace: &Pace) -> Outcome {
        let time = pace.time();
        let rate = match pace {
            Pace::Open(shape) => shape.mean_rate(),
            Pace::Closed(time) => self.sent as f64 / time.as_secs_f64(),
        };
        let right = self.statuses.get(&200).and_then(|times| times.last_byte.as_ref());
        let distribution = right.filter(|right| !right.is_empty()).map_or_else(Vec::new, |right| {
            QUANTILES.iter().map(|quantile| (*quantile, right.value_at_quantile(*quantile))).collect()
        });
        let latencies = |times: Times| Latencies {
            count: times.count,
            first_byte: percentiles(&times.first_byte),
            shell: percentiles(&times.shell),
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
            left: self.left,
            wrong: self.wrong,
            timeline: self.timeline,
            distribution,
            late: percentiles(&self.late),
        }
    }
}

impl Outcome {
    /// Right answers that came before visitors lost patience, per second of the slots `from..to`.
    pub fn goodput(&self, from: Duration, to: Duration) -> f64 {
        let slot =
            |time: Duration| usize::try_from(time.as_millis() / SLOT.as_millis()).unwrap_or(MOST_SLOTS);
        let counts = self.timeline.iter().skip(slot(from)).take(slot(to) - slot(from));
        f64::from(counts.sum::<u32>()) / (to - from).as_secs_f64()
    }

    /// Requests without a right answer: other statuses, wrong bodies, broken connections, too late.
    pub fn lost(&self) -> u64 {
        let others: u64 =
            self.statuses.iter().filter(|(status, _)| **status != 200).map(|(_, seen)| seen.count).sum();
        others + self.broken + self.timeouts + self.wrong
    }

    /// The latencies of answers with 200; zeros when there are none.
    pub fn right(&self) -> Latencies {
        self.statuses.get(&200).copied().unwrap_or_default()
    }

    /// Answers with this status in a second.
    pub fn per_second(&self, status: u16) -> f64 {
        self.statuses.get(&status).map_or(0.0, |latencies| latencies.count as f64 / self.seconds)
    }

    /// Refuses what is no measurement of this server: the generator was too slow, or an answer was another.
    ///
    /// # Errors
    ///
    /// As said.
    pub fn check(&self, server: &str) -> Result<(), BenchFailure> {
        let late = Duration::from_micros(self.late.p99_micros);
        if late > MOST_LATE {
            let problem = format!(
                "begins requests {late:?} late (99th percentile), it cannot hold {:.0} in a second; {server} is not \
                 measured",
                self.rate
            );
            return Err(BenchFailure::Generator { problem });
        }
        if self.wrong > 0 {
            let problem = format!("{} answers with another body", self.wrong);
            return Err(BenchFailure::Load { contestant: server.to_owned(), problem });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::schedule::Shape;
    use super::*;

    fn open(rate: f64, seconds: u64) -> Pace {
        Pace::Open(Shape::constant(rate, Duration::from_secs(seconds)))
    }

    fn answer(status: u16, head: Instant, end: Instant) -> Answer {
        Answer { status, head, shell: Some(head), end, bytes: 10, is_right: true, has_left: false }
    }

    #[test]
    fn goodput_is_right_answers_in_time_by_when_they_were_due() {
        let start = Instant::now();
        let mut tally = Tally::new(start, Duration::from_millis(500));
        for number in 0..20_u32 {
            let due = start + SLOT * number;
            let end = due + Duration::from_millis(if number < 10 { 10 } else { 900 });
            tally.answered(answer(200, end, end), due);
        }
        tally.answered(Answer { is_right: false, ..answer(200, start, start) }, start);
        tally.answered(Answer { has_left: true, ..answer(0, start, start) }, start);
        tally.answered(answer(503, start, start), start);
        let outcome = tally.conclude(&open(10.0, 2));
        let second = Duration::from_secs(1);
        assert!((outcome.goodput(Duration::ZERO, second) - 10.0).abs() < 1e-9);
        assert!(outcome.goodput(second, 2 * second).abs() < 1e-9);
        assert_eq!((outcome.wrong, outcome.left, outcome.lost()), (1, 1, 2));
        assert_eq!(outcome.distribution.len(), QUANTILES.len());
        assert!(outcome.distribution.is_sorted_by_key(|(_, micros)| *micros));
    }

    #[test]
    fn latency_counts_from_the_time_that_was_due() {
        let due = Instant::now();
        let mut tally = Tally::new(due, Duration::from_secs(1));
        let head = due + Duration::from_millis(40);
        let end = due + Duration::from_millis(50);
        tally.answered(answer(200, head, end), due);
        let outcome = tally.conclude(&open(1.0, 1));
        let seen = outcome.statuses[&200];
        assert!((39_900..40_100).contains(&seen.first_byte.p99_micros), "{seen:?}");
        assert!((49_900..50_100).contains(&seen.last_byte.p50_micros), "{seen:?}");
        assert_eq!(seen.count, 1);
        assert!((outcome.per_second(200) - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_generator_that_is_late_says_so() {
        let mut tally = Tally::new(Instant::now(), Duration::from_secs(1));
        (0..100).for_each(|_| tally.sent(Duration::from_millis(20)));
        let failure = tally.conclude(&open(1000.0, 1)).check("node26").unwrap_err().to_string();
        assert!(failure.contains("cannot hold 1000") && failure.contains("node26 is not"), "{failure}");
        let mut tally = Tally::new(Instant::now(), Duration::from_secs(1));
        (0..1000).for_each(|_| tally.sent(Duration::from_micros(200)));
        tally.conclude(&open(1000.0, 1)).check("node26").unwrap();
    }
}
