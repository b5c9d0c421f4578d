//! `renderer-pool`: the process that hosts V8 isolates. Started by `gateway`, never by hand.
//!
//! - [`control`]: hears the supervisor.
//! - [`isolate`]: a thread with an isolate and the app in it.
//! - [`job`]: the jobs of an isolate, between its links and its JavaScript.
//! - [`sandbox`]: what the process gives up before it loads the app.
//! - [`watchdog`]: ends what runs for too long or takes too much.
//! - [`young_objects`]: has V8 make among its young objects what refers to those of a request.

mod control;
mod isolate;
mod job;
mod sandbox;
mod watchdog;
mod young_objects;

use std::process::ExitCode;

use nix::sys::signal::{SigHandler, Signal, signal};
use shared::inherited::ChildArgs;
use shared::logging;

/// Exit code for wrong arguments (sysexits.h: EX_USAGE).
const BAD_USAGE: u8 = 64;

/// Exit code for a fault of our own (sysexits.h: EX_SOFTWARE).
const OWN_FAULT: u8 = 70;

fn main() -> ExitCode {
    let args = match ChildArgs::parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(error) => return complain(&error, BAD_USAGE),
    };
    if let Err(error) = logging::init(&args.log_filter, args.log_format) {
        return complain(&error, BAD_USAGE);
    }
    // The gateway decides when this process ends, also when a terminal interrupts the whole group.
    // SAFETY: ignoring a signal installs no handler.
    let _ = unsafe { signal(Signal::SIGINT, SigHandler::SigIgn) };
    match control::run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&error, OWN_FAULT),
    }
}

#[expect(clippy::print_stderr, reason = "logging may not have started")]
fn complain(error: &dyn std::error::Error, code: u8) -> ExitCode {
    eprintln!("renderer-pool: {error}");
    ExitCode::from(code)
}
