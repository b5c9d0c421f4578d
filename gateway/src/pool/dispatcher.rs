//! The dispatcher of one gateway thread: an actor that owns the thread's links, and the way of a job over them.
//!
//! Control (new links) goes through the actor's mailbox. Jobs do not: they share [`Thread`] by `Rc`, so that a
//! job costs no mailbox hop and never crosses threads.

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Context, Handler};
use shared::head::RequestHeadRef;
use shared::message::{EarlyHints, NativeCall, Outcome};

use super::Pool;
use super::body::Rendered;
use super::calls::NativeRequest;
use super::error::{NativeError, RenderError};
use super::fields::Fields;
use super::ports::NewLink;
use super::thread::Thread;
use super::upload::RequestBody;
use crate::admission::places::Place;
use crate::admission::{RefusalReason, Turn, Wish};

/// A job for an isolate.
pub struct RenderJob<'a> {
    /// The request's first part.
    pub head: RequestHeadRef<'a>,
    /// Its header fields, without those that concern the client's connection alone.
    pub headers: Fields<'a>,
    /// Its body; [`RequestHeadRef::has_body`] says the same.
    pub body: Option<RequestBody>,
    /// Whether it may be sent to a second isolate when the first is lost before any byte of the response.
    pub retry_safe: bool,
    /// What kind of work it is, and how long it waits.
    pub wish: Wish,
    /// Its place in admission, where that was asked for already.
    pub turn: Option<Turn>,
    /// What its route allows it.
    pub terms: RouteTerms,
    /// Who hears of the links that the app reports before its response's head; `None` spares the app the work of
    /// finding them. Called within the future that waits for the head, and for a job that is tried again once
    /// more from the start.
    pub on_early_hints: Option<OnEarlyHints<'a>>,
}

/// What a route allows its jobs, where the configuration says so.
#[derive(Debug, Default)]
pub struct RouteTerms {
    /// Its place among those of the route. It is given back with the isolate's.
    pub place: Option<Place>,
    /// How long the app may take until its response begins, if that is the route's own; where it is beyond the pool's
    /// [`JobTimes`](super::JobTimes), they reach up to it.
    pub timeout: Option<Duration>,
}

/// Hears of a job's early hints.
pub type OnEarlyHints<'a> = &'a dyn Fn(EarlyHints);

/// What the handlers of one gateway thread use to reach isolates and fn workers. Cheap to clone; stays on its
/// thread.
#[derive(Debug, Clone)]
pub struct Dispatcher {
    thread: Rc<Thread>,
}

/// The control plane of one gateway thread.
#[derive(Debug)]
pub(super) struct DispatcherActor {
    thread: Rc<Thread>,
}

impl Actor for DispatcherActor {
    type Context = Context<Self>;
}

impl Handler<NewLink> for DispatcherActor {
    type Result = ();

    fn handle(&mut self, link: NewLink, _: &mut Self::Context) {
        self.thread.attach(link);
    }
}

impl Dispatcher {
    /// Starts the dispatcher of the calling thread, or finds the one that it has.
    pub(super) fn attach(pool: &Arc<Pool>) -> Self {
        thread_local! {
            static ATTACHED: RefCell<Vec<Weak<Thread>>> = const { RefCell::new(Vec::new()) };
        }
        ATTACHED.with_borrow_mut(|attached| {
            attached.retain(|thread| thread.strong_count() > 0);
            let mut threads = attached.iter().filter_map(Weak::upgrade);
            if let Some(thread) = threads.find(|thread| Arc::ptr_eq(&thread.pool, pool)) {
                return Self { thread };
            }
            let dispatcher = Self::start(pool);
            attached.push(Rc::downgrade(&dispatcher.thread));
            dispatcher
        })
    }

    fn start(pool: &Arc<Pool>) -> Self {
        let attached = pool.ports.attach(|number, links| {
            let thread = Rc::new(Thread::new(number, pool.clone()));
            links.into_iter().for_each(|link| thread.attach(link));
            thread.host_embedded();
            thread.join_remote();
            (DispatcherActor { thread: thread.clone() }.start(), Self { thread })
        });
        attached.unwrap_or_else(|| {
            tracing::error!(
                threads = pool.settings.threads,
                "a gateway thread more than the pool has links for"
            );
            Self { thread: Rc::new(Thread::new(pool.settings.threads, pool.clone())) }
        })
    }

    /// Decides whether a job may run or wait, before anything is made for it: what is refused costs little more than
    /// that.
    ///
    /// # Errors
    /// The refusal; it has been counted.
    pub(crate) fn enter(&self, wish: Wish) -> Result<Turn, RefusalReason> {
        self.thread.pool.admission.enter(wish, None)
    }

    /// Runs a job on the least loaded isolate, and waits for its response's head. Dropping the future cancels
    /// the job.
    ///
    /// # Errors
    /// [`RenderError`]; it has been counted.
    pub async fn render(&self, job: RenderJob<'_>) -> Result<Rendered, RenderError> {
        self.thread.render(job, None).await
    }

    /// As [`Dispatcher::render`], but the head must come within `limit` of the job's start; the time in the
    /// queue does not count. The job is told of a timeout then, rather than of a client that went away.
    ///
    /// # Errors
    /// [`RenderError::Timeout`], and those of [`Dispatcher::render`].
    pub async fn render_within(&self, job: RenderJob<'_>, limit: Duration) -> Result<Rendered, RenderError> {
        self.thread.render(job, Some(limit)).await
    }

    /// Lets a worker answer a client's request, and waits for its response's head. Dropping the future cancels the
    /// request.
    ///
    /// # Errors
    /// [`NativeError`]; it has been counted.
    pub async fn answer_natively(&self, request: NativeRequest<'_>) -> Result<Rendered, NativeError> {
        self.thread.answer_natively(request).await
    }

    /// Whether an fn worker has a route for this path.
    pub fn has_native_route(&self, path: &str) -> bool {
        self.thread.pool.catalog.load().has_route(path)
    }

    /// Lets the calling thread rest for `time`, less when a child has something to say to it. Blocks the thread.
    pub fn rest_for(&self, time: Duration) {
        self.thread.rest_for(time);
    }

    /// Calls a native function. The outcome comes within the call's deadline, or the pool's if that is shorter.
    /// Dropping the future cancels the call.
    pub async fn call(&self, call: NativeCall) -> Outcome {
        self.thread.call(call).await
    }
}
