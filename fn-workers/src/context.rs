//! What a handler learns of its call, and what it may ask of its process.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::header::{HeaderName, HeaderValue, SET_COOKIE};
use serde::Serialize;
use serde::de::DeserializeOwned;
use shared::message::Caller;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::answer::Value;
use crate::blocking::BlockingPool;
use crate::cookie::{self, Cookie};
use crate::error::FunctionError;
use crate::exchange::RequestBody;
use crate::form::FormLimits;
use crate::function::Registered;
use crate::handler::{Inject, State, States};
use crate::input::Payload;
use crate::outward::Outward;
use crate::request::Request;
use crate::seroval::Limits;

/// What the process offers to every call.
pub(crate) struct Services {
    pub(crate) functions: HashMap<&'static str, Arc<dyn Registered>>,
    pub(crate) states: States,
    pub(crate) blocking: BlockingPool,
    pub(crate) form_limits: FormLimits,
    pub(crate) value_limits: Limits,
    /// What calls have left running.
    pub(crate) background: TaskTracker,
}

/// One call, as its handler sees it. Cheap to clone; may be taken into tasks that the handler starts.
#[derive(Clone)]
pub struct Context {
    call: Arc<CallInfo>,
    services: Arc<Services>,
}

/// The facts of one call.
pub(crate) struct CallInfo {
    pub(crate) function: &'static str,
    pub(crate) caller: Caller,
    pub(crate) request_id: String,
    pub(crate) deadline: Instant,
    pub(crate) cancellation: CancellationToken,
    pub(crate) request: Request,
    pub(crate) form_limits: FormLimits,
    /// The input, and what was sent beside it.
    pub(crate) sent: Payload,
    pub(crate) added: Additions,
    /// The body that a route's handler reads; taken once.
    pub(crate) body: Mutex<Option<RequestBody>>,
    /// How many functions have called each other to get here.
    pub(crate) depth: u8,
    /// Where functions of other processes are called; `None` where there is no link.
    pub(crate) outward: Option<Outward>,
}

/// What middleware and handler add to a call on its way.
#[derive(Default)]
pub(crate) struct Additions {
    values: Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
    beside: Mutex<Beside>,
}

/// What goes out beside a call's value.
#[derive(Default)]
pub(crate) struct Beside {
    pub(crate) fields: Vec<(HeaderName, HeaderValue)>,
    /// What the client's middleware gets.
    pub(crate) context: Option<Arc<dyn Value + Send + Sync>>,
}

impl Context {
    pub(crate) fn new(call: CallInfo, services: Arc<Services>) -> Self {
        Self { call: Arc::new(call), services }
    }

    /// The request that the call belongs to: that of the client, or the one that the isolate answers.
    pub fn request(&self) -> &Request {
        &self.call.request
    }

    /// A cookie of the request.
    pub fn cookie(&self, name: &str) -> Option<String> {
        cookie::find(self.call.request.header_values("cookie"), name)
    }

    /// Sets a cookie with the response.
    ///
    /// # Errors
    /// When the name, the value or an attribute holds what no cookie may.
    pub fn set_cookie(&self, cookie: &Cookie) -> Result<(), FunctionError> {
        self.add_header(SET_COOKIE, cookie.to_header()?);
        Ok(())
    }

    /// Adds a field to the response, beside the value. `Content-Type`, `Content-Length` and `Location` are the
    /// response's own and are dropped.
    pub fn add_header(&self, name: HeaderName, value: HeaderValue) {
        self.beside().fields.push((name, value));
    }

    /// Sends a value to the client's middleware, beside the function's own: what `sendContext` of TanStack Start's
    /// server middleware does, an object as a rule. A later one takes an earlier one's place. Clients of a direct
    /// function get it; where the call passes through the bundle, the bundle's own middleware sends to the client.
    pub fn send_context<T: Serialize + Send + Sync + 'static>(&self, value: T) {
        self.beside().context = Some(Arc::new(value));
    }

    pub(crate) fn take_beside(&self) -> Beside {
        std::mem::take(&mut *self.beside())
    }

    fn beside(&self) -> MutexGuard<'_, Beside> {
        self.call.added.beside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a value on to what comes later: middleware further in, and the handler, which takes it as
    /// [`crate::Added`]. One for each type; a later one takes an earlier one's place.
    pub fn add<T: Send + Sync + 'static>(&self, value: T) {
        let mut values = self.call.added.values.lock().unwrap_or_else(PoisonError::into_inner);
        values.insert(TypeId::of::<T>(), Arc::new(value));
    }

    /// What was handed on.
    pub fn added<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let values = self.call.added.values.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(values.get(&TypeId::of::<T>())?).downcast().ok()
    }

    /// What the client's middleware sent with `sendContext`. It comes from outside: nothing of it is to be
    /// trusted. `None` when nothing was sent.
    ///
    /// # Errors
    /// 422 when it is of another type.
    pub fn sent_context<T: DeserializeOwned>(&self) -> Result<Option<T>, FunctionError> {
        self.call.sent.read_context(&self.services.value_limits)
    }

    /// A state of the process, for middleware; handlers take it as [`State`], so that a missing one is found at start.
    ///
    /// # Errors
    /// When none of this type is registered.
    pub fn state<T: Send + Sync + 'static>(&self) -> Result<State<T>, FunctionError> {
        State::inject(self)
    }

    /// The request's body, for a route; `None` when it was taken before, and for functions.
    pub fn take_body(&self) -> Option<RequestBody> {
        self.call.body.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Runs a task beside the answer: it is not cancelled with the call, and a drain waits for it. It must end
    /// by itself.
    pub fn wait_until(&self, task: impl Future<Output = ()> + 'static) {
        let open = self.services.background.token();
        let span = tracing::Span::current();
        let task = tracing::Instrument::instrument(task, span);
        actix::spawn(async move {
            task.await;
            drop(open);
        });
    }

    /// The name under which the function is registered.
    pub fn function(&self) -> &'static str {
        self.call.function
    }

    /// Who calls: a client over HTTP, a job in an isolate, or a native function of another process.
    pub fn caller(&self) -> Caller {
        self.call.caller
    }

    /// Names the request that this call belongs to in the logs of all processes.
    pub fn request_id(&self) -> &str {
        &self.call.request_id
    }

    /// The trace that the request belongs to, 32 hexadecimal digits: that of `traceparent` (W3C Trace Context), which the
    /// gateway has checked or made. `None` where it makes none.
    pub fn trace_id(&self) -> Option<&str> {
        self.call.request.trace_id()
    }

    /// When the caller gives up.
    pub fn deadline(&self) -> Instant {
        self.call.deadline
    }

    /// How long the caller still waits; zero when its deadline has passed.
    pub fn remaining(&self) -> Duration {
        self.call.deadline.saturating_duration_since(Instant::now())
    }

    /// Fires when the caller has gone or its deadline has passed. The handler's own future is dropped then; the
    /// token is for what the handler started beside it.
    pub fn cancellation(&self) -> CancellationToken {
        self.call.cancellation.clone()
    }

    /// Runs what blocks or computes for long on the process's bounded pool, beside the event loops. When the
    /// call is cancelled before its turn, `work` does not run; once it runs, it runs to its end.
    ///
    /// # Errors
    /// 503 when too much waits for the pool.
    ///
    /// # Panics
    /// When `work` does: the call fails as if the handler had panicked.
    pub async fn blocking<T, F>(&self, work: F) -> Result<T, FunctionError>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.services.blocking.run(work).await
    }

    pub(crate) fn payload(&self) -> &Payload {
        &self.call.sent
    }

    /// What forms may hold.
    pub(crate) fn form_limits(&self) -> &FormLimits {
        &self.call.form_limits
    }

    /// What values may hold.
    pub(crate) fn value_limits(&self) -> &Limits {
        &self.services.value_limits
    }

    pub(crate) fn info(&self) -> &CallInfo {
        &self.call
    }

    pub(crate) fn services(&self) -> &Arc<Services> {
        &self.services
    }

    pub(crate) fn states(&self) -> &States {
        &self.services.states
    }
}
