//! A worker that no gateway started: it joins over NATS.
//!
//! ```text
//! arguments -> log -> registry -> arbiters -> NATS: let in? -> subscriptions -> announcement -> serve
//!                                                                                                |
//!   SIGTERM: leave the list -> no more calls open -> those that came finish -> exit 0  <---------+
//! ```

mod args;
mod limits;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use actix::System;
use remote::announcement::{Announcement, Member, RouteOffer};
use remote::connection::{ConnectError, Connection, connect};
use remote::directory::BEAT;
use remote::subject::{Subjects, is_subject, unique_name};
use shared::logging;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::registration::RegistrationError;
use crate::registry::Registry;
use crate::team::Team;
use crate::transport::link::{Drain, Link, LinkEnd, LinkFault, Runner};
use crate::transport::nats::NatsTransport;
use crate::worker::Worker;
use args::Args;

/// As in `sysexits.h`.
const BAD_USAGE: u8 = 64;
const BAD_BUILD: u8 = 65;
const UNAVAILABLE: u8 = 69;
const OWN_FAULT: u8 = 70;

/// How long messages that were under way when the worker left may take to come.
const RUN_DRY_TIMEOUT: Duration = Duration::from_secs(2);

/// How long what was published last may take to leave.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Why the process ends without having been told to.
#[derive(Debug, thiserror::Error)]
enum StandaloneError {
    #[error("a signal of the process cannot be set up")]
    Io(#[from] std::io::Error),
    #[error("the functions do not fit together")]
    Registration(#[from] RegistrationError),
    #[error(
        "the function `{0}` has an empty part between its dots and cannot be called over NATS: rename it"
    )]
    Subject(String),
    #[error("the thread of a function actor has ended")]
    Arbiter,
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Link(#[from] LinkFault),
    #[error("NATS's client has ended")]
    Ended,
}

impl StandaloneError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Registration(_) | Self::Subject(_) => BAD_BUILD,
            Self::Connect(_) => UNAVAILABLE,
            Self::Io(_) | Self::Arbiter | Self::Link(_) | Self::Ended => OWN_FAULT,
        }
    }
}

/// Whether arguments or environment ask for such a worker.
pub(crate) fn is_meant(args: &[String]) -> bool {
    let asks = |arg: &String| arg == "--nats" || arg.starts_with("--nats=");
    args.iter().any(asks) || (args.is_empty() && std::env::var_os("ISOPOD_NATS").is_some())
}

/// Runs the worker until it is told to end.
pub(crate) fn run(worker: Worker, args: Vec<String>) -> ExitCode {
    let args = match Args::parse(args, &|name| std::env::var(name).ok()) {
        Ok(args) => args,
        Err(error) => return refuse(&error),
    };
    if let Err(error) = logging::init(&args.log_filter, args.log_format) {
        return refuse(&error);
    }
    match System::new().block_on(LocalSet::new().run_until(live(worker, &args))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let causes = std::iter::successors(std::error::Error::source(&error), |error| error.source());
            let causes: Vec<_> = causes.map(ToString::to_string).collect();
            tracing::error!(causes = causes.join(": "), "{error}");
            ExitCode::from(error.exit_code())
        }
    }
}

#[expect(clippy::print_stderr, reason = "there is no log yet to say it in")]
fn refuse(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("fn-workers: {error}");
    ExitCode::from(BAD_USAGE)
}

async fn live(worker: Worker, args: &Args) -> Result<(), StandaloneError> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let concurrency = worker.calls_at_a_time();
    let registry = Arc::new(worker.build_within(args.limits.forms, args.limits.values)?);
    if let Some(name) = registry.names().into_iter().find(|name| !is_subject(name)) {
        return Err(StandaloneError::Subject(name.to_owned()));
    }
    let team = Team::start(registry, args.threads, args.mailbox, concurrency).await;
    let team = Arc::new(team.ok_or(StandaloneError::Arbiter)?);
    let instance = unique_name();
    let connection = connect(&args.access, "isopod fn-workers", true).await?;
    let drain = Drain::new(team.registry().background().clone());
    let (leaving, dry) = (CancellationToken::new(), CancellationToken::new());
    let transport = NatsTransport::open(
        connection.clone(),
        &args.subjects,
        &instance,
        team.registry(),
        leaving.clone(),
        dry.clone(),
    )
    .await?;
    let member = member(&instance, team.registry());
    let announcing = announce(connection.clone(), args.subjects.clone(), member, leaving.clone());
    let announcing = tokio::task::spawn_local(announcing);
    let mut link = Box::pin(Link::new(transport, Runner::Team(team), drain.clone()).serve());
    tracing::info!(instance, prefix = args.subjects.prefix(), "serves over NATS");
    let ended = tokio::select! {
        ended = &mut link => Some(ended?),
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
    };
    if ended.is_some() {
        return Err(StandaloneError::Ended);
    }
    let deadline = Instant::now() + args.drain_timeout;
    leaving.cancel();
    let leave = async {
        // Told first, so that no call is on its way to here when the subjects close.
        let _ = announcing.await;
        let _ = timeout(RUN_DRY_TIMEOUT, dry.cancelled()).await;
        drain.begun.cancel();
        drain.open.close();
        if tokio::time::timeout_at(deadline, drain.open.wait()).await.is_err() {
            tracing::warn!("calls are cut off: the time to drain is over");
        }
        drain.finished.cancel();
    };
    let (ended, ()) = tokio::join!(link, leave);
    if ended? == LinkEnd::Closed {
        return Err(StandaloneError::Ended);
    }
    // Without a server there is nobody to hear it.
    let _ = timeout(FLUSH_TIMEOUT, connection.client.flush()).await;
    Ok(())
}

fn member(instance: &str, registry: &Registry) -> Member {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let routes = registry.routes().into_iter();
    let route = |route: shared::message::control::RouteInfo| RouteOffer {
        pattern: route.pattern,
        registered_at: route.registered_at,
    };
    Member {
        instance: instance.to_owned(),
        place: format!("{} pid {}", host.trim(), std::process::id()),
        functions: registry.offers(),
        routes: routes.map(route).collect(),
    }
}

/// Says who is here: in full at the start, when somebody asks and when the connection is back, in short each second.
async fn announce(connection: Connection, subjects: Subjects, member: Member, leaving: CancellationToken) {
    let subject = subjects.announcements();
    let mut questions = match connection.subscribe(subjects.hello()).await {
        Ok(questions) => questions,
        Err(error) => return tracing::error!(%error, "this worker cannot be found"),
    };
    let here = Announcement::Here(member.clone()).encode();
    let beat = Announcement::Beat { instance: member.instance.clone() }.encode();
    let mut status = connection.status.clone();
    let mut beats = tokio::time::interval(BEAT);
    connection.say(subject.clone(), here.clone()).await;
    loop {
        tokio::select! {
            () = leaving.cancelled() => break,
            question = questions.next() => match question {
                Some(_) => connection.say(subject.clone(), here.clone()).await,
                None => return,
            },
            changed = status.changed() => {
                if changed.is_ok() && status.borrow_and_update().connected {
                    connection.say(subject.clone(), here.clone()).await;
                }
            }
            _ = beats.tick() => {
                // What is said without a connection would be said late.
                if connection.is_up() {
                    connection.say(subject.clone(), beat.clone()).await;
                }
            }
        }
    }
    connection.say(subject, Announcement::Leaving { instance: member.instance }.encode()).await;
}
