//! The process's own loop: hears the supervisor, reports for the isolates, ends with either.

use std::io;
use std::sync::Arc;

use crossbeam::{channel, thread};
use deno_core::{JsRuntime, v8_set_flags};
use shared::inherited::{ChildArgs, take_socket};
use shared::link::{Channel, LinkError};
use shared::message::control::{Examination, Layers, Serving, SetupRefusal};
use shared::message::{FromChild, ToChild};
use shared::setup::{RendererSetup, Setup};
use tokio::sync::{mpsc, watch};

use crate::isolate::IsolateThread;
use crate::isolate::code_cache::CodeCache;
use crate::isolate::node::permissions;
use crate::sandbox::ports::Ports;
use crate::sandbox::{self, Needs};
use crate::watchdog::Watchdog;
use crate::watchdog::memory::Resident;
use crate::watchdog::probe::Probe;

/// The supervisor's link, seen from here.
type Control = Channel<FromChild, ToChild>;

/// Reports that wait for the supervisor.
const REPORTS: usize = 64;

/// An isolate's stack in bytes: V8 uses up to 1 MiB of it, regular expressions and JSON the rest.
const STACK_BYTES: usize = 8 << 20;

/// Why this process ends other than by a drain.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// No event loop, socket or thread.
    #[error("the process cannot start")]
    Start(#[source] io::Error),
    /// The supervisor's link broke.
    #[error("the link to the supervisor broke")]
    Link(#[from] LinkError),
    /// The supervisor said something else first.
    #[error("the supervisor's first message is no renderer's setup: both binaries must come from one build")]
    NoSetup,
    /// The supervisor has gone.
    #[error("the supervisor has gone")]
    SupervisorGone,
}

/// Flags of V8 that every renderer has; the configuration's come after them and may take them back.
///
/// - An unrolled loop loses its check for interrupts, and the loop around it loses it too (seen in V8 14.6 and 15.0):
///   `while (url.endsWith('x')) ..` could then be ended only together with its process.
/// - The old generation is not collected before it has 96 MiB (half its limit where that is less), so that a renderer
///   is no larger than Node with the same app. By itself V8 lets a heap of some megabytes grow by half, and collects
///   all of it several times a second under load. A multiple of what the last collection left, as V8 has it beyond
///   these 96 MiB, makes a process's memory a matter of chance: what is made while V8 marks counts as live, so that
///   one long marking on a busy machine raises the limit by many megabytes.
/// - A function learns from its first call on which types it meets. By itself V8 waits for the eighth call of a function,
///   which those that are made anew for each request may never see.
const OWN_V8_FLAGS: [&str; 3] =
    ["--no-turboshaft-loop-unrolling", "--initial-old-space-size=96", "--no-lazy-feedback-allocation"];

/// Hosts the isolates until they have drained.
///
/// # Errors
/// [`ControlError`]; the process is to end at once then, whatever its threads do.
pub fn run(args: &ChildArgs) -> Result<(), ControlError> {
    let tokio =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ControlError::Start)?;
    let (mut control, setup) = tokio.block_on(receive_setup(args))?;
    // Before the right to open files goes.
    let resident = Resident::open().map_err(ControlError::Start)?;
    match lock_in(&setup) {
        Ok(layers) => tokio.block_on(control.send(&FromChild::Sandboxed(layers)))?,
        // The supervisor ends the process.
        Err(refusal) => return Ok(tokio.block_on(control.send(&FromChild::SetupRefused(refusal)))?),
    }
    let (reports_in, mut reports_out) = mpsc::channel(REPORTS);
    let (drain, draining) = watch::channel(false);
    let code_cache = Arc::new(CodeCache::new(&setup));
    let mut examiners = Vec::new();
    let (announce, serving) = watch::channel(None);
    let (order, ordered) = watch::channel(!setup.waits);
    let probes: Vec<_> = (0..args.links.len()).map(|isolate| Arc::new(Probe::new(isolate))).collect();
    let watchdog = Watchdog::new(probes.clone(), resident, &setup, reports_in.downgrade());
    let hosted = thread::scope(|scope| {
        // The watchdog ends when this is dropped.
        let (_watching, over) = channel::bounded(0);
        let watchdog = move |_: &thread::Scope<'_>| watchdog.run(&over);
        scope.builder().name("watchdog".into()).spawn(watchdog).map_err(ControlError::Start)?;
        for ((isolate, links), probe) in args.links.iter().enumerate().zip(probes) {
            // One look at a time is all that the gateway asks for.
            let (examine, examinations) = mpsc::channel(1);
            examiners.push(examine);
            let thread = IsolateThread {
                isolate,
                links: links.clone(),
                setup: setup.clone(),
                reports: reports_in.clone(),
                examinations,
                draining: draining.clone(),
                code_cache: code_cache.clone(),
                serving: serving.clone(),
                ordered: ordered.clone(),
                probe,
            };
            scope
                .builder()
                .name(format!("isolate-{isolate}"))
                .stack_size(STACK_BYTES)
                .spawn(move |_| thread.run())
                .map_err(ControlError::Start)?;
        }
        drop((reports_in, draining, serving, ordered));
        // Read while the isolates start.
        code_cache.pack();
        let orders = Orders { drain, announce, load: order, examiners };
        let heard = relay(&mut control, &mut reports_out, &orders);
        let ended = tokio.block_on(heard);
        if let Err(error) = &ended {
            end_now(error);
        }
        ended
    });
    hosted.unwrap_or_else(|_| Err(ControlError::Start(io::Error::other("an isolate's thread panicked"))))
}

/// What is done once for the process, while it has this one thread: threads of V8 are to be locked in too.
fn lock_in(setup: &RendererSetup) -> Result<Layers, SetupRefusal> {
    let app = setup.app_dir.canonicalize().unwrap_or_else(|_| setup.app_dir.clone());
    let cache = setup.code_cache.as_ref().map(|cache| &cache.directory);
    let needs = Needs {
        readable: permissions::readable(&app),
        writable: std::iter::once(&setup.scratch_dir)
            .chain(cache)
            .chain(&setup.access.writable)
            .cloned()
            .collect(),
        ports: Ports {
            connect: setup.access.egress.ports(),
            // Who may talk to everybody may be talked to.
            listen: (!setup.access.egress.is_all())
                .then(|| setup.inspect.iter().map(std::net::SocketAddr::port).collect()),
        },
        network: !setup.access.egress.is_none() || setup.inspect.is_some(),
        // Sockets in the file system lie where the app may write: connecting is writing.
        unix_sockets: !setup.access.writable.is_empty(),
    };
    // Two libraries of ciphers are linked, and TLS does not choose between them.
    let _ = deno_tls::rustls::crypto::aws_lc_rs::default_provider().install_default();
    let layers = sandbox::enter(setup.sandbox, &needs)?;
    set_v8_flags(&setup.v8_flags)?;
    JsRuntime::init_platform(None);
    Ok(layers)
}

fn set_v8_flags(flags: &[String]) -> Result<(), SetupRefusal> {
    // The first argument is the program's name.
    let arguments = ["isopod"].iter().chain(&OWN_V8_FLAGS).map(ToString::to_string);
    let arguments = arguments.chain(flags.iter().cloned()).collect();
    let unknown: Vec<_> = v8_set_flags(arguments).into_iter().skip(1).collect();
    if unknown.is_empty() { Ok(()) } else { Err(SetupRefusal::V8Flags(unknown)) }
}

async fn receive_setup(args: &ChildArgs) -> Result<(Control, RendererSetup), ControlError> {
    let mut control = Control::new(take_socket(args.control).map_err(ControlError::Start)?);
    match control.receive().await? {
        Some(ToChild::Setup(Setup::Renderer(setup))) => Ok((control, setup)),
        Some(_) => Err(ControlError::NoSetup),
        None => Err(ControlError::SupervisorGone),
    }
}

/// Where the supervisor's orders go.
struct Orders {
    drain: watch::Sender<bool>,
    announce: watch::Sender<Option<Serving>>,
    load: watch::Sender<bool>,
    /// One for each isolate.
    examiners: Vec<mpsc::Sender<Examination>>,
}

/// Relays until every isolate has ended.
async fn relay(
    control: &mut Control,
    reports: &mut mpsc::Receiver<FromChild>,
    orders: &Orders,
) -> Result<(), ControlError> {
    let Orders { drain, announce, load, examiners } = orders;
    loop {
        tokio::select! {
            report = reports.recv() => match report {
                Some(report) => control.send(&report).await?,
                None => return Ok(()),
            },
            message = control.receive() => match message? {
                Some(ToChild::Drain) => {
                    drain.send_replace(true);
                }
                Some(ToChild::Examine(examination)) => {
                    let isolate = examination.isolate;
                    let taken = examiners.get(isolate).is_some_and(|examiner| examiner.try_send(examination).is_ok());
                    if !taken {
                        let problem = Some("there is no such isolate, or it has not done the last one".into());
                        control.send(&FromChild::Examined { isolate, problem }).await?;
                    }
                }
                Some(ToChild::Serving(serving)) => {
                    announce.send_replace(Some(serving));
                }
                Some(ToChild::Load) => {
                    load.send_replace(true);
                }
                Some(ToChild::Setup(_)) => return Err(ControlError::NoSetup),
                None => return Err(ControlError::SupervisorGone),
            },
        }
    }
}

/// Ends the process without waiting for its isolates, which may be inside a long turn.
fn end_now(error: &ControlError) -> ! {
    if !matches!(error, ControlError::SupervisorGone) {
        tracing::error!("{error}");
    }
    // SAFETY: `_exit` only ends the process. Destructors and exit handlers must not run while isolates do.
    unsafe { libc::_exit(70) }
}
