//! The life of the process.
//!
//! ```text
//! arguments -> log -> sockets -> Setup -> registry -> arbiters -> links -> WorkerReady -> serve
//!                                                                                          |
//!                              control or a link ends: exit at once   <--------------------+
//!                              Drain: refuse new calls, finish, exit 0  <------------------+
//! ```

use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::fd::RawFd;
use std::panic::PanicHookInfo;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use actix::System;
use shared::inherited::{ChildArgs, ChildArgsError, take_socket};
use shared::link::{Channel, LinkError};
use shared::logging::{self, LogFormat};
use shared::message::control::LoadFailure;
use shared::message::{FromChild, ToChild};
use shared::setup::Setup;
use tokio::net::UnixStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::refusals;
use crate::registration::RegistrationError;
use crate::standalone;
use crate::team::{Member, Team};
use crate::transport::link::{Drain, Link, LinkEnd, LinkFault, Runner};
use crate::worker::Worker;

/// How often the gateway is told what was refused.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// As in `sysexits.h`.
const BAD_USAGE: u8 = 64;
const BAD_BUILD: u8 = 65;
const OWN_FAULT: u8 = 70;

type Control = Channel<FromChild, ToChild>;
type Links = JoinSet<Result<LinkEnd, LinkFault>>;

/// Why the process ends without having been told to.
#[derive(Debug, thiserror::Error)]
enum ProcessError {
    #[error("a socket or a signal of the process cannot be set up")]
    Io(#[from] io::Error),
    #[error("the control link failed")]
    Control(#[from] LinkError),
    #[error("the gateway's message `{0}` does not fit a function worker")]
    Unexpected(&'static str),
    #[error("the functions do not fit together")]
    Registration(#[from] RegistrationError),
    #[error("the thread of a function actor has ended")]
    Arbiter,
    #[error(transparent)]
    Link(#[from] LinkFault),
    #[error("the task of a link failed")]
    Task(#[from] tokio::task::JoinError),
}

/// The argument that asks for the functions' types instead of a process that answers calls.
const EMIT_TYPES: &str = "--emit-types";

/// The argument before the descriptor of a socket from which one who develops an app sends requests, without a
/// gateway: the link of `@isopod/app/vite`.
const DEVELOP: &str = "--develop";

/// Calls that wait in development.
const DEVELOPMENT_MAILBOX: usize = 256;

/// Whether the first argument asks for what is done without a gateway.
pub(crate) fn is_asked_alone(first: &OsStr) -> bool {
    first == EMIT_TYPES || first == DEVELOP
}

pub(crate) fn run(worker: Worker, args: impl IntoIterator<Item = String>) -> ExitCode {
    let mut args = args.into_iter().peekable();
    if args.next_if(|first| first == EMIT_TYPES).is_some() {
        return emit_types(worker);
    }
    if args.next_if(|first| first == DEVELOP).is_some() {
        let given = args.next().unwrap_or_default();
        return match given.parse::<RawFd>().ok().filter(|fd| *fd > 2) {
            Some(link) => start("info", LogFormat::Json, develop(worker, link)),
            None => refuse(&ChildArgsError::Argument { argument: format!("{DEVELOP} {given}") }),
        };
    }
    let args: Vec<_> = args.collect();
    if standalone::is_meant(&args) {
        std::panic::set_hook(Box::new(log_panic));
        return standalone::run(worker, args);
    }
    let args = match ChildArgs::parse(args) {
        Ok(args) => args,
        Err(error) => return refuse(&error),
    };
    start(&args.log_filter, args.log_format, live(worker, &args))
}

fn start(
    log_filter: &str,
    log_format: LogFormat,
    life: impl Future<Output = Result<(), ProcessError>>,
) -> ExitCode {
    if let Err(error) = logging::init(log_filter, log_format) {
        return refuse(&error);
    }
    std::panic::set_hook(Box::new(log_panic));
    match System::new().block_on(life) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let source = std::error::Error::source(&error).map(with_causes);
            tracing::error!(source, "{error}");
            let code = if matches!(error, ProcessError::Registration(_)) { BAD_BUILD } else { OWN_FAULT };
            ExitCode::from(code)
        }
    }
}

/// Serves one link until its other end closes.
async fn develop(worker: Worker, link: RawFd) -> Result<(), ProcessError> {
    let socket = take_socket(link)?;
    let concurrency = worker.calls_at_a_time();
    let registry = Arc::new(worker.build()?);
    let team = Team::start(registry, 1, DEVELOPMENT_MAILBOX, concurrency).await;
    let team = team.ok_or(ProcessError::Arbiter)?;
    let drain = Drain::new(team.registry().background().clone());
    serve_on(team.member(0), socket, drain)?.await?;
    Ok(())
}

/// Serves a link on the arbiter of the actor that runs its calls; the returned future is its end.
fn serve_on(
    member: &Member,
    socket: UnixStream,
    drain: Drain,
) -> io::Result<impl Future<Output = Result<LinkEnd, LinkFault>> + use<>> {
    let socket = socket.into_std()?;
    let runner = Runner::Own(member.desk.clone());
    let (ended, end) = oneshot::channel();
    member.arbiter.spawn(async move {
        let end = match UnixStream::from_std(socket) {
            Ok(socket) => Link::new(Channel::new(socket), runner, drain).serve().await,
            Err(error) => Err(LinkFault::Link(error.into())),
        };
        // Nobody waits any more: the process is ending.
        let _ = ended.send(end);
    });
    Ok(async move { end.await.unwrap_or(Err(LinkFault::Thread)) })
}

fn emit_types(worker: Worker) -> ExitCode {
    let program = std::env::current_exe().ok();
    let program = program.as_deref().and_then(Path::file_stem).unwrap_or_else(|| "fn-workers".as_ref());
    let module = match worker.typescript(&program.to_string_lossy()) {
        Ok(module) => module,
        Err(error) => return say(&error, BAD_BUILD),
    };
    match io::stdout().write_all(module.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => say(&error, OWN_FAULT),
    }
}

fn refuse(error: &dyn std::error::Error) -> ExitCode {
    say(error, BAD_USAGE)
}

#[expect(clippy::print_stderr, reason = "there is no log yet to say it in")]
fn say(error: &dyn std::error::Error, code: u8) -> ExitCode {
    eprintln!("fn-workers: {}", with_causes(error));
    ExitCode::from(code)
}

/// One line for each panic, in the span of its call: the function's name and the request stand there.
pub(crate) fn log_panic(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("a value that is no text");
    let location = panic.location().map(ToString::to_string);
    tracing::error!(location, "panicked: {message}");
}

async fn live(worker: Worker, args: &ChildArgs) -> Result<(), ProcessError> {
    // A terminal's Ctrl-C reaches the whole process group; the gateway drains this process in its own time.
    let _ignored = signal(SignalKind::interrupt())?;
    let mut control = Control::new(take_socket(args.control)?);
    // The links of a lane belong to one arbiter.
    let lanes = args.links.iter().enumerate();
    let sockets = lanes.flat_map(|(lane, links)| links.iter().map(move |fd| Ok((lane, take_socket(*fd)?))));
    let sockets = sockets.collect::<io::Result<Vec<_>>>()?;
    let setup = match control.receive().await? {
        Some(ToChild::Setup(Setup::Worker(setup))) => setup,
        Some(ToChild::Setup(Setup::Renderer(_))) => return Err(ProcessError::Unexpected("be a renderer")),
        Some(ToChild::Examine(_)) => return Err(ProcessError::Unexpected("be examined")),
        Some(ToChild::Drain) | None => return Ok(()),
        Some(ToChild::Serving(_)) => return Err(ProcessError::Unexpected("serve clients")),
        Some(ToChild::Load) => return Err(ProcessError::Unexpected("load an app")),
    };
    let concurrency = worker.calls_at_a_time();
    let registry = match worker.build_within(setup.forms, setup.values) {
        Ok(registry) => Arc::new(registry),
        Err(error) => {
            control.send(&FromChild::LoadFailed(load_failure(&error))).await?;
            return Err(error.into());
        }
    };
    let team = Team::start(registry, setup.arbiters, setup.mailbox, concurrency).await;
    let team = team.ok_or(ProcessError::Arbiter)?;
    let drain = Drain::new(team.registry().background().clone());
    let mut links = Links::new();
    for (lane, socket) in sockets {
        links.spawn_local(serve_on(team.member(lane), socket, drain.clone())?);
    }
    let (functions, routes) = (team.registry().functions(), team.registry().routes());
    control.send(&FromChild::WorkerReady { functions, routes }).await?;
    serve(&mut control, links, &drain).await
}

/// The whole chain, for those who see nothing else of it.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn load_failure(error: &RegistrationError) -> LoadFailure {
    let file =
        std::env::current_exe().map_or_else(|_| "fn-workers".into(), |path| path.display().to_string());
    LoadFailure {
        file,
        problem: with_causes(error),
        remedy: "change the registrations and build the worker again".into(),
    }
}

async fn serve(control: &mut Control, mut links: Links, drain: &Drain) -> Result<(), ProcessError> {
    let mut report = tokio::time::interval(REPORT_INTERVAL);
    loop {
        tokio::select! {
            _ = report.tick() => {
                let refused = refusals::take();
                if !refused.is_empty() {
                    control.send(&FromChild::Refused(refused)).await?;
                }
            }
            message = control.receive() => match message? {
                Some(ToChild::Drain) => {
                    tracing::debug!("drains");
                    drain.begun.cancel();
                    drain.open.close();
                }
                Some(ToChild::Setup(_)) => return Err(ProcessError::Unexpected("set up again")),
                Some(ToChild::Examine(_)) => return Err(ProcessError::Unexpected("be examined")),
                Some(ToChild::Serving(_)) => return Err(ProcessError::Unexpected("serve clients")),
                Some(ToChild::Load) => return Err(ProcessError::Unexpected("load an app")),
                None => return Ok(()),
            },
            () = drain.open.wait(), if !drain.finished.is_cancelled() => drain.finished.cancel(),
            ended = links.join_next() => match ended {
                Some(ended) => {
                    if ended?? == LinkEnd::Closed {
                        return Ok(());
                    }
                }
                None => return Ok(()),
            },
        }
    }
}
