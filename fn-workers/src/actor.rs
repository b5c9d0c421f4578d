//! The actor that runs calls on one arbiter.
//!
//! A link on the actor's own arbiter runs a call at once while fewer than the actor's limit run ([`Desk::begin`]): most
//! functions are done then, without a task or a hop. What is not goes on as a task of the arbiter. Beyond the limit, and
//! from other threads, a call goes to the actor's bounded mailbox; the actor takes it from there as places free, and what
//! does not fit is refused by `try_send`. A panic in a call ends that one alone; the actor then starts afresh.

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task;

use actix::dev::SendError;
use actix::{
    Actor, ActorContext, ActorFutureExt, Addr, ArbiterHandle, AsyncContext, Context, Handler, Message,
    Supervised, Supervisor, WrapFuture,
};
use futures_util::FutureExt;
use shared::message::{Caller, NativeCall, Outcome, Target};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

use crate::exchange::{Exchange, Streams};
use crate::outward::Outward;
use crate::registry::Registry;
use crate::request::trace_id;

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
    /// Counts it among those that wait, until it runs.
    pub(crate) waits: Option<Load>,
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

    /// One more, unless there are as many as `limit`.
    fn within(calls: &Arc<AtomicUsize>, limit: usize) -> Option<Self> {
        let more = |calls: usize| (calls < limit).then_some(calls + 1);
        calls
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .is_ok()
            .then(|| Self(Arc::clone(calls)))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Runs calls on its arbiter, so many at a time.
pub(crate) struct FunctionActor {
    registry: Arc<Registry>,
    slots: Arc<Semaphore>,
    panicked: Arc<Notify>,
    /// The call that gets the next place; nothing is taken from the mailbox meanwhile.
    next: Option<Run>,
}

/// Where an actor takes calls.
#[derive(Clone)]
pub(crate) struct Desk {
    actor: Addr<FunctionActor>,
    registry: Arc<Registry>,
    slots: Arc<Semaphore>,
    panicked: Arc<Notify>,
    /// Calls that wait for a place, and how many may.
    waiting: Arc<AtomicUsize>,
    mailbox: usize,
}

impl Desk {
    /// The functions that the actor answers for.
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Runs a call on the actor's own arbiter, which the caller must run on: at once, or from the mailbox when as many
    /// run as may. `context` is that of the caller's task, which may be woken for nothing.
    pub(crate) fn begin(&self, run: Run, context: &mut task::Context<'_>) {
        let slot = match Arc::clone(&self.slots).try_acquire_owned() {
            _ if run.is_of_function() => None,
            Ok(slot) => Some(slot),
            Err(_) => return self.send(run),
        };
        let mut call = Box::pin(self.perform(run, slot));
        if call.as_mut().poll(context).is_pending() {
            actix::spawn(call);
        }
    }

    fn perform(&self, run: Run, slot: Option<OwnedSemaphorePermit>) -> impl Future<Output = ()> + use<> {
        perform(Arc::clone(&self.registry), run, slot, Arc::clone(&self.panicked))
    }

    /// Runs a call of a function from another thread, on the actor's arbiter and beside what the actor runs.
    pub(crate) fn begin_beside(&self, run: Run, arbiter: &ArbiterHandle) {
        let call = self.clone();
        // Where the arbiter has ended the call is dropped, and its reply tells so.
        arbiter.spawn_fn(move || {
            actix::spawn(call.perform(run, None));
        });
    }

    /// Puts a call into the actor's mailbox, from any thread; answers 503 when as many wait as may.
    pub(crate) fn send(&self, mut run: Run) {
        run.waits = Load::within(&self.waiting, self.mailbox);
        if run.waits.is_none() {
            return run.refuse("the function workers are busy");
        }
        match self.actor.try_send(run) {
            Ok(()) => {}
            Err(SendError::Full(run)) => run.refuse("the function workers are busy"),
            Err(SendError::Closed(run)) => {
                tracing::error!("a function actor has ended");
                run.refuse("the function workers are ending");
            }
        }
    }
}

impl Run {
    /// Whether a function waits for it that has a slot of its own: a call that waits for the slots which its callers hold
    /// would wait for itself. The link bounds how many of them there are.
    pub(crate) fn is_of_function(&self) -> bool {
        matches!(&self.work, Work::Call(NativeCall { caller: Caller::Function { .. }, .. }, _))
    }

    fn refuse(self, message: &'static str) {
        drop((self.load, self.waits));
        self.reply.send(Outcome::failed(503, message));
    }
}

impl FunctionActor {
    /// Starts the actor under supervision on `arbiter`. At most `mailbox` calls wait for it, and it runs
    /// `concurrency` at a time. `None` when the arbiter's thread has ended.
    pub(crate) async fn start_on(
        arbiter: &ArbiterHandle,
        registry: Arc<Registry>,
        mailbox: usize,
        concurrency: usize,
    ) -> Option<Desk> {
        let (started, has_started) = oneshot::channel();
        let (own, desk) = Self::new(registry, mailbox, concurrency);
        let actor = Supervisor::start_in_arbiter(arbiter, move |context: &mut Context<Self>| {
            context.set_mailbox_capacity(mailbox.max(1));
            // Nobody waits any more: the process is ending.
            let _ = started.send(());
            own
        });
        // Until then the mailbox has a capacity of actix's own.
        has_started.await.ok()?;
        Some(desk(actor))
    }

    /// As [`FunctionActor::start_on`], on the calling thread, which must run an arbiter.
    pub(crate) fn start_here(registry: Arc<Registry>, mailbox: usize, concurrency: usize) -> Desk {
        let (own, desk) = Self::new(registry, mailbox, concurrency);
        desk(Supervisor::start(move |context: &mut Context<Self>| {
            context.set_mailbox_capacity(mailbox.max(1));
            own
        }))
    }

    /// An actor, and what makes the desk of its address. A mailbox of zero would be unbounded to actix; it holds one.
    fn new(
        registry: Arc<Registry>,
        mailbox: usize,
        concurrency: usize,
    ) -> (Self, impl FnOnce(Addr<Self>) -> Desk) {
        let (slots, panicked) = (Arc::new(Semaphore::new(concurrency)), Arc::new(Notify::new()));
        let own = Self {
            registry: Arc::clone(&registry),
            slots: Arc::clone(&slots),
            panicked: Arc::clone(&panicked),
            next: None,
        };
        let mailbox = mailbox.max(1);
        let desk = move |actor| Desk { actor, registry, slots, panicked, waiting: Arc::default(), mailbox };
        (own, desk)
    }

    /// Leaves the mailbox alone until a place is free for the call that is the next.
    fn wait_for_place(&self, context: &mut Context<Self>) {
        if self.next.is_some() {
            let freed = Arc::clone(&self.slots).acquire_owned().into_actor(self);
            context.wait(freed.map(|slot, actor, _| {
                if let (Ok(slot), Some(run)) = (slot, actor.next.take()) {
                    actor.run(run, slot);
                }
            }));
        }
    }

    fn run(&self, run: Run, slot: OwnedSemaphorePermit) {
        if run.cancellation.is_cancelled() {
            return run.reply.done();
        }
        actix::spawn(perform(Arc::clone(&self.registry), run, Some(slot), Arc::clone(&self.panicked)));
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
        // The call that waited when the actor was restarted.
        self.wait_for_place(context);
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
        match Arc::clone(&self.slots).try_acquire_owned() {
            Ok(slot) => self.run(run, slot),
            Err(_) => {
                self.next = Some(run);
                self.wait_for_place(context);
            }
        }
    }
}

async fn perform(
    registry: Arc<Registry>,
    run: Run,
    slot: Option<OwnedSemaphorePermit>,
    panicked: Arc<Notify>,
) {
    let Run { work, deadline, cancellation, reply, outward, load, waits } = run;
    drop(waits);
    let span = work.span();
    let outcome =
        AssertUnwindSafe(work.run(&registry, deadline, cancellation.clone(), outward)).catch_unwind();
    let ended = unless_cancelled(outcome.instrument(span), &cancellation).await;
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

/// What `running` comes to; `None` when it is cancelled before. What is done at once never listens for that.
async fn unless_cancelled<T>(
    running: impl Future<Output = T>,
    cancellation: &CancellationToken,
) -> Option<T> {
    let (mut running, mut cancelled) = (pin!(running), pin!(cancellation.cancelled()));
    let mut has_begun = false;
    std::future::poll_fn(|context| {
        if has_begun && cancelled.as_mut().poll(context).is_ready() {
            return task::Poll::Ready(None);
        }
        if let task::Poll::Ready(ended) = running.as_mut().poll(context) {
            return task::Poll::Ready(Some(ended));
        }
        if !std::mem::replace(&mut has_begun, true) && cancelled.as_mut().poll(context).is_ready() {
            return task::Poll::Ready(None);
        }
        task::Poll::Pending
    })
    .await
}

impl Work {
    /// What names it in the log: the function, the request, and the trace. That of a call is in a head that is not read yet.
    fn span(&self) -> Span {
        match self {
            Self::Call(call, _) => {
                let (function, request_id) = (&*call.name, &*call.request_id);
                tracing::info_span!("call", function, request_id, trace_id = tracing::field::Empty)
            }
            Self::Exchange(Exchange { target, head, .. }) => {
                let function = match target {
                    Target::Function(name) => Cow::Borrowed(&**name),
                    Target::Route => String::from_utf8_lossy(&head.url),
                };
                let request_id = String::from_utf8_lossy(&head.request_id);
                let (function, request_id, trace_id) = (&*function, &*request_id, trace_id(head));
                tracing::info_span!("call", function, request_id, trace_id)
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
