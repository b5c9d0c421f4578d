//! The watchdog: a thread of its own that sees to it that no isolate runs for too long without a pause and that
//! the process does not outgrow its memory.
//!
//! - [`turn`]: when a turn has taken too long. Pure.
//! - [`probe`]: what the watchdog and an isolate's thread share; [`stack`]: what JavaScript was doing.
//! - [`memory`]: the process's resident memory.

pub mod memory;
pub mod probe;
mod stack;
pub mod turn;

use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError};
use shared::message::{FromChild, RetireReason};
use shared::setup::IsolateLimits;
use tokio::sync::mpsc;

use memory::Resident;
use probe::{Excess, Probe};
use turn::{Observation, TurnWatch, Verdict};

/// So many times an isolate is looked at within the time that a turn may take.
const LOOKS_PER_LIMIT: u32 = 10;

/// The longest pause between two looks.
const MAX_TICK: Duration = Duration::from_millis(100);

/// The shortest one.
const MIN_TICK: Duration = Duration::from_millis(5);

/// Exit code of a process that gives itself up (sysexits.h: EX_SOFTWARE).
const GIVEN_UP: i32 = 70;

/// Watches the isolates of this process.
#[derive(Debug)]
pub struct Watchdog {
    watches: Vec<(Arc<Probe>, TurnWatch)>,
    tick: Duration,
    resident: Resident,
    max_rss_bytes: u64,
    /// The process's replacement has been asked for.
    retired: bool,
    /// Weak: the process ends when its isolates hold no sender any more.
    reports: mpsc::WeakSender<FromChild>,
}

impl Watchdog {
    /// A watchdog for these isolates.
    pub fn new(
        probes: Vec<Arc<Probe>>,
        resident: Resident,
        limits: &IsolateLimits,
        reports: mpsc::WeakSender<FromChild>,
    ) -> Self {
        let tick = Duration::from_millis(limits.max_turn_ms) / LOOKS_PER_LIMIT;
        Self {
            watches: probes.into_iter().map(|probe| (probe, TurnWatch::default())).collect(),
            tick: tick.clamp(MIN_TICK, MAX_TICK),
            resident,
            max_rss_bytes: limits.max_rss_bytes,
            retired: false,
            reports,
        }
    }

    /// Watches until the other side of `over` is dropped.
    pub fn run(mut self, over: &Receiver<()>) {
        while over.recv_timeout(self.tick) == Err(RecvTimeoutError::Timeout) {
            for (probe, watch) in &mut self.watches {
                look_at(probe, watch);
            }
            self.look_at_memory();
        }
    }

    fn look_at_memory(&mut self) {
        let Some(resident) = self.resident.bytes() else { return };
        match memory::judge(resident, self.max_rss_bytes) {
            memory::Verdict::Fine => {}
            memory::Verdict::Replace if self.retired => {}
            memory::Verdict::Replace => {
                tracing::warn!(
                    resident,
                    limit = self.max_rss_bytes,
                    "the process outgrew max_rss; it will be replaced"
                );
                let report =
                    FromChild::Retire { isolate: None, reason: RetireReason::RssLimit, closed: false };
                // Where the report finds no room it is made at the next look.
                self.retired = self.reports.upgrade().is_none_or(|reports| reports.try_send(report).is_ok());
            }
            memory::Verdict::End => {
                tracing::error!(
                    resident,
                    limit = self.max_rss_bytes,
                    "the process is half beyond max_rss and ends"
                );
                end_now();
            }
        }
    }
}

fn look_at(probe: &Arc<Probe>, watch: &mut TurnWatch) {
    let running = probe.running();
    let Some(cpu) = probe.cpu() else { return };
    let seen = Observation { turn: running, cpu, sample: probe.take_sample(), limit: probe.limit() };
    match (watch.observe(seen), running) {
        (Verdict::Wait, _) | (_, None) => {}
        (Verdict::Ask, Some(turn)) => probe.ask(turn),
        (Verdict::Terminate(job), Some(turn)) => probe.terminate(turn, Excess::Turn, job),
        (Verdict::Force, Some(turn)) => probe.force(turn, Excess::Turn),
        (Verdict::Stuck, Some(_)) => {
            let isolate = probe.isolate;
            tracing::error!(isolate, "JavaScript does not end though it was terminated; the process ends");
            end_now();
        }
    }
}

/// Ends the process whatever its isolates do: their jobs are lost, those of other processes are not.
fn end_now() -> ! {
    // SAFETY: `_exit` only ends the process. Destructors and exit handlers must not run while isolates do.
    unsafe { libc::_exit(GIVEN_UP) }
}
