//! Watches one child process: its control link, its exit, and the times within which it must load and end.
//!
//! ```text
//!   Prepared --load--> Loading
//!   Loading --ready--> Running --drain--> Draining --late--> Terminating --late--> Killing ---> reaped
//!      |  late, killed    | link lost                          ^ SIGTERM             ^ SIGKILL
//!      +------------------+--> Suspected --late----------------|---------------------+
//! ```
//!
//! The child's exit ends the watch from each of them.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use shared::link::{Channel, LinkError};
use shared::message::control::{Examination, GiveUp, LoadFailure, Serving};
use shared::message::{FromChild, ToChild};
use shared::setup::Setup;
use tokio::process::Child;
use tokio::sync::{mpsc, watch as latest};
use tokio::time::Instant;

use super::ServerAddress;
use super::process::Spawned;
use super::slot::{ChildId, ChildKind};

/// How long a child may live on after its links ended, before it is killed.
const SUSPECT_GRACE: Duration = Duration::from_secs(1);

/// How long a child has after SIGTERM.
pub(super) const TERM_GRACE: Duration = Duration::from_secs(2);

/// How long the kernel has after SIGKILL before the log says that it takes long.
pub(super) const KILL_GRACE: Duration = Duration::from_secs(5);

/// How long the control link of a child that has ended may keep its end to itself.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// What the supervisor wants of a child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// Finish what runs within this time, and exit.
    Drain(Duration),
    /// A link to it has ended; unless it exits by itself soon, it is killed.
    Suspect,
    /// End at once.
    Kill,
    /// Look into an isolate.
    Examine(Examination),
    /// Load the app; for one that was prepared.
    Load,
}

/// What the supervisor hears of a child.
#[derive(Debug)]
pub(super) enum Report {
    Said(FromChild),
    /// It was reaped; always the last report.
    Ended(Exit),
}

/// How a child ended.
#[derive(Debug)]
pub(super) struct Exit {
    pub cause: Cause,
    /// The exit status in words.
    pub status: String,
}

/// Why a child ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cause {
    /// By itself.
    Exited,
    /// By a signal that nobody here sent: a fault inside, or somebody outside.
    Crashed,
    /// As it was told.
    Drained,
    /// It did not load in time.
    LoadTimeout,
    /// It said that the app cannot run.
    LoadFailed(LoadFailure),
    /// A link to it ended, or it did not keep to the protocol.
    LinkLost,
    /// It said that it must end at once.
    GaveUp(GiveUp),
    /// It was told to end at once.
    Killed,
}

impl Cause {
    /// The value of the metrics' `reason` label.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Exited => "exited",
            Self::Crashed => "crashed",
            Self::Drained => "replaced",
            Self::LoadTimeout => "load_timeout",
            Self::LoadFailed(_) => "load_failed",
            Self::LinkLost => "link_lost",
            Self::GaveUp(reason) => reason.label(),
            Self::Killed => "killed",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It has all that a start needs before the app runs, or will soon.
    Prepared,
    Loading,
    Running,
    Suspected,
    Draining,
    Terminating,
    Killing,
}

/// One child under watch.
pub(super) struct Watch {
    child: Child,
    group: Option<Pid>,
    /// `None` once the link has ended.
    control: Option<Channel<ToChild, FromChild>>,
    /// Isolates (or the worker itself) that are not yet ready.
    loading: usize,
    stage: Stage,
    until: Option<Instant>,
    load_timeout: Duration,
    cause: Cause,
    /// Until a renderer was told that clients can connect.
    announcement: Option<Announcement>,
}

/// What a renderer is to be told once clients can connect.
struct Announcement {
    renderer: usize,
    /// It holds the pool's first place and is the first to do so.
    first: bool,
    server: latest::Receiver<Option<ServerAddress>>,
}

impl Watch {
    /// Takes over a process that has just been started, and sends it its set-up.
    pub fn new(
        child: Child,
        mut control: Channel<ToChild, FromChild>,
        pid: u32,
        setup: Setup,
        lanes: usize,
        load_timeout: Duration,
    ) -> Self {
        let waits = matches!(&setup, Setup::Renderer(setup) if setup.waits);
        control.queue(&ToChild::Setup(setup));
        Self {
            child,
            group: i32::try_from(pid).ok().map(Pid::from_raw),
            control: Some(control),
            loading: lanes,
            stage: if waits { Stage::Prepared } else { Stage::Loading },
            until: (!waits).then(|| Instant::now() + load_timeout),
            load_timeout,
            cause: Cause::Exited,
            announcement: None,
        }
    }

    /// Tells a renderer when clients can connect, at once if they can already.
    pub fn announcing(self, id: ChildId, server: latest::Receiver<Option<ServerAddress>>) -> Self {
        let announcement =
            Announcement { renderer: id.slot, first: id.slot == 0 && id.generation == 1, server };
        Self { announcement: (id.kind == ChildKind::Renderer).then_some(announcement), ..self }
    }

    /// Watches until the child is reaped. `report` is awaited, so that reports arrive in order.
    pub async fn run<F: Future<Output = ()>>(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        report: impl Fn(Report) -> F,
    ) {
        loop {
            let until = self.until;
            tokio::select! {
                biased;
                message = next_message(&mut self.control) => match message {
                    Ok(Some(message)) => {
                        self.hear(&message);
                        report(Report::Said(message)).await;
                    }
                    end => self.lose_control(end.err()),
                },
                status = self.child.wait() => {
                    self.hear_last_words(&report).await;
                    if self.cause == Cause::Exited && status.as_ref().is_ok_and(|status| status.signal().is_some()) {
                        self.cause = Cause::Crashed;
                    }
                    report(Report::Ended(Exit { cause: self.cause, status: in_words(status) })).await;
                    return;
                }
                Some(command) = commands.recv() => self.obey(command),
                serving = announced(&mut self.announcement) => {
                    self.announcement = None;
                    if let Some(control) = &mut self.control {
                        control.queue(&ToChild::Serving(serving));
                    }
                }
                () = at(until) => self.be_late(),
            }
        }
    }

    /// What the child said before it ended may not have been read yet.
    async fn hear_last_words<F: Future<Output = ()>>(&mut self, report: &impl Fn(Report) -> F) {
        while self.control.is_some()
            && let Ok(Ok(Some(message))) =
                tokio::time::timeout(LAST_WORDS, next_message(&mut self.control)).await
        {
            self.hear(&message);
            report(Report::Said(message)).await;
        }
    }

    fn enter(&mut self, stage: Stage, time: Duration) {
        self.stage = stage;
        self.until = Some(Instant::now() + time);
    }

    fn hear(&mut self, message: &FromChild) {
        match message {
            FromChild::IsolateReady { .. } | FromChild::WorkerReady { .. } => {
                self.loading = self.loading.saturating_sub(1);
                if self.loading == 0 && self.stage == Stage::Loading {
                    (self.stage, self.until) = (Stage::Running, None);
                }
            }
            FromChild::LoadFailed(failure) => {
                self.cause = Cause::LoadFailed(failure.clone());
                self.suspect();
            }
            FromChild::SetupRefused(_) => self.suspect(),
            // The supervisor ends it, as soon as it has noted who is to blame.
            FromChild::GivesUp { reason, .. } => {
                if self.cause == Cause::Exited {
                    self.cause = Cause::GaveUp(*reason);
                }
            }
            FromChild::IsolateFailed { .. }
            | FromChild::Retire { .. }
            | FromChild::IsolateStats { .. }
            | FromChild::Background { .. }
            | FromChild::Sandboxed(_)
            | FromChild::AppMetrics { .. }
            | FromChild::Refused(_)
            | FromChild::Examined { .. } => {}
        }
    }

    fn lose_control(&mut self, error: Option<LinkError>) {
        self.control = None;
        if let Some(error) = error {
            tracing::debug!(%error, group = ?self.group, "a control link failed");
        }
        self.suspect();
    }

    fn suspect(&mut self) {
        if matches!(self.stage, Stage::Prepared | Stage::Loading | Stage::Running) {
            self.enter(Stage::Suspected, SUSPECT_GRACE);
        }
    }

    fn obey(&mut self, command: Command) {
        match (command, self.stage) {
            (Command::Suspect, _) => self.suspect(),
            // While it loads nothing runs in it that could be finished.
            (Command::Drain(_), Stage::Prepared | Stage::Loading | Stage::Suspected) => {
                self.cause = Cause::Drained;
                self.terminate();
            }
            (Command::Drain(within), Stage::Running) => {
                self.cause = Cause::Drained;
                match &mut self.control {
                    Some(control) => control.queue(&ToChild::Drain),
                    None => return self.terminate(),
                }
                self.enter(Stage::Draining, within);
            }
            (Command::Drain(within), Stage::Draining) => {
                let sooner = Instant::now() + within;
                self.until = Some(self.until.map_or(sooner, |until| until.min(sooner)));
            }
            (Command::Examine(examination), Stage::Running) => {
                if let Some(control) = &mut self.control {
                    control.queue(&ToChild::Examine(examination));
                }
            }
            (Command::Load, Stage::Prepared) => {
                if let Some(control) = &mut self.control {
                    control.queue(&ToChild::Load);
                }
                self.enter(Stage::Loading, self.load_timeout);
            }
            // It ends already.
            (Command::Load, _) => {}
            // Nobody is there to answer: who asked hears of the end.
            (Command::Examine(_), _) => {}
            (Command::Kill, Stage::Killing) | (Command::Drain(_), _) => {}
            (Command::Kill, _) => {
                if self.cause == Cause::Exited {
                    self.cause = Cause::Killed;
                }
                self.kill();
            }
        }
    }

    fn be_late(&mut self) {
        match self.stage {
            Stage::Loading => {
                self.cause = Cause::LoadTimeout;
                self.kill();
            }
            Stage::Suspected => {
                if self.cause == Cause::Exited {
                    self.cause = Cause::LinkLost;
                }
                self.kill();
            }
            Stage::Draining => self.terminate(),
            Stage::Terminating => self.kill(),
            Stage::Killing => {
                tracing::error!(group = ?self.group, "a killed child does not end");
                self.until = None;
            }
            Stage::Prepared | Stage::Running => self.until = None,
        }
    }

    fn terminate(&mut self) {
        self.signal(Signal::SIGTERM);
        self.enter(Stage::Terminating, TERM_GRACE);
    }

    fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.enter(Stage::Killing, KILL_GRACE);
    }

    /// Signals the child and what it has started. It is not reaped yet, so that its number is still its own.
    fn signal(&self, signal: Signal) {
        if self.child.id().is_some()
            && let Some(group) = self.group
            && let Err(error) = killpg(group, signal)
        {
            tracing::debug!(%error, %group, %signal, "a child cannot be signalled");
        }
    }
}

/// Waits until clients can connect.
async fn announced(announcement: &mut Option<Announcement>) -> Serving {
    let Some(Announcement { renderer, first, server }) = announcement else {
        return std::future::pending().await;
    };
    match server.wait_for(Option::is_some).await.as_deref() {
        Ok(Some(ServerAddress { url, build_id })) => {
            Serving { address: url.clone(), build_id: build_id.clone(), renderer: *renderer, first: *first }
        }
        // The pool has gone, and this watch will.
        _ => std::future::pending().await,
    }
}

async fn at(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// Sends what is queued and waits for a message.
async fn next_message(
    control: &mut Option<Channel<ToChild, FromChild>>,
) -> Result<Option<FromChild>, LinkError> {
    let Some(control) = control else { return std::future::pending().await };
    std::future::poll_fn(|cx| {
        // A child that has gone may have left a last message: the error shows when that was read.
        let _ = control.poll_flush(cx);
        control.poll_receive(cx)
    })
    .await
}

fn in_words(status: std::io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => status.to_string(),
        Err(error) => format!("unknown exit status: {error}"),
    }
}

impl Spawned {
    /// Splits off the links; the rest is for the watch.
    pub fn watch(
        self,
        setup: Setup,
        lanes: usize,
        load_timeout: Duration,
    ) -> (Watch, Vec<Vec<std::os::unix::net::UnixStream>>) {
        let Self { child, pid, control, links } = self;
        (Watch::new(child, control, pid, setup, lanes, load_timeout), links)
    }
}
