//! The actor that runs calls on one arbiter.
//!
//! It takes a call from its bounded mailbox only while fewer than its limit run; the rest waits there, and what
//! does not fit is refused by the sender's `try_send`. Calls run as tasks of the arbiter, so that a panic in one
//! ends that one alone; the actor then starts afresh.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix::{
    Actor, ActorContext, ActorFutureExt, Addr, ArbiterHandle, AsyncContext, Context, Handler, Message,
    Supervised, Supervisor, WrapFuture,
};
use futures_util::FutureExt;
use shared::message::{Caller, NativeCall, Outcome, Target};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::exchange::{Exchange, Streams};
use crate::outward::Outward;
use crate::registry::Registry;

/// What is to be answered.
pub(crate) enum Work {
    /// A call, by an outcome, or by its streams where it has some.
    Call(NativeCall, Option<Streams>),
    /// A client's request, by a response that goes its own way.
    Exchange(Exchange),
}

/// A call on its way to a function.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Run {
    pub(crate) work: Work,
    pub(crate) deadline: Instant,
    /// Fires when nobody waits for the outcome any more.
    pub(crate) cancellation: CancellationToken,
    pub(crate) reply: Reply,
    /// Where the call reaches functions of other processes.
    pub(crate) outward: Option<Outward>,
    /// Counts this call as its actor's while it waits or runs.
    pub(crate) load: Option<Load>,
}

/// The end of a call: its id on the link, and the outcome unless it was cancelled or has answered by itself.
pub(crate) type Ended = (u64, Option<Outcome>);

/// Where a call's end is reported: exactly once, on every path.
pub(crate) struct Reply {
    id: u64,
    /// Holds a place for each call of the link, so that sending never waits.
    link: Option<mpsc::Sender<Ended>>,
}

impl Reply {
    pub(crate) fn new(id: u64, link: mpsc::Sender<Ended>) -> Self {
        Self { id, link: Some(link) }
    }

    /// The call ended with this outcome.
    pub(crate) fn send(mut self, outcome: Outcome) {
        self.report(Some(outcome));
    }

    /// The call was cancelled, or has answered by itself; nobody waits for its outcome.
    fn done(mut self) {
        self.report(None);
    }

    fn report(&mut self, outcome: Option<Outcome>) {
        let Some(link) = self.link.take() else { return };
        match link.try_send((self.id, outcome)) {
            // The link has ended, and the process with it.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => {}
            Err(mpsc::error::TrySendError::Full(_)) => debug_assert!(false, "more ends than calls on a link"),
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.report(Some(Outcome::failed(500, "the call was lost")));
    }
}

/// One call's share of its actor's load; given back when it is dropped.
pub(crate) struct Load(Arc<AtomicUsize>);

impl Load {
    pub(crate) fn on(calls: &Arc<AtomicUsize>) -> Self {
        calls.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(calls))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Run {
    /// Whether a function waits for it that has a slot of its own.
    pub(crate) fn is_of_function(&self) -> bool {
        matches!(&self.work, Work::Call(NativeCall { caller: Caller::Function { .. }, .. }, _))
    }

    /// Begins on the arbiter beside what its actor runs. A call that waits for the slots which its callers hold would
    /// wait for itself; the link bounds how many of them there are.
    pub(crate) fn begin_beside(self, arbiter: &ArbiterHandle, registry: Arc<Registry>) {
        // Where the arbiter has ended the call is dropped, and its reply tells so.
        arbiter.spawn_fn(move || {
            actix::spawn(perform(registry, self, None, Arc::new(Notify::new())));
        });
    }
}

/// Runs calls on its arbiter, so many at a time.
pub(crate) struct FunctionActor {
    registry: Arc<Registry>,
    slots: Arc<Semaphore>,
    panicked: Arc<Notify>,
}

impl FunctionActor {
    /// Starts the actor under supervision on `arbiter`. At most `mailbox` calls wait for it, and it runs
    /// `concurrency` at a time. `None` when the arbiter's thread has ended.
    pub(crate) async fn start_on(
        arbiter: &ArbiterHandle,
        registry: Arc<Registry>,
        mailbox: usize,
        concurrency: usize,
    ) -> Option<Addr<Self>> {
        let (started, has_started) = oneshot::channel();
        let actor = Supervisor::start_in_arbiter(arbiter, move |context: &mut Context<Self>| {
            // Zero would mean unbounded to actix.
            context.set_mailbox_capacity(mailbox.max(1));
            // Nobody waits any more: the process is ending.
            let _ = started.send(());
            let slots = Arc::new(Semaphore::new(concurrency));
            Self { registry, slots, panicked: Arc::new(Notify::new()) }
        });
        // Until then the mailbox has a capacity of actix's own.
        has_started.await.ok()?;
        Some(actor)
    }

    /// Leaves the mailbox alone until a call has ended, when all slots are taken.
    fn pause_when_full(&self, context: &mut Context<Self>) {
        if self.slots.available_permits() == 0 {
            let slots = Arc::clone(&self.slots);
            let freed = async move { drop(slots.acquire().await) };
            context.wait(freed.into_actor(self));
        }
    }

    fn restart_after_panic(&self, context: &mut Context<Self>) {
        let panicked = Arc::clone(&self.panicked);
        let watch = async move { panicked.notified().await }.into_actor(self);
        context.spawn(watch.map(|(), _, context| context.stop()));
    }
}

impl Actor for FunctionActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        self.restart_after_panic(context);
        self.pause_when_full(context);
    }
}

impl Supervised for FunctionActor {
    fn restarting(&mut self, _: &mut Self::Context) {
        tracing::warn!("a function actor starts afresh after a panic");
    }
}

impl Handler<Run> for FunctionActor {
    type Result = ();

    fn handle(&mut self, run: Run, context: &mut Self::Context) {
        if run.cancellation.is_cancelled() {
            run.reply.done();
            return;
        }
        // Only a restart between the last slot's taking and its pause gets here without one: that call runs
        // beyond the limit rather than being lost.
        let slot = Arc::clone(&self.slots).try_acquire_owned().ok();
        actix::spawn(perform(Arc::clone(&self.registry), run, slot, Arc::clone(&self.panicked)));
        self.pause_when_full(context);
    }
}

async fn perform(
    registry: Arc<Registry>,
    run: Run,
    slot: Option<OwnedSemaphorePermit>,
    panicked: Arc<Notify>,
) {
    let Run { work, deadline, cancellation, reply, outward, load } = run;
    let (function, request_id) = work.names();
    let span = tracing::info_span!("call", function, request_id, trace_id = tracing::field::Empty);
    let outcome =
        AssertUnwindSafe(work.run(&registry, deadline, cancellation.clone(), outward)).catch_unwind();
    let ended = tokio::select! {
        biased;
        () = cancellation.cancelled() => None,
        ended = outcome.instrument(span) => Some(ended),
    };
    // Before the reply, so that the caller's next call finds the room that this one took.
    drop((slot, load));
    match ended {
        None | Some(Ok(None)) => reply.done(),
        Some(Ok(Some(outcome))) => reply.send(outcome),
        Some(Err(_)) => {
            reply.send(Outcome::failed(500, "the function failed"));
            panicked.notify_one();
        }
    }
}

impl Work {
    /// What names it in the log: the function, and the request.
    fn names(&self) -> (String, String) {
        match self {
            Self::Call(call, _) => (call.name.clone(), call.request_id.clone()),
            Self::Exchange(exchange) => {
                let function = match &exchange.target {
                    Target::Function(name) => name.clone(),
                    Target::Route => String::from_utf8_lossy(&exchange.head.url).into_owned(),
                };
                (function, String::from_utf8_lossy(&exchange.head.request_id).into_owned())
            }
        }
    }

    async fn run(
        self,
        registry: &Registry,
        deadline: Instant,
        cancellation: CancellationToken,
        outward: Option<Outward>,
    ) -> Option<Outcome> {
        match self {
            Self::Call(call, streams) => registry.call(call, streams, deadline, cancellation, outward).await,
            Self::Exchange(exchange) => {
                registry.exchange(exchange, deadline, cancellation, outward).await;
                None
            }
        }
    }
}
