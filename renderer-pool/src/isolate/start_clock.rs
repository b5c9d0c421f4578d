//! What the start of an isolate goes into.

use std::cell::Cell;
use std::time::{Duration, Instant};

use shared::message::control::StartPhases;

/// A part of a start; they follow each other in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// V8's isolate comes out of the snapshot.
    Create,
    /// The runtime's own scripts run.
    Boot,
    /// The app's modules are read and compiled.
    Load,
    /// They run.
    Evaluate,
    /// The app renders a page for nobody.
    Warm,
    /// What had to be compiled is kept.
    Keep,
}

/// Says how long each phase took. Where the app is loaded twice, a phase's times add up.
#[derive(Debug)]
pub struct StartClock {
    started: Cell<Instant>,
    last: Cell<Instant>,
    phases: Cell<StartPhases>,
}

impl StartClock {
    /// Starts now, with the first phase.
    pub fn new() -> Self {
        let now = Instant::now();
        Self { started: Cell::new(now), last: Cell::new(now), phases: Cell::default() }
    }

    /// A phase has ended; the next one begins.
    pub fn ends(&self, phase: Phase) {
        let now = Instant::now();
        let took = micros(now.duration_since(self.last.replace(now)));
        let mut phases = self.phases.get();
        let total = match phase {
            Phase::Create => &mut phases.create_us,
            Phase::Boot => &mut phases.boot_us,
            Phase::Load => &mut phases.load_us,
            Phase::Evaluate => &mut phases.evaluate_us,
            Phase::Warm => &mut phases.warm_us,
            Phase::Keep => &mut phases.keep_us,
        };
        *total = total.saturating_add(took);
        self.phases.set(phases);
    }

    /// The order to load the app was waited for: the start counts from now, and so does the next phase.
    pub fn waited(&self) {
        let now = Instant::now();
        self.started.set(now);
        self.last.set(now);
    }

    /// The phases that have ended.
    pub fn phases(&self) -> StartPhases {
        self.phases.get()
    }

    /// Milliseconds from the start, or from the order to load the app, until now.
    pub fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.get().elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_add_up_to_the_whole_and_a_second_load_counts_to_the_same_ones() {
        let clock = StartClock::new();
        for phase in [Phase::Create, Phase::Boot, Phase::Load, Phase::Create, Phase::Warm] {
            let before = clock.last.get();
            while before.elapsed() < Duration::from_millis(1) {
                std::hint::spin_loop();
            }
            clock.ends(phase);
        }
        let phases = clock.phases();
        assert!(phases.create_us >= 2000 && phases.boot_us >= 1000, "{phases:?}");
        assert_eq!((phases.evaluate_us, phases.keep_us), (0, 0));
        let sum: u64 = phases.labelled().iter().map(|(_, micros)| micros).sum();
        let whole = micros(clock.last.get().duration_since(clock.started.get()));
        assert!((whole - 5..=whole).contains(&sum), "{sum} of {whole}");
    }
}
