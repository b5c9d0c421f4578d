//! One isolate as the watchdog sees it: shared between the isolate's thread and the watchdog's.
//!
//! The isolate's thread marks its turns with two stores; everything else happens only when a turn takes long.

use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Poll;
use std::time::Duration;

use deno_core::v8;
use nix::time::{ClockId, clock_gettime};

use super::search::{self, Search};
use super::stack::{self, Caught};
use super::turn::{JobKey, NOBODY, Sample, TurnNumber};
use crate::job::WireIds;

/// Why JavaScript was terminated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    /// A synchronous turn took too long.
    Turn,
    /// V8's heap was full.
    Heap,
}

impl Excess {
    /// As log lines name it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Turn => "turn_limit",
            Self::Heap => "heap_limit",
        }
    }
}

/// JavaScript was terminated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overrun {
    /// Why.
    pub excess: Excess,
    /// The job that ran; 0 for none.
    pub job: JobKey,
    /// Its URL, also when its response is complete; empty without a job.
    pub url: String,
    /// The top of JavaScript's stack, a line each; empty when it was not to be had.
    pub stack: Vec<String>,
}

impl Overrun {
    /// The stack for a log line, the innermost function first.
    pub fn stack_text(&self) -> String {
        self.stack.join(" <- ")
    }
}

/// What the isolate's thread is asked in an interrupt.
#[derive(Debug, Clone, Copy)]
struct Question {
    /// The turn that it concerns; another one takes no notice.
    turn: TurnNumber,
    /// Terminate JavaScript if this job runs, or whatever runs.
    terminate: Option<(Excess, Option<JobKey>)>,
    /// So often it may be put again where no function was on the stack: between two microtasks there is none.
    retries: u32,
}

/// See [`Question::retries`].
const RETRIES: u32 = 20;

/// The time between two of them.
const RETRY_AFTER: Duration = Duration::from_micros(500);

/// So often is looked whether a question was answered, before it is left to [`Probe::remind`].
const MOST_LOOKS: u32 = 2 * RETRIES;

/// The isolate that runs on the thread now.
#[derive(Debug)]
struct Attached {
    handle: v8::IsolateHandle,
    clock: ClockId,
}

#[derive(Debug, Default)]
pub(super) struct State {
    attached: Option<Attached>,
    question: Option<Question>,
    sample: Option<Sample>,
    overrun: Option<Overrun>,
    pub(super) search: Option<Search>,
}

/// One isolate under watch.
#[derive(Debug, Default)]
pub struct Probe {
    /// Which isolate of the process, from 0.
    pub isolate: usize,
    /// Odd while JavaScript runs; grows with each turn.
    turn: AtomicU64,
    /// Milliseconds.
    limit: AtomicU32,
    /// The job whose event is being delivered; 0 for none.
    delivered: AtomicU32,
    wire_ids: OnceLock<Arc<WireIds>>,
    /// The isolate is being looked into.
    is_examined: AtomicBool,
    /// There is an overrun to take.
    overran: AtomicBool,
    state: Mutex<State>,
}

/// JavaScript runs until this is dropped.
#[derive(Debug)]
pub struct Turn<'a>(&'a Probe);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.turn.store(self.0.turn.load(Ordering::Relaxed) + 1, Ordering::Release);
    }
}

/// The isolate can be interrupted until this is dropped.
#[derive(Debug)]
pub struct Attachment(Arc<Probe>);

impl Drop for Attachment {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        (state.attached, state.question, state.sample) = (None, None, None);
    }
}

/// The isolate is being looked into until this is dropped.
#[derive(Debug)]
pub struct Examined(Arc<Probe>);

impl Drop for Examined {
    fn drop(&mut self) {
        self.0.is_examined.store(false, Ordering::Release);
    }
}

// On the isolate's thread.
impl Probe {
    /// A probe for this isolate of the process; nothing is watched before [`Probe::attach`].
    pub fn new(isolate: usize) -> Self {
        Self { isolate, ..Self::default() }
    }

    /// Under which ids the gateway knows the isolate's jobs; the first call counts.
    pub fn know_jobs(&self, wire_ids: Arc<WireIds>) {
        let _ = self.wire_ids.set(wire_ids);
    }

    /// Puts the calling thread and its isolate under watch; `context` is the one that the app runs in.
    pub fn attach(
        self: &Arc<Self>,
        isolate: &mut v8::Isolate,
        context: v8::Global<v8::Context>,
    ) -> std::io::Result<Attachment> {
        stack::remember_context(isolate, context);
        search::remember_probe(isolate, self.clone());
        let attached = Attached { handle: isolate.thread_safe_handle(), clock: own_cpu_clock()? };
        self.lock().attached = Some(attached);
        Ok(Attachment(self.clone()))
    }

    /// How long turns may take from now on.
    pub fn set_limit(&self, limit: Duration) {
        let limit = u32::try_from(limit.as_millis()).unwrap_or(u32::MAX);
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// A turn begins. Turns do not nest.
    pub fn turn(&self) -> Turn<'_> {
        // One thread writes; the other only reads.
        self.turn.store(self.turn.load(Ordering::Relaxed) + 1, Ordering::Release);
        Turn(self)
    }

    /// The isolate is looked into: a heap snapshot takes its time, in no turn, and several times the memory of the heap
    /// that it describes.
    pub fn examined(self: &Arc<Self>) -> Examined {
        self.is_examined.store(true, Ordering::Release);
        Examined(self.clone())
    }

    /// The next turns deliver an event of this job; 0 for none.
    pub fn delivering(&self, job: JobKey) {
        self.delivered.store(job, Ordering::Relaxed);
    }

    /// Drives a future, each poll of it as a turn.
    ///
    /// # Errors
    /// [`Overrun`] when JavaScript was terminated meanwhile; the future is of no use then.
    pub async fn watch<F: Future>(&self, future: F) -> Result<F::Output, Overrun> {
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|cx| {
            let turn = self.turn();
            let polled = future.as_mut().poll(cx);
            drop(turn);
            match self.take_overrun() {
                Some(overrun) => Poll::Ready(Err(overrun)),
                None => polled.map(Ok),
            }
        })
        .await
    }

    /// Whether something was terminated and not taken yet.
    pub fn has_overrun(&self) -> bool {
        self.overran.load(Ordering::Acquire)
    }

    /// What was terminated since the last call.
    pub fn take_overrun(&self) -> Option<Overrun> {
        if !self.has_overrun() {
            return None;
        }
        self.overran.store(false, Ordering::Relaxed);
        self.lock().overrun.take()
    }

    /// Answers a question, in the midst of JavaScript.
    fn answer(&self, isolate: &mut v8::Isolate) {
        let turn = self.running();
        let Some(question) = self.lock().question.take().filter(|question| Some(question.turn) == turn)
        else {
            return;
        };
        let Caught { job, url } = stack::running_job(isolate);
        let fits = |wanted: &Option<JobKey>| job == NOBODY || wanted.is_none_or(|wanted| wanted == job);
        let Some((excess, wanted)) = question.terminate.filter(|(_, wanted)| fits(wanted)) else {
            self.lock().sample = Some(Sample { turn: question.turn, job });
            return;
        };
        let stack = stack::capture(isolate);
        let wanted = wanted.filter(|wanted| *wanted != NOBODY);
        let job = wanted.or((job != NOBODY).then_some(job));
        // A full heap does not wait.
        if excess == Excess::Turn && (stack.is_empty() || (job.is_none() && question.retries > 0)) {
            if question.retries > 0 {
                self.lock().question = Some(Question { retries: question.retries - 1, ..question });
            }
            if stack.is_empty() {
                self.search(isolate, Search::of(question.turn, wanted));
            }
            return;
        }
        // Between two callbacks nobody runs: the turn is then that of the job whose event began it.
        let job = job.unwrap_or_else(|| self.delivered.load(Ordering::Relaxed));
        self.note(Overrun { excess, job, url, stack });
        isolate.terminate_execution();
    }

    pub(super) fn note(&self, overrun: Overrun) {
        let mut state = self.lock();
        (state.overrun, state.question, state.search) = (Some(overrun), None, None);
        drop(state);
        self.overran.store(true, Ordering::Release);
    }
}

// On any thread.
impl Probe {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The turn that runs, if one does.
    pub fn running(&self) -> Option<TurnNumber> {
        let turn = self.turn.load(Ordering::Acquire);
        (turn % 2 == 1).then_some(turn)
    }

    /// Whether the isolate is being looked into.
    pub fn is_examined(&self) -> bool {
        self.is_examined.load(Ordering::Acquire)
    }

    /// How long a turn may take.
    pub fn limit(&self) -> Duration {
        Duration::from_millis(self.limit.load(Ordering::Relaxed).into())
    }

    /// The CPU time of the isolate's thread; `None` while there is no isolate.
    pub fn cpu(&self) -> Option<Duration> {
        let clock = self.lock().attached.as_ref()?.clock;
        clock_gettime(clock).ok().map(Duration::from)
    }

    /// What it answered since the last call.
    pub fn take_sample(&self) -> Option<Sample> {
        self.lock().sample.take()
    }

    /// Asks which job runs in this turn.
    pub fn ask(self: &Arc<Self>, turn: TurnNumber) {
        self.interrupt(Question { turn, terminate: None, retries: 0 });
    }

    /// Terminates the turn if this job, or any, still runs in it, and notes where it was. Blocks for some
    /// milliseconds at most; where the isolate has its turn on a busy core later, [`Probe::remind`] goes on.
    pub fn terminate(self: &Arc<Self>, turn: TurnNumber, excess: Excess, job: Option<JobKey>) {
        self.interrupt(Question { turn, terminate: Some((excess, job)), retries: RETRIES });
        let mut left = RETRIES;
        for _ in 0..MOST_LOOKS {
            std::thread::sleep(RETRY_AFTER);
            let Some(question) = self.lock().question else { return };
            if question.retries < left {
                left = question.retries;
                self.request_interrupt();
            }
        }
    }

    /// Interrupts once more for a question that was put back after [`Probe::terminate`] had stopped looking.
    pub fn remind(self: &Arc<Self>, turn: TurnNumber) {
        let pending = self.lock().question;
        if pending.is_some_and(|question| question.turn == turn && question.retries < RETRIES) {
            self.request_interrupt();
        }
    }

    /// Terminates the turn whatever runs in it. For the isolate's own thread, which must not wait for itself.
    pub fn terminate_soon(self: &Arc<Self>, turn: TurnNumber, excess: Excess) {
        self.interrupt(Question { turn, terminate: Some((excess, None)), retries: 0 });
    }

    /// The gateway's id of this job; without one that of the job whose event began the turn, or of the only one.
    pub fn wire_id(&self, job: Option<JobKey>) -> Option<u64> {
        let ids = self.wire_ids.get()?;
        match job.unwrap_or_else(|| self.delivered.load(Ordering::Relaxed)) {
            NOBODY => ids.only(),
            job => ids.find(job),
        }
    }

    /// Terminates the turn without asking first; `job` is the one that was last found in it.
    pub fn force(&self, turn: TurnNumber, excess: Excess, job: Option<JobKey>) {
        if self.running() != Some(turn) {
            return;
        }
        let job = job.unwrap_or_else(|| self.delivered.load(Ordering::Relaxed));
        self.note(Overrun { excess, job, url: String::new(), stack: Vec::new() });
        if let Some(attached) = &self.lock().attached {
            attached.handle.terminate_execution();
        }
    }

    fn interrupt(self: &Arc<Self>, question: Question) {
        let mut state = self.lock();
        // What is to end it is not forgotten over a mere question.
        let ends = |pending: &Question| pending.turn == question.turn && pending.terminate.is_some();
        if question.terminate.is_none() && state.question.as_ref().is_some_and(ends) {
            return;
        }
        state.question = Some(question);
        drop(state);
        self.request_interrupt();
    }

    fn request_interrupt(self: &Arc<Self>) {
        let handle = self.lock().attached.as_ref().map(|attached| attached.handle.clone());
        if let Some(handle) = handle {
            // The probe outlives the isolate: both threads hold it for as long as they run.
            handle.request_interrupt(on_interrupt, Arc::as_ptr(self).cast_mut().cast());
        }
    }
}

/// V8 calls this on the isolate's thread, between two instructions of JavaScript.
unsafe extern "C" fn on_interrupt(isolate: v8::UnsafeRawIsolatePtr, probe: *mut c_void) {
    // SAFETY: the pointer is the one that `interrupt` gave to V8: a probe that outlives the isolate.
    let probe = unsafe { &*probe.cast::<Probe>() };
    // SAFETY: V8 hands over the isolate that runs on this thread.
    let mut isolate = unsafe { v8::Isolate::from_raw_isolate_ptr(isolate) };
    probe.answer(&mut isolate);
}

/// The clock that counts the calling thread's CPU time, for other threads to read.
fn own_cpu_clock() -> std::io::Result<ClockId> {
    let mut clock = 0;
    // SAFETY: the thread is the calling one, which lives; the clock's id is written to a variable of this frame.
    let error = unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &raw mut clock) };
    if error == 0 { Ok(ClockId::from_raw(clock)) } else { Err(std::io::Error::from_raw_os_error(error)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_numbered_and_end() {
        let probe = Probe::new(0);
        assert_eq!(probe.running(), None);
        let first = {
            let _turn = probe.turn();
            probe.running().unwrap()
        };
        assert_eq!(probe.running(), None);
        let _turn = probe.turn();
        assert!(probe.running().unwrap() > first);
    }

    #[test]
    fn the_clock_of_a_thread_counts_its_work_and_not_its_sleep() {
        let clock = own_cpu_clock().unwrap();
        let time = || Duration::from(clock_gettime(clock).unwrap());
        let before = time();
        std::thread::sleep(Duration::from_millis(50));
        assert!(time() - before < Duration::from_millis(40));
        let busy_until = time() + Duration::from_millis(5);
        while time() < busy_until {}
    }
}
