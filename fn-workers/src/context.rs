//! What a handler learns of its call, and what it may ask of its process.

use std::sync::Arc;
use std::time::Duration;

use shared::message::Caller;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::blocking::BlockingPool;
use crate::error::FunctionError;
use crate::handler::States;

/// What the process offers to every call.
pub(crate) struct Services {
    pub(crate) states: States,
    pub(crate) blocking: BlockingPool,
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
}

impl Context {
    pub(crate) fn new(call: CallInfo, services: Arc<Services>) -> Self {
        Self { call: Arc::new(call), services }
    }

    /// The name under which the function is registered.
    pub fn function(&self) -> &'static str {
        self.call.function
    }

    /// Who calls: a client over HTTP, or a job in an isolate.
    pub fn caller(&self) -> Caller {
        self.call.caller
    }

    /// Names the request that this call belongs to in the logs of all processes.
    pub fn request_id(&self) -> &str {
        &self.call.request_id
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

    pub(crate) fn states(&self) -> &States {
        &self.services.states
    }
}
