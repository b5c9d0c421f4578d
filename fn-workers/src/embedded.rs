//! Functions and routes in the process of a gateway that its user has built, on the gateway's own threads.
//!
//! Each thread has a function actor and a link, as an arbiter of a worker's process has: the same calls, limits, streams
//! and deadlines, over memory instead of a socket. What a process would keep apart is shared: a function that never ends
//! takes its thread, one that brings the process down takes the gateway.

use std::sync::Arc;
use std::time::Duration;

use shared::local::LocalChannel;
use shared::message::control::{FunctionInfo, RefusalCount, RouteInfo};
use shared::message::{FromWorker, ToWorker};
use shared::setup::WorkerSetup;

use crate::actor::FunctionActor;
use crate::process::log_panic;
use crate::refusals;
use crate::registration::RegistrationError;
use crate::registry::Registry;
use crate::transport::link::{Drain, Link, Runner};
use crate::worker::Worker;

/// A worker that is no process: what the gateway's threads run of it.
pub struct Embedded {
    registry: Arc<Registry>,
    concurrency: usize,
    mailbox: usize,
    drain: Drain,
}

impl Embedded {
    /// Checks what was registered and makes the states. Panics of functions are logged from now on as a worker's are:
    /// a line with the function's name and the request's id.
    ///
    /// # Errors
    /// All wrong registrations together; a state that cannot be made; or that the pool's threads cannot be started.
    pub fn open(worker: Worker, setup: &WorkerSetup) -> Result<Self, RegistrationError> {
        let concurrency = worker.calls_at_a_time();
        let registry = worker.build_within(setup.forms, setup.values)?;
        std::panic::set_hook(Box::new(log_panic));
        let drain = Drain::new(registry.background().clone());
        Ok(Self { registry: Arc::new(registry), concurrency, mailbox: setup.mailbox, drain })
    }

    /// What the gateway must know of the functions, by name.
    pub fn functions(&self) -> Vec<FunctionInfo> {
        self.registry.functions()
    }

    /// What the gateway must know of the routes.
    pub fn routes(&self) -> Vec<RouteInfo> {
        self.registry.routes()
    }

    /// Serves a link whose other end is on this thread, until that is dropped or all calls have ended after
    /// [`Embedded::drain`]. The thread must run an actix arbiter. Calls that are open at the end are cancelled.
    pub fn serve(&self, link: LocalChannel<FromWorker, ToWorker>) -> impl Future<Output = ()> + use<> {
        let desk = FunctionActor::start_here(Arc::clone(&self.registry), self.mailbox, self.concurrency);
        let link = Link::new(link, Runner::Own(desk), self.drain.clone());
        async move {
            if let Err(error) = link.serve().await {
                tracing::error!(%error, "the link to the functions of this process has failed");
            }
        }
    }

    /// What was refused since the last time, by reason.
    pub fn take_refusals(&self) -> Vec<RefusalCount> {
        refusals::take()
    }

    /// Refuses calls from now on, waits until those that are open have ended and what they have left running
    /// (`wait_until`), but no longer than `within`, and ends all links.
    pub async fn drain(&self, within: Duration) {
        self.drain.begun.cancel();
        self.drain.open.close();
        if tokio::time::timeout(within, self.drain.open.wait()).await.is_err() {
            tracing::warn!("calls of functions of this process are cut off: the time to drain is over");
        }
        self.drain.finished.cancel();
    }
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedded").field("functions", &self.registry).finish_non_exhaustive()
    }
}
