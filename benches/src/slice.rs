//! Some seconds of load on one server, and what they cost.

use std::time::Duration;

use serde::Serialize;

use crate::error::BenchFailure;
use crate::process_tree;
use crate::wrk::Load;

/// The figures of one slice.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Sample {
    /// Answers, all of them right.
    pub requests: u64,
    /// Refusals beside them.
    pub refused: u64,
    /// Answers per second.
    pub requests_per_second: f64,
    /// CPU time of the server's process tree for each answer, microseconds.
    pub cpu_micros_per_request: f64,
    /// CPU time per second, in cores: 1 is a core that never idles.
    pub cores_used: f64,
    /// Median latency, milliseconds.
    pub p50_millis: f64,
    /// 99th percentile of latency, milliseconds.
    pub p99_millis: f64,
}

impl Sample {
    /// Of a load and the CPU time that the server used meanwhile.
    #[expect(clippy::cast_precision_loss, reason = "counts and microseconds of a slice are far below 2^52")]
    fn new(load: Load, cpu: Duration) -> Self {
        let (requests, seconds) = (load.requests as f64, load.micros as f64 / 1e6);
        Self {
            requests: load.requests,
            refused: load.refused,
            requests_per_second: requests / seconds,
            cpu_micros_per_request: cpu.as_secs_f64() * 1e6 / requests,
            cores_used: cpu.as_secs_f64() / seconds,
            p50_millis: load.p50_micros as f64 / 1e3,
            p99_millis: load.p99_micros as f64 / 1e3,
        }
    }

    /// Puts a server under load.
    ///
    /// # Errors
    ///
    /// When the load fails, any answer is wrong, or the server ends.
    pub fn take(
        server: u32,
        load: impl FnOnce() -> Result<Load, BenchFailure>,
    ) -> Result<Self, BenchFailure> {
        let before = process_tree::cpu_time(server)?;
        let load = load()?;
        let after = process_tree::cpu_time(server)?;
        Ok(Self::new(load, after.saturating_sub(before)))
    }
}

/// The order of contestants in a repeat: every other one is reversed, so that none always follows the same.
pub fn order(contestants: usize, repeat: usize) -> Vec<usize> {
    let forth = 0..contestants;
    if repeat.is_multiple_of(2) { forth.collect() } else { forth.rev().collect() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Sample, order};
    use crate::wrk::Load;

    #[test]
    fn figures_follow_from_counts_and_times() {
        let load: Load = serde_json::from_str(
            r#"{"requests":4000,"micros":5000000,"p50_micros":39000,"p99_micros":61000,"wrong_status":0,
                "wrong_body":0,"connect_errors":0,"io_errors":0,"timeouts":0}"#,
        )
        .unwrap();
        let sample = Sample::new(load, Duration::from_secs(4));
        assert_eq!(sample.requests_per_second, 800.0);
        assert_eq!(sample.cpu_micros_per_request, 1000.0);
        assert_eq!(sample.cores_used, 0.8);
        assert_eq!((sample.p50_millis, sample.p99_millis), (39.0, 61.0));
    }

    #[test]
    fn contestants_take_turns_to_be_first() {
        assert_eq!(order(3, 0), [0, 1, 2]);
        assert_eq!(order(3, 1), [2, 1, 0]);
        assert_eq!(order(3, 2), [0, 1, 2]);
    }
}
