//! The watchdog: a thread of its own that sees to it that no isolate runs for too long without a pause and that
//! the process does not outgrow its memory.
//!
//! - [`turn`]: when a turn has taken too long. Pure.
//! - [`probe`]: what the watchdog and an isolate's thread share; [`stack`]: what JavaScript was doing;
//!   [`search`]: whose turn it is where the stack does not tell.
//! - [`memory`]: the process's resident memory.

pub mod memory;
pub mod probe;
mod search;
mod stack;
pub mod turn;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError};
use shared::message::control::GiveUp;
use shared::message::{FromChild, RetireReason};
use shared::setup::RendererSetup;
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

/// More ticks than this do not count between two looks: the process was stopped, or had no processor.
const LONGEST_PAUSE: u32 = 10;

/// How long the gateway has, after it was told that JavaScript does not end, to say who suffers and to end the process.
const FAREWELL: Duration = Duration::from_secs(1);

/// The same where memory grows meanwhile.
const SHORT_FAREWELL: Duration = Duration::from_millis(50);

/// Exit code of a process that gives itself up (sysexits.h: EX_SOFTWARE).
const GIVEN_UP: i32 = 70;

/// Watches the isolates of this process.
#[derive(Debug)]
pub struct Watchdog {
    watches: Vec<(Arc<Probe>, TurnWatch)>,
    tick: Duration,
    /// The time that this thread has watched; it stands nearly still while the whole process is stopped.
    watched: Duration,
    looked: Instant,
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
        setup: &RendererSetup,
        reports: mpsc::WeakSender<FromChild>,
    ) -> Self {
        let tick = Duration::from_millis(setup.limits.max_turn_ms) / LOOKS_PER_LIMIT;
        // At a breakpoint nothing moves, and that is as it should be.
        let may_stall = setup.inspect.is_some();
        Self {
            watches: probes.into_iter().map(|probe| (probe, TurnWatch::new(may_stall))).collect(),
            tick: tick.clamp(MIN_TICK, MAX_TICK),
            watched: Duration::ZERO,
            looked: Instant::now(),
            resident,
            max_rss_bytes: setup.limits.max_rss_bytes,
            retired: false,
            reports,
        }
    }

    /// Watches until the other side of `over` is dropped.
    pub fn run(mut self, over: &Receiver<()>) {
        while over.recv_timeout(self.tick) == Err(RecvTimeoutError::Timeout) {
            let looked = Instant::now();
            self.watched += (looked - self.looked).min(self.tick * LONGEST_PAUSE);
            self.looked = looked;
            if let Some((isolate, job)) = self.look_at_turns() {
                tracing::error!(
                    isolate,
                    "JavaScript does not end though it was terminated; the process ends"
                );
                let report = FromChild::GivesUp { reason: GiveUp::Stuck, isolate: Some(isolate), job };
                self.give_up(report, FAREWELL);
            }
            // Its operator wants to know what the memory holds.
            if !self.is_examined() {
                self.look_at_memory();
            }
        }
    }

    /// The isolate whose turn nothing ends, and the gateway's id of the job that is to blame.
    fn look_at_turns(&mut self) -> Option<(usize, Option<u64>)> {
        let now = self.watched;
        self.watches.iter_mut().find_map(|(probe, watch)| {
            let is_stuck = look_at(probe, watch, now);
            is_stuck.then(|| (probe.isolate, probe.wire_id(watch.job())))
        })
    }

    fn is_examined(&self) -> bool {
        self.watches.iter().any(|(probe, _)| probe.is_examined())
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
                let report = FromChild::GivesUp { reason: GiveUp::Memory, isolate: None, job: None };
                self.give_up(report, SHORT_FAREWELL);
            }
        }
    }

    /// Ends the process whatever its isolates do: their jobs are lost, those of other processes are not. The gateway is
    /// told, and ends it sooner.
    fn give_up(&self, report: FromChild, farewell: Duration) -> ! {
        if let Some(reports) = self.reports.upgrade() {
            // Where there is no room the exit code tells.
            let _ = reports.try_send(report);
        }
        std::thread::sleep(farewell);
        // SAFETY: `_exit` only ends the process. Destructors and exit handlers must not run while isolates do.
        unsafe { libc::_exit(GIVEN_UP) }
    }
}

/// Says whether it is stuck: nothing but the end of the process ends its turn.
fn look_at(probe: &Arc<Probe>, watch: &mut TurnWatch, now: Duration) -> bool {
    let running = probe.running();
    let Some(cpu) = probe.cpu() else { return false };
    let seen = Observation { turn: running, now, cpu, sample: probe.take_sample(), limit: probe.limit() };
    match (watch.observe(seen), running) {
        (_, None) => {}
        (Verdict::Wait, Some(turn)) => probe.remind(turn),
        (Verdict::Ask, Some(turn)) => probe.ask(turn),
        (Verdict::Terminate(job), Some(turn)) => probe.terminate(turn, Excess::Turn, job),
        (Verdict::Force, Some(turn)) => probe.force(turn, Excess::Turn, watch.job()),
        (Verdict::Stuck, Some(_)) => return true,
    }
    false
}
