//! The worker that this process is itself, where its user has built one in: functions and routes on the gateway's threads.
//!
//! To the rest of the pool it is an fn worker with a lane for each gateway thread, whose links lie in memory. A thread
//! calls its own lane alone. There is no process to start, to watch or to start again.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use fn_workers::Embedded;
use shared::local::LocalChannel;
use shared::message::Target;
use shared::message::control::LoadFailure;

use super::Pool;
use super::calls::path_of;
use super::catalog::Reported;
use super::roster::Member;
use super::slot::{ChildId, ChildKind, WorkerSlot};
use super::thread::Thread;
use super::worker_link::{MAX_CALLS_PER_WORKER, WorkerLink};
use super::worker_transport::WorkerTransport;

/// How long a thread is without its functions when their link has broken, which only a fault of ours can do.
const LINK_PAUSE: Duration = Duration::from_secs(1);

/// The functions and routes of this process.
#[derive(Debug)]
pub(super) struct EmbeddedWorker {
    pub functions: Arc<Embedded>,
    slot: Arc<WorkerSlot>,
}

impl EmbeddedWorker {
    /// It has the place behind those of the worker processes, which nobody fills again, and takes calls from now on.
    pub fn new(functions: Arc<Embedded>, processes: usize, threads: usize) -> Self {
        let id = ChildId { kind: ChildKind::FnWorker, slot: processes, generation: 1 };
        let slot = Arc::new(WorkerSlot::new(id, threads));
        slot.set_ready(true);
        Self { functions, slot }
    }

    /// Its entry among the children, though it is none.
    pub fn member(&self) -> Member {
        Member {
            embedded: true,
            functions: self.functions.functions().into_iter().map(|function| function.name).collect(),
            ..Member::new(self.id(), std::process::id(), 0, Some(Arc::clone(&self.slot)))
        }
    }

    pub fn id(&self) -> ChildId {
        self.slot.id
    }

    /// What it has.
    pub fn offer(&self) -> Reported {
        Reported { functions: self.functions.functions(), routes: self.functions.routes() }
    }
}

impl Pool {
    /// Lets the functions of this process finish what runs, at most `within`; they take nothing new.
    pub(super) async fn drain_embedded(&self, within: Duration) {
        let Some(embedded) = &self.embedded else { return };
        embedded.slot.set_ready(false);
        if let Some(member) = self.roster().member(embedded.id()) {
            member.leaving = true;
        }
        embedded.functions.drain(within).await;
    }

    /// Why a worker process with these functions and routes cannot run beside those of this process, if so.
    pub(super) fn clash(&self, theirs: &Reported) -> Option<LoadFailure> {
        let own = self.embedded.as_ref()?.offer();
        let problems = own.clashes_with(theirs);
        (!problems.is_empty()).then(|| LoadFailure {
            file: self.settings.worker_bin.display().to_string(),
            problem: problems.join("; "),
            remedy: "take them out of the worker or out of the gateway; --fn-workers 0 runs no worker".into(),
        })
    }
}

impl Thread {
    /// Gives this thread its link to the functions of this process, if it has some.
    pub fn host_embedded(self: &Rc<Self>) {
        let Some(embedded) = &self.pool.embedded else { return };
        let mut hosting = Hosting::begin(self, embedded);
        let thread = self.clone();
        actix_web::rt::spawn(async move {
            while let Some(embedded) = &thread.pool.embedded {
                let end = hosting.link.run(&thread).await;
                drop(hosting);
                if thread.pool.is_draining() {
                    return;
                }
                tracing::error!(?end, "the link to the functions of this process has ended; it is made anew");
                tokio::time::sleep(LINK_PAUSE).await;
                hosting = Hosting::begin(&thread, embedded);
            }
        });
    }

    /// The link to the functions of this process, if they are to take this call: where there are worker processes too,
    /// only what they have is theirs.
    pub fn own_worker(&self, target: &Target, url: &str) -> Option<Rc<WorkerLink>> {
        let own = self.embedded.borrow();
        let own = own.as_ref().filter(|link| link.is_ready())?;
        let is_meant = self.pool.settings.fn_workers == 0 || {
            let catalog = self.pool.catalog.load();
            match target {
                Target::Function(name) => catalog.function(name).is_some_and(|found| found.own),
                Target::Route => catalog.is_own_route(path_of(url)),
            }
        };
        is_meant.then(|| own.clone())
    }
}

/// A link to the functions of this process while it is there. When it ends, or the thread's runtime does, those who wait
/// for a call hear of it.
struct Hosting {
    thread: Rc<Thread>,
    link: Rc<WorkerLink>,
}

impl Hosting {
    fn begin(thread: &Rc<Thread>, embedded: &EmbeddedWorker) -> Self {
        let (ours, theirs) = LocalChannel::pair();
        actix_web::rt::spawn(embedded.functions.serve(theirs));
        let place = (Arc::clone(&embedded.slot), thread.lane());
        let failures = thread.pool.metrics.job_failures.clone();
        let transport = WorkerTransport::Local(ours);
        let link = Rc::new(WorkerLink::new(place, transport, MAX_CALLS_PER_WORKER, failures));
        *thread.embedded.borrow_mut() = Some(link.clone());
        Self { thread: thread.clone(), link }
    }
}

impl Drop for Hosting {
    fn drop(&mut self) {
        self.thread.embedded.borrow_mut().take();
        self.link.lose_calls(false);
    }
}
