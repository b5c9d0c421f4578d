//! What became of requests, and whether a run says anything. Pure.

use std::fmt;

use serde::Serialize;

/// A run with more failures than one in so many requests is refused.
const FAILURES_ONE_IN: u64 = 1000;

/// A run in which fewer requests were due than this part of the rate, in percent, is refused.
const LEAST_RATE_PERCENT: f64 = 99.0;

/// So late the 99th percentile of requests may be sent, in milliseconds.
const MOST_LATE_MILLIS: f64 = 100.0;

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// 200 and a whole page.
    Whole,
    /// Anything else.
    Failed(Failure),
}

/// How a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Too many were under way.
    NotSent,
    /// No connection, or it broke before the answer.
    NoAnswer,
    /// 503.
    Refused,
    /// Another status than 200.
    OtherStatus,
    /// The connection broke within the body.
    Cut,
    /// A clean end that is no page's.
    Incomplete,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotSent => "not sent, too many under way",
            Self::NoAnswer => "no answer",
            Self::Refused => "503",
            Self::OtherStatus => "neither 200 nor 503",
            Self::Cut => "a cut body",
            Self::Incomplete => "an incomplete page",
        })
    }
}

/// Failures by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Failures {
    /// See [`Failure`], here and below.
    pub not_sent: u64,
    pub no_answer: u64,
    pub refused: u64,
    pub other_status: u64,
    pub cut: u64,
    pub incomplete: u64,
}

impl Failures {
    /// One more.
    pub fn count(&mut self, failure: Failure) {
        *match failure {
            Failure::NotSent => &mut self.not_sent,
            Failure::NoAnswer => &mut self.no_answer,
            Failure::Refused => &mut self.refused,
            Failure::OtherStatus => &mut self.other_status,
            Failure::Cut => &mut self.cut,
            Failure::Incomplete => &mut self.incomplete,
        } += 1;
    }

    /// These and others.
    #[must_use]
    pub fn and(self, more: Self) -> Self {
        Self {
            not_sent: self.not_sent + more.not_sent,
            no_answer: self.no_answer + more.no_answer,
            refused: self.refused + more.refused,
            other_status: self.other_status + more.other_status,
            cut: self.cut + more.cut,
            incomplete: self.incomplete + more.incomplete,
        }
    }

    /// Of all kinds.
    pub fn all(self) -> u64 {
        self.not_sent + self.no_answer + self.refused + self.other_status + self.cut + self.incomplete
    }
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed", self.all())?;
        let kinds = [
            (self.not_sent, Failure::NotSent),
            (self.no_answer, Failure::NoAnswer),
            (self.refused, Failure::Refused),
            (self.other_status, Failure::OtherStatus),
            (self.cut, Failure::Cut),
            (self.incomplete, Failure::Incomplete),
        ];
        for (count, kind) in kinds.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, "; {kind}: {count}")?;
        }
        Ok(())
    }
}

/// A whole run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Totals {
    /// Whole answers.
    pub answers: u64,
    /// Everything else.
    pub failures: Failures,
    /// Seconds.
    pub seconds: f64,
    /// The 99th percentile of the time from when a request was due until it was sent, milliseconds.
    pub lateness_p99_millis: f64,
}

impl Totals {
    /// Why the run says nothing about a load of `rate` requests per second, if so.
    #[expect(clippy::cast_precision_loss, reason = "requests of some hours are far below 2^52")]
    pub fn refusal(&self, rate: f64) -> Option<String> {
        let sent = self.answers + self.failures.all();
        let held = sent as f64 / (rate * self.seconds).max(1.0) * 100.0;
        if self.failures.all() * FAILURES_ONE_IN > sent {
            return Some(format!("more than 0.1 % of {sent} requests failed: {}", self.failures));
        }
        if held < LEAST_RATE_PERCENT {
            return Some(format!(
                "the generator did not hold its rate: {held:.1} % of {rate:.0}/s were asked"
            ));
        }
        (self.lateness_p99_millis > MOST_LATE_MILLIS).then(|| {
            format!(
                "the generator did not hold its rate: it was {:.0} ms late with one request in a hundred",
                self.lateness_p99_millis
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Totals = Totals {
        answers: 10_000,
        failures: Failures { not_sent: 0, no_answer: 0, refused: 10, other_status: 0, cut: 0, incomplete: 0 },
        seconds: 10.0,
        lateness_p99_millis: 5.0,
    };

    #[test]
    fn a_run_with_one_failure_in_a_thousand_says_something() {
        assert_eq!(GOOD.refusal(1000.0), None);
    }

    #[test]
    fn a_run_with_more_failures_is_refused_and_says_of_which_kind() {
        let mut failures = GOOD.failures;
        failures.count(Failure::Cut);
        let refusal = Totals { failures, ..GOOD }.refusal(1000.0).unwrap();
        assert!(refusal.ends_with("11 failed; 503: 10; a cut body: 1"), "{refusal}");
    }

    #[test]
    fn a_generator_that_does_not_hold_its_rate_is_refused() {
        assert!(GOOD.refusal(1200.0).unwrap().contains("83.4 % of 1200/s"));
        assert!(
            Totals { lateness_p99_millis: 101.0, ..GOOD }.refusal(1000.0).unwrap().contains("101 ms late")
        );
    }
}
