//! When each request begins. Pure.

use std::time::{Duration, Instant};

/// A rate for some time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Requests in a second.
    pub rate: f64,
    /// For so long.
    pub time: Duration,
}

/// How the rate goes over time: steps, one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape(pub Vec<Step>);

impl Shape {
    /// The same all the time.
    pub fn constant(rate: f64, time: Duration) -> Self {
        Self(vec![Step { rate, time }])
    }

    /// `base`, then `peak`, then `base` again, each for `time`.
    pub fn spike(base: f64, peak: f64, time: Duration) -> Self {
        Self([base, peak, base].map(|rate| Step { rate, time }).to_vec())
    }

    /// How long it lasts.
    pub fn time(&self) -> Duration {
        self.0.iter().map(|step| step.time).sum()
    }

    /// Requests in a second, over all of it.
    pub fn mean_rate(&self) -> f64 {
        let requests: f64 = self.0.iter().map(|step| step.rate * step.time.as_secs_f64()).sum();
        requests / self.time().as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

/// Times that are equally far apart within a step. The number of a request fixes its time: lateness does not add up.
#[derive(Debug, Clone)]
pub struct Schedule {
    steps: std::vec::IntoIter<Step>,
    step: Option<Step>,
    begin: Instant,
    next: u64,
    count: u64,
}

impl Schedule {
    /// Of a shape that begins at `start`.
    pub fn new(start: Instant, shape: Shape) -> Self {
        let mut schedule = Self { steps: shape.0.into_iter(), step: None, begin: start, next: 0, count: 0 };
        schedule.step();
        schedule
    }

    fn step(&mut self) {
        if let Some(over) = self.step {
            self.begin += over.time;
        }
        self.step = self.steps.next();
        self.next = 0;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate of requests is positive, and their number small"
        )]
        let count = self.step.map_or(0, |step| (step.rate * step.time.as_secs_f64()).round() as u64);
        self.count = count;
    }
}

impl Iterator for Schedule {
    type Item = Instant;

    fn next(&mut self) -> Option<Instant> {
        while self.next == self.count {
            self.step?;
            self.step();
        }
        let due = self.begin + Duration::from_secs_f64(self.next as f64 / self.step?.rate);
        self.next += 1;
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_equally_far_apart_to_the_end() {
        let start = Instant::now();
        let shape = Shape::constant(3000.0, Duration::from_secs(10));
        let times: Vec<_> = Schedule::new(start, shape).collect();
        assert_eq!(times.len(), 30_000);
        assert_eq!(times[0], start);
        assert_eq!((times[15_000] - start).as_millis(), 5000);
        assert!(times.windows(2).all(|pair| (330..=340).contains(&(pair[1] - pair[0]).as_micros())));
    }

    #[test]
    fn a_spike_is_three_steps() {
        let start = Instant::now();
        let shape = Shape::spike(100.0, 1000.0, Duration::from_secs(2));
        assert_eq!(shape.time(), Duration::from_secs(6));
        assert!((shape.mean_rate() - 400.0).abs() < 1e-9);
        let times: Vec<_> = Schedule::new(start, shape).collect();
        let within = |from: u64, to: u64| {
            let second = |time: &&Instant| (from..to).contains(&(**time - start).as_secs());
            times.iter().filter(second).count()
        };
        assert_eq!([within(0, 2), within(2, 4), within(4, 6)], [200, 2000, 200]);
        assert!(times.is_sorted());
    }

    #[test]
    fn a_step_without_requests_is_a_pause() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let steps = [0.0, 10.0].map(|rate| Step { rate, time: second });
        let times: Vec<_> = Schedule::new(start, Shape(steps.to_vec())).collect();
        assert_eq!(times.len(), 10);
        assert_eq!(times[0] - start, second);
    }
}
