//! What one gateway thread has of the pool: its links, and the ids that it gives out. Shared by `Rc` between the
//! dispatcher's actor, the tasks of its links and the handlers of requests.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, ppoll};
use shared::link::Channel;
use tokio::net::UnixStream;

use super::Pool;
use super::calls::NativeCounters;
use super::isolate_link::IsolateLink;
use super::link::LinkFault;
use super::ports::{NewLink, Peer};
use super::slot::{ChildId, IsolateId};
use super::supervisor::LinkEnded;
use super::worker_link::{MAX_CALLS_PER_WORKER, WorkerLink};
use super::worker_transport::WorkerTransport;

/// The bits of an id that count within a thread; the higher ones are the thread's number.
const COUNTER_BITS: u32 = 48;

/// The data plane of one gateway thread.
#[derive(Debug)]
pub(super) struct Thread {
    number: u64,
    next_id: Cell<u64>,
    pub pool: Arc<Pool>,
    isolates: RefCell<Vec<Rc<IsolateLink>>>,
    /// The sockets of the links to children of this machine.
    sockets: RefCell<Vec<Socket>>,
    pub workers: RefCell<Vec<Rc<WorkerLink>>>,
    /// The link to the functions of this process, while there is one.
    pub embedded: RefCell<Option<Rc<WorkerLink>>>,
    /// The link to the workers of other machines, while there is one.
    pub remote: RefCell<Option<Rc<WorkerLink>>>,
    /// Where the search for the least loaded worker starts, so that ties rotate.
    pub worker_rotor: Cell<usize>,
    pub native_calls: NativeCounters,
}

impl Thread {
    pub fn new(number: usize, pool: Arc<Pool>) -> Self {
        Self {
            number: u64::try_from(number).unwrap_or_default() << COUNTER_BITS,
            next_id: Cell::new(1),
            native_calls: NativeCounters::new(pool.metrics.native_calls.clone()),
            pool,
            isolates: RefCell::default(),
            sockets: RefCell::default(),
            workers: RefCell::default(),
            embedded: RefCell::default(),
            remote: RefCell::default(),
            worker_rotor: Cell::new(0),
        }
    }

    /// Its number among the gateway's threads, which is its lane to the functions of this process.
    pub fn lane(&self) -> usize {
        usize::try_from(self.number >> COUNTER_BITS).unwrap_or_default()
    }

    /// An id for a job or a call, unique over all gateway threads.
    pub fn next_id(&self) -> u64 {
        let counter = self.next_id.get();
        self.next_id.set(counter + 1);
        self.number | counter
    }

    /// Whether this thread has given the id to a job or call.
    pub fn was_issued(&self, id: u64) -> bool {
        let counter = id & ((1 << COUNTER_BITS) - 1);
        id - counter == self.number && (1..self.next_id.get()).contains(&counter)
    }

    /// Takes a link over and drives it in a local task.
    pub fn attach(self: &Rc<Self>, NewLink { stream, to }: NewLink) {
        let stream = stream.set_nonblocking(true).and_then(|()| UnixStream::from_std(stream));
        let stream = match stream {
            Ok(stream) => stream,
            Err(error) => {
                tracing::error!(%error, ?to, "a new link cannot be used");
                return self.report_end(to.child(), false);
            }
        };
        let number = stream.as_raw_fd();
        match to {
            Peer::Isolate(isolate) => {
                let metrics = self.pool.metrics.clone();
                let link = Rc::new(IsolateLink::new(isolate, Channel::new(stream), metrics));
                self.isolates.borrow_mut().push(link.clone());
                let mut ending = self.ending(AnyLink::Isolate(link.clone()), number);
                actix_web::rt::spawn(async move {
                    let end = link.run(&ending.thread).await;
                    ending.note(end);
                });
            }
            Peer::Worker(slot, lane) => {
                let failures = self.pool.metrics.job_failures.clone();
                let link = Rc::new(WorkerLink::new(
                    (slot, lane),
                    WorkerTransport::Unix(Channel::new(stream)),
                    MAX_CALLS_PER_WORKER,
                    failures,
                ));
                self.workers.borrow_mut().push(link.clone());
                let mut ending = self.ending(AnyLink::Worker(link.clone()), number);
                actix_web::rt::spawn(async move {
                    let end = link.run(&ending.thread).await;
                    ending.note(end);
                });
            }
        }
    }

    fn ending(self: &Rc<Self>, link: AnyLink, number: RawFd) -> Ending {
        self.sockets.borrow_mut().push(Socket { number, link: link.clone() });
        Ending { thread: self.clone(), link, violation: false }
    }

    /// Blocks the thread for `time`, less when something comes over one of its links, or when one ends. Not while it runs
    /// functions itself: they would rest too.
    pub fn rest_for(&self, time: Duration) {
        if self.embedded.borrow().as_ref().is_some_and(|own| own.load() > 0) {
            return;
        }
        let sockets = self.sockets.borrow();
        let open = sockets.iter().filter(|socket| socket.link.is_open());
        let mut polled: Vec<_> = open
            .map(|socket| {
                // SAFETY: the channel of a link that is open owns the descriptor. Links are opened and closed on this
                // thread alone, which does nothing else until the borrow ends.
                let socket = unsafe { BorrowedFd::borrow_raw(socket.number) };
                PollFd::new(socket, PollFlags::POLLIN)
            })
            .collect();
        // A rest that a signal or the want of memory cuts short is one that is short.
        let _ = ppoll(&mut polled, Some(time.into()), None);
    }

    /// Tells the supervisor that a link has ended; each link does so at most once, so that its mailbox is not
    /// filled by it.
    fn report_end(&self, child: ChildId, violation: bool) {
        if let Some(supervisor) = self.pool.supervisor.get() {
            supervisor.do_send(LinkEnded { child, violation });
        }
    }

    /// The link to this isolate, unless it has just ended.
    pub fn isolate_link(&self, isolate: IsolateId) -> Option<Rc<IsolateLink>> {
        let links = self.isolates.borrow();
        links.iter().find(|link| link.isolate == isolate && link.is_open()).cloned()
    }
}

/// The socket of a link.
#[derive(Debug)]
struct Socket {
    /// Its descriptor; the link's as long as that is open.
    number: RawFd,
    link: AnyLink,
}

#[derive(Debug, Clone)]
enum AnyLink {
    Isolate(Rc<IsolateLink>),
    Worker(Rc<WorkerLink>),
}

impl AnyLink {
    fn child(&self) -> ChildId {
        match self {
            Self::Isolate(link) => link.isolate.child(),
            Self::Worker(link) => link.slot.id,
        }
    }

    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Isolate(link), Self::Isolate(other)) => Rc::ptr_eq(link, other),
            (Self::Worker(link), Self::Worker(other)) => Rc::ptr_eq(link, other),
            _ => false,
        }
    }

    fn is_open(&self) -> bool {
        match self {
            Self::Isolate(link) => link.is_open(),
            Self::Worker(link) => link.is_open(),
        }
    }
}

/// Cleans up behind a link's task: when the link has ended, or when the thread's runtime ends and drops the task.
#[derive(Debug)]
struct Ending {
    thread: Rc<Thread>,
    link: AnyLink,
    /// The peer broke a rule.
    violation: bool,
}

impl Ending {
    fn note(&mut self, end: Result<(), LinkFault>) {
        if let Err(fault) = end
            && fault.is_violation()
        {
            let (child, error) = (self.link.child(), error_chain(&fault));
            tracing::error!(%child, error, "a child broke the protocol; its link was ended");
            self.violation = true;
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let Self { thread, link, violation } = self;
        // While the gateway drains its threads end one after another: those that still answer need the child,
        // so that it must not see this thread's link end.
        let keep_socket = link.is_open() && thread.pool.is_draining();
        thread.sockets.borrow_mut().retain(|socket| !socket.link.is(link));
        // First nobody else chooses it, then those who wait hear of it and may choose another.
        match link {
            AnyLink::Isolate(link) => {
                if !keep_socket {
                    thread.pool.admission.close(link.isolate);
                }
                thread.isolates.borrow_mut().retain(|other| !Rc::ptr_eq(other, link));
                link.lose_jobs(&thread.pool.in_flight, keep_socket);
            }
            AnyLink::Worker(link) => {
                if !keep_socket {
                    link.slot.set_ready(false);
                }
                thread.workers.borrow_mut().retain(|other| !Rc::ptr_eq(other, link));
                link.lose_calls(keep_socket);
            }
        }
        if !keep_socket {
            thread.report_end(link.child(), *violation);
        }
    }
}

/// An error with its causes, for one log line.
fn error_chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
