//! The `gateway` program: parse, check, run, drain.

use std::collections::BTreeMap;
use std::io::{Write, stderr, stdout};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use isopod_gateway::app::{App, AppError};
use isopod_gateway::cli::{Cli, Task};
use isopod_gateway::config::{self, Settings, Sources};
use isopod_gateway::server::{self, Addresses, RunError};
use shared::logging;

/// Wrong usage or configuration.
const USAGE: u8 = 64;
/// A fault of our own.
const FAULT: u8 = 70;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    // What is not UTF-8 cannot cross to JavaScript, and no setting of ours is.
    let environment: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let flags = cli.flags();
    let settings = match config::load(&Sources::gather(&flags.values, &environment, flags.config.as_deref()))
    {
        Ok(settings) => settings,
        Err(problems) => return failed(USAGE, &problems),
    };
    if let Err(error) = logging::init(&settings.log_filter, settings.log_format) {
        return failed(USAGE, &error);
    }
    settings.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let app = match App::open(&settings.app) {
        Ok(app) => app,
        Err(error) => return bad_app(error),
    };
    match cli.task {
        Some(Task::Check(_)) => check(&settings, &app),
        None => serve(settings, app, &environment),
    }
}

fn serve(settings: Settings, app: App, environment: &BTreeMap<String, String>) -> ExitCode {
    let system = actix_web::rt::System::new();
    match system.block_on(server::run(settings, app, environment, announce)) {
        Ok(end) => ExitCode::from(end.exit_code()),
        Err(error) => failed(error.exit_code(), &chain(&error)),
    }
}

/// The one line on standard output: supervisors and scripts wait for it.
fn announce(addresses: Addresses) {
    let Addresses { listen, admin } = addresses;
    say(&mut stdout(), &format!("listening on http://{listen} (admin http://{admin})"));
}

fn check(settings: &Settings, app: &App) -> ExitCode {
    match server::index(app, settings) {
        Ok(files) => {
            let (dir, files) = (app.dir.display(), files.files());
            say(
                &mut stdout(),
                &format!("the configuration is valid; {dir} has a server bundle and {files} static files"),
            );
            ExitCode::SUCCESS
        }
        Err(error) => bad_app(error),
    }
}

fn bad_app(error: AppError) -> ExitCode {
    let error = RunError::from(error);
    failed(error.exit_code(), &error)
}

/// Help and version are answers; anything else is wrong usage.
fn usage(error: &clap::Error) -> ExitCode {
    let code = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => 0,
        _ => USAGE,
    };
    // Nobody is left to tell when the terminal is gone.
    let _ = error.print();
    ExitCode::from(code)
}

fn failed(code: u8, what: &dyn std::fmt::Display) -> ExitCode {
    debug_assert!((USAGE..=FAULT).contains(&code), "an exit code that is not documented");
    say(&mut stderr(), &format!("gateway: {what}"));
    ExitCode::from(code)
}

/// An error with all its causes, in one line each.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}\n    because: {cause}"))
}

fn say(to: &mut dyn Write, text: &str) {
    // Nobody is left to tell when the terminal is gone.
    let _ = writeln!(to, "{text}").and_then(|()| to.flush());
}
