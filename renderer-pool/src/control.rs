//! The process's own loop: hears the supervisor, reports for the isolates, ends with either.

use std::io;
use std::sync::Arc;

use crossbeam::thread;
use shared::inherited::{ChildArgs, take_socket};
use shared::link::{Channel, LinkError};
use shared::message::{FromChild, ToChild};
use shared::setup::{RendererSetup, Setup};
use tokio::sync::{mpsc, watch};

use crate::isolate::IsolateThread;
use crate::isolate::code_cache::CodeCache;

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

/// Hosts the isolates until they have drained.
///
/// # Errors
/// [`ControlError`]; the process is to end at once then, whatever its threads do.
pub fn run(args: &ChildArgs) -> Result<(), ControlError> {
    let tokio =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ControlError::Start)?;
    let (mut control, setup) = tokio.block_on(receive_setup(args))?;
    let (reports_in, mut reports_out) = mpsc::channel(REPORTS);
    let (drain, draining) = watch::channel(false);
    let code_cache = Arc::new(CodeCache::new(&setup));
    let hosted = thread::scope(|scope| {
        for (isolate, links) in args.links.iter().enumerate() {
            let thread = IsolateThread {
                isolate,
                links: links.clone(),
                setup: setup.clone(),
                reports: reports_in.clone(),
                draining: draining.clone(),
                code_cache: code_cache.clone(),
            };
            scope
                .builder()
                .name(format!("isolate-{isolate}"))
                .stack_size(STACK_BYTES)
                .spawn(move |_| thread.run())
                .map_err(ControlError::Start)?;
        }
        drop((reports_in, draining));
        // Read while the isolates start.
        code_cache.pack();
        let ended = tokio.block_on(relay(&mut control, &mut reports_out, &drain));
        if let Err(error) = &ended {
            end_now(error);
        }
        ended
    });
    hosted.unwrap_or_else(|_| Err(ControlError::Start(io::Error::other("an isolate's thread panicked"))))
}

async fn receive_setup(args: &ChildArgs) -> Result<(Control, RendererSetup), ControlError> {
    let mut control = Control::new(take_socket(args.control).map_err(ControlError::Start)?);
    match control.receive().await? {
        Some(ToChild::Setup(Setup::Renderer(setup))) => Ok((control, setup)),
        Some(_) => Err(ControlError::NoSetup),
        None => Err(ControlError::SupervisorGone),
    }
}

/// Relays until every isolate has ended.
async fn relay(
    control: &mut Control,
    reports: &mut mpsc::Receiver<FromChild>,
    drain: &watch::Sender<bool>,
) -> Result<(), ControlError> {
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
