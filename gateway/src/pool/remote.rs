//! Workers on other machines: each gateway thread's connection to them, and the main thread's, which learns who they
//! are.

use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use ::remote::announcement::Announcement;
use ::remote::caller::{Caller, Limits};
use ::remote::connection::{Access, ConnectError, Connection, Inbox, Incoming, connect};
use ::remote::directory::{BEAT, Change, Conflict, Directory};
use ::remote::subject::{Subjects, unique_name};

use super::Pool;
use super::slot::{ELSEWHERE, WorkerSlot};
use super::thread::Thread;
use super::worker_link::WorkerLink;
use super::worker_transport::{NatsTransport, WorkerTransport};

/// How workers on other machines are reached.
#[derive(Debug, Clone)]
pub struct RemoteSettings {
    /// Where NATS is, and who this gateway is to it.
    pub access: Access,
    /// Where gateways and workers meet.
    pub subjects: Subjects,
    /// The most calls of one gateway thread that run elsewhere; 503 for more.
    pub max_calls: usize,
    /// How long things may take.
    pub limits: Limits,
}

/// The connection's name in the server's lists.
const NAME: &str = "isopod gateway";

impl Thread {
    /// Connects this thread to the workers of other machines, if there are to be any.
    pub fn join_remote(self: &Rc<Self>) {
        let Some(settings) = self.pool.settings.remote.clone() else { return };
        let thread = self.clone();
        actix_web::rt::spawn(async move {
            let link = match thread.connect_remote(settings).await {
                Ok(link) => link,
                Err(error) => {
                    let source = std::error::Error::source(&error).map(ToString::to_string);
                    return tracing::error!(source, "no calls to other machines: {error}");
                }
            };
            *thread.remote.borrow_mut() = Some(link.clone());
            let end = link.run(&thread).await;
            *thread.remote.borrow_mut() = None;
            link.lose_calls(false);
            tracing::error!(?end, "the connection to NATS has ended");
        });
    }

    async fn connect_remote(&self, settings: RemoteSettings) -> Result<Rc<WorkerLink>, ConnectError> {
        let RemoteSettings { access, subjects, max_calls, limits } = settings;
        let connection = connect(&access, NAME, false).await?;
        let name = subjects.inbox(&unique_name());
        let inbox = connection.subscribe(format!("{name}.*")).await?;
        let core = Caller::new(subjects.clone(), name.clone(), limits);
        let slot = Arc::new(WorkerSlot::new(ELSEWHERE, 1));
        let metrics = self.pool.metrics.clone();
        let failures = metrics.job_failures.clone();
        let nats = NatsTransport::new(connection, subjects, core, (&name, inbox), slot.clone(), metrics);
        let transport = WorkerTransport::Nats(Box::new(nats));
        Ok(Rc::new(WorkerLink::new((slot, 0), transport, max_calls, failures)))
    }
}

/// Learns who the workers of other machines are, in a task of the calling thread that lasts as long as its runtime.
pub(super) fn watch(pool: &Arc<Pool>) {
    let Some(settings) = pool.settings.remote.clone() else { return };
    let pool = pool.clone();
    actix_web::rt::spawn(async move {
        let RemoteSettings { access, subjects, .. } = settings;
        let opened = async {
            let connection = connect(&access, NAME, false).await?;
            let announcements = connection.subscribe(subjects.announcements()).await?;
            Ok::<_, ConnectError>((connection, announcements))
        };
        match opened.await {
            Ok((connection, announcements)) => {
                let (directory, told) = (Directory::default(), HashSet::new());
                Watch { pool, subjects, connection, directory, told }.run(announcements).await;
            }
            Err(error) => {
                let source = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(source, "workers of other machines are not looked for: {error}");
            }
        }
    });
}

/// The main thread's view of other machines.
struct Watch {
    pool: Arc<Pool>,
    subjects: Subjects,
    connection: Connection,
    directory: Directory,
    /// Conflicts that the log has.
    told: HashSet<Conflict>,
}

impl Watch {
    async fn run(mut self, mut announcements: Inbox) {
        let mut status = self.connection.status.clone();
        let mut beats = tokio::time::interval(BEAT);
        let mut must_ask = true;
        loop {
            tokio::select! {
                incoming = announcements.next() => match incoming {
                    Some(Incoming::Message { payload, .. }) => must_ask |= self.hear(&payload),
                    Some(Incoming::NobodyThere { .. }) => {}
                    None => return tracing::error!("workers of other machines are no longer looked for"),
                },
                changed = status.changed() => {
                    if changed.is_err() {
                        return tracing::error!("workers of other machines are no longer looked for");
                    }
                    let connected = status.borrow_and_update().connected;
                    if connected {
                        self.directory.deafened(Instant::now());
                        self.ask().await;
                    }
                }
                _ = beats.tick() => {
                    if !self.connection.is_up() {
                        continue;
                    }
                    if std::mem::take(&mut must_ask) {
                        self.ask().await;
                    }
                    let gone = self.directory.expire(Instant::now());
                    if !gone.is_empty() {
                        tracing::warn!(workers = gone.join(", "), "workers of other machines have fallen silent");
                        self.publish();
                    }
                }
            }
        }
    }

    async fn ask(&self) {
        self.connection.say(self.subjects.hello(), bytes::Bytes::new()).await;
    }

    /// Takes in what a worker says of itself. Whether workers are to be asked who they are.
    fn hear(&mut self, payload: &[u8]) -> bool {
        let announcement = match Announcement::decode(payload) {
            Ok(announcement) => announcement,
            Err(error) => {
                tracing::warn!(%error, "an announcement is of another release");
                return false;
            }
        };
        match self.directory.hear(announcement, Instant::now()) {
            Change::None => {}
            Change::List => self.publish(),
            Change::Full => tracing::warn!("a worker of another machine is one too many"),
            Change::Stranger => return true,
        }
        false
    }

    fn publish(&mut self) {
        let listing = self.directory.listing();
        let metrics = &self.pool.metrics;
        metrics.nats_workers.set(i64::try_from(listing.members).unwrap_or(i64::MAX));
        for conflict in &listing.conflicts {
            if self.told.insert(conflict.clone()) {
                let Conflict { name, first, second } = conflict;
                metrics.nats_conflicts.inc();
                tracing::error!(name, first, second, "two workers say different things of one function");
            }
        }
        self.told.retain(|conflict| listing.conflicts.contains(conflict));
        self.pool.offer(|offered| offered.elsewhere = listing);
    }
}
