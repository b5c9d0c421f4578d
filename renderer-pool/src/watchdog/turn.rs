//! When a synchronous turn has taken too long. Pure: what was observed in, what to do out.
//!
//! ```text
//!            same turn, a tick later          the same job for the whole limit
//!   quiet --------------------------> asking ---------------------------------> terminating
//!     ^   <-- another turn, or idle --+  ^                                          |
//!     |                                  +------- another job had its turn ---------+
//!     +--- the turn has ended ------------------------------------------------------+
//! ```
//!
//! A turn may also stand still: `Atomics.wait`, a pipe that nobody writes to. Where the thread has used next to no CPU
//! time for [`STALL`] in the midst of a turn, it is taken for one that has exceeded its limit.
//!
//! Many jobs may have their share of one turn: the limit counts from when the running one was first seen, without
//! another in between. A turn that jobs keep up together ends at [`WHOLE_TURN`] times the limit.

use std::time::Duration;

/// So many limits a turn may take in which no single job exceeds it.
const WHOLE_TURN: u32 = 10;

/// So much CPU time JavaScript has to come to its end once it is terminated: a collection of a full heap may take
/// seconds, and nothing ends it.
const LAST: Duration = Duration::from_secs(10);

/// So much CPU time a thread may use, at least, until it answers an interrupt that is to name and terminate its job. What
/// terminates without one leaves the job without a name.
const PAUSE: Duration = Duration::from_secs(3);

/// So long a thread may stand still in the midst of a turn.
pub const STALL: Duration = Duration::from_secs(10);

/// A thread that uses less CPU time than this within [`STALL`] stands still: it answers interrupts all the same, and one
/// that waits for a busy processor gets more.
const MOVED: Duration = Duration::from_millis(100);

/// The number of a turn; each turn has its own.
pub type TurnNumber = u64;

/// Which job ran.
pub type JobKey = u32;

/// No job.
pub const NOBODY: JobKey = 0;

/// What an isolate's thread said of itself when it was interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// The turn that was interrupted.
    pub turn: TurnNumber,
    /// The job that ran.
    pub job: JobKey,
}

/// What an isolate looks like at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Observation {
    /// The turn that runs, if one does.
    pub turn: Option<TurnNumber>,
    /// The time of the watchdog's thread.
    pub now: Duration,
    /// The CPU time of the isolate's thread.
    pub cpu: Duration,
    /// What it said since the last observation.
    pub sample: Option<Sample>,
    /// How long a turn may take.
    pub limit: Duration,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Wait,
    /// Interrupt it and ask which job runs.
    Ask,
    /// Interrupt it, note the stack and terminate, if that job (any, when `None`) still runs.
    Terminate(Option<JobKey>),
    /// Terminate it without an interrupt: it does not answer one.
    Force,
    /// It does not end: give the process up.
    Stuck,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Quiet,
    /// An interrupt is on its way.
    Asked,
    /// So is one that terminates, since then.
    Terminating(Duration),
    /// Terminated since then.
    Forced(Duration),
}

/// One turn under watch.
#[derive(Debug, Clone, Copy)]
struct Watched {
    turn: TurnNumber,
    since: Duration,
    job: Option<JobKey>,
    job_since: Duration,
    /// When it was last seen to move, and its CPU time then.
    moved: (Duration, Duration),
    stage: Stage,
}

/// The watch over one isolate.
#[derive(Debug, Default)]
pub struct TurnWatch {
    watched: Option<Watched>,
    may_stall: bool,
}

impl TurnWatch {
    /// A watch over an isolate that has not begun; `may_stall` where a turn may stand still for as long as it likes.
    pub fn new(may_stall: bool) -> Self {
        Self { watched: None, may_stall }
    }

    /// The job that was last found in the turn, if one was.
    pub fn job(&self) -> Option<JobKey> {
        self.watched.and_then(|watched| watched.job).filter(|job| *job != NOBODY)
    }

    /// Takes in what was observed. Observations follow each other at a fraction of the limit.
    pub fn observe(&mut self, seen: Observation) -> Verdict {
        let Some(turn) = seen.turn else {
            self.watched = None;
            return Verdict::Wait;
        };
        match &mut self.watched {
            Some(watched) if watched.turn == turn => {
                let stalled = watched.stands_still(seen) && !self.may_stall;
                watched.go_on(seen, stalled)
            }
            watched => {
                *watched = Some(Watched {
                    turn,
                    since: seen.cpu,
                    job: None,
                    job_since: seen.cpu,
                    moved: (seen.now, seen.cpu),
                    stage: Stage::Quiet,
                });
                Verdict::Wait
            }
        }
    }
}

impl Watched {
    /// Whether it has stood still for [`STALL`]; counts anew when it has.
    fn stands_still(&mut self, seen: Observation) -> bool {
        let (at, cpu) = self.moved;
        let moves = seen.cpu.saturating_sub(cpu) >= MOVED;
        let stalled = !moves && seen.now.saturating_sub(at) >= STALL;
        if moves || stalled {
            self.moved = (seen.now, seen.cpu);
        }
        stalled
    }

    fn go_on(&mut self, seen: Observation, stalled: bool) -> Verdict {
        if let Some(sample) = seen.sample.filter(|sample| sample.turn == self.turn) {
            self.hear(sample, seen.cpu);
        }
        let used = |since: Duration| seen.cpu.saturating_sub(since);
        let too_long = used(self.job_since) >= seen.limit;
        match self.stage {
            Stage::Forced(since) if stalled || used(since) >= LAST => Verdict::Stuck,
            Stage::Forced(_) => Verdict::Wait,
            Stage::Terminating(since) if stalled || used(since) >= seen.limit.max(PAUSE) => {
                self.stage = Stage::Forced(seen.cpu);
                Verdict::Force
            }
            Stage::Terminating(_) => Verdict::Wait,
            _ if stalled || used(self.since) >= seen.limit * WHOLE_TURN => self.terminate(None, seen.cpu),
            Stage::Quiet if too_long && self.job.is_some() => self.terminate(self.job, seen.cpu),
            Stage::Quiet => {
                self.stage = Stage::Asked;
                Verdict::Ask
            }
            // It has not answered for as long as it may run at all: a collection takes that long, and answers afterwards.
            Stage::Asked if too_long => self.terminate(None, seen.cpu),
            Stage::Asked => Verdict::Wait,
        }
    }

    fn hear(&mut self, sample: Sample, cpu: Duration) {
        match self.job {
            // What runs between a job's callbacks is nobody's.
            Some(job) if sample.job == NOBODY || sample.job == job => {}
            None | Some(NOBODY) => self.job = Some(sample.job),
            Some(_) => (self.job, self.job_since) = (Some(sample.job), cpu),
        }
        // An answer to a termination says that another job was found, and nothing was terminated.
        if !matches!(self.stage, Stage::Forced(_)) {
            self.stage = Stage::Quiet;
        }
    }

    fn terminate(&mut self, job: Option<JobKey>, cpu: Duration) -> Verdict {
        self.stage = Stage::Terminating(cpu);
        Verdict::Terminate(job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(1000);
    const TICK: Duration = Duration::from_millis(100);

    /// An isolate whose jobs take turns as a script says: at each tick of CPU time the job that runs.
    fn run(script: impl IntoIterator<Item = (TurnNumber, JobKey)>, answers: bool) -> Vec<(usize, Verdict)> {
        let (mut watch, mut sample, mut cpu) = (TurnWatch::default(), None, Duration::ZERO);
        let mut verdicts = Vec::new();
        for (tick, (turn, job)) in script.into_iter().enumerate() {
            cpu += TICK;
            let observation = Observation { turn: Some(turn), now: cpu, cpu, sample, limit: LIMIT };
            let verdict = watch.observe(observation);
            let found = match verdict {
                Verdict::Ask => true,
                Verdict::Terminate(wanted) => wanted.is_some_and(|wanted| wanted != job && job != NOBODY),
                _ => false,
            };
            sample = (answers && found).then_some(Sample { turn, job });
            if !matches!(verdict, Verdict::Wait | Verdict::Ask) {
                verdicts.push((tick, verdict));
            }
        }
        verdicts
    }

    #[test]
    fn short_turns_are_left_alone() {
        assert_eq!(run((0..1000).map(|tick| (tick / 9, 1)), true), []);
    }

    #[test]
    fn a_job_that_runs_for_the_limit_is_terminated_and_named() {
        let verdicts = run((0..12).map(|_| (1, 7)), true);
        assert_eq!(verdicts, [(10, Verdict::Terminate(Some(7)))]);
    }

    #[test]
    fn many_jobs_may_share_a_turn_that_is_longer_than_the_limit() {
        assert_eq!(run((0..90).map(|tick| (1, 1 + tick / 5)), true), []);
    }

    #[test]
    fn the_last_of_many_jobs_is_the_one_that_is_named() {
        let script = (0..10).map(|tick| (1, 1 + tick / 5)).chain((0..20).map(|_| (1, 9)));
        let verdicts = run(script, true);
        let (tick, verdict) = verdicts[0];
        assert_eq!(verdict, Verdict::Terminate(Some(9)));
        assert!((20..=22).contains(&tick), "{tick}");
    }

    #[test]
    fn a_turn_that_jobs_keep_up_together_ends_as_well() {
        let verdicts = run((0..200).map(|tick| (1, 1 + tick % 2)), true);
        assert_eq!(verdicts[0], (100, Verdict::Terminate(None)));
    }

    #[test]
    fn what_runs_between_a_jobs_callbacks_does_not_hide_it() {
        let verdicts = run((0..12).map(|tick| (1, tick % 2 * 7)), true);
        assert_eq!(verdicts, [(10, Verdict::Terminate(Some(7)))]);
    }

    #[test]
    fn what_answers_no_interrupt_is_terminated_and_given_up_in_the_end() {
        let verdicts = run((0..150).map(|_| (1, 1)), false);
        assert_eq!(
            verdicts[..3],
            [(10, Verdict::Terminate(None)), (40, Verdict::Force), (140, Verdict::Stuck)]
        );
    }

    #[test]
    fn a_sleeping_thread_uses_no_time() {
        let mut watch = TurnWatch::default();
        for _ in 0..1000 {
            let seen =
                Observation { turn: Some(1), now: Duration::ZERO, cpu: TICK, sample: None, limit: LIMIT };
            let verdict = watch.observe(seen);
            assert!(matches!(verdict, Verdict::Wait | Verdict::Ask));
        }
    }

    /// What is done about a turn in which the thread uses `cpu` of each tick, and at which second.
    fn standing(watch: &mut TurnWatch, cpu: Duration) -> Vec<(u64, Verdict)> {
        let look = |tick: u32| {
            let seen =
                Observation { turn: Some(1), now: TICK * tick, cpu: cpu * tick, sample: None, limit: LIMIT };
            (seen.now.as_secs(), watch.observe(seen))
        };
        (0..400).map(look).filter(|(_, verdict)| !matches!(verdict, Verdict::Wait | Verdict::Ask)).collect()
    }

    #[test]
    fn a_turn_that_stands_still_is_ended_and_given_up_in_the_end() {
        let verdicts = standing(&mut TurnWatch::default(), Duration::from_micros(500));
        assert_eq!(verdicts, [(10, Verdict::Terminate(None)), (20, Verdict::Force), (30, Verdict::Stuck)]);
    }

    #[test]
    fn a_turn_that_waits_for_the_processor_or_at_a_breakpoint_does_not_stand_still() {
        assert_eq!(standing(&mut TurnWatch::default(), Duration::from_millis(2)), []);
        assert_eq!(standing(&mut TurnWatch::new(true), Duration::ZERO), []);
    }

    #[test]
    fn an_answer_of_another_turn_says_nothing() {
        let mut watch = TurnWatch::default();
        let seen = |turn, ticks, sample| {
            let cpu = TICK * ticks;
            Observation { turn: Some(turn), now: cpu, cpu, sample, limit: LIMIT }
        };
        watch.observe(seen(2, 0, None));
        assert_eq!(watch.observe(seen(2, 1, None)), Verdict::Ask);
        let late = Some(Sample { turn: 1, job: 5 });
        assert_eq!(watch.observe(seen(2, 2, late)), Verdict::Wait);
        assert_eq!(watch.observe(seen(2, 10, None)), Verdict::Terminate(None));
    }
}
