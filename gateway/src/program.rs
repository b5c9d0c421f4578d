//! A gateway as a program: parse, check, run, drain. With hooks of the user's own, or without.
//!
//! ```no_run
//! use isopod_gateway::Gateway;
//! use isopod_gateway::hooks::{Flow, Visit};
//!
//! #[derive(Default, serde::Serialize)]
//! struct Context {
//!     locale: String,
//! }
//!
//! async fn locale(visit: Visit<'_, Context>) -> Flow {
//!     visit.context.locale = visit.header("accept-language").unwrap_or("en").to_owned();
//!     Flow::Next
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     Gateway::builder()
//!         .context::<Context>()
//!         .on_server_created(|app| {
//!             app.before(locale);
//!         })
//!         .on_server_started(|info| tracing::info!(listen = %info.addresses.listen, "started"))
//!         .run()
//! }
//! ```

use std::collections::BTreeMap;
use std::io::{Write, stderr, stdout};
use std::process::ExitCode;
use std::sync::Arc;

use crate::app::{App, AppError};
use crate::cli::{Cli, Task};
use crate::config::value::Listen;
use crate::config::{self, Settings, Sources};
use crate::hooks::{RouteError, Server};
use crate::server::{self, Addresses, Extensions, MakeWorker, RunError};
use clap::Parser;
use clap::error::ErrorKind;
use fn_workers::Worker;
use serde::Serialize;
use shared::logging;

/// Wrong usage or configuration.
const USAGE: u8 = 64;
/// A fault of our own.
const FAULT: u8 = 70;

/// A gateway that is extended by the user's own code.
#[derive(Debug, Clone, Copy)]
pub struct Gateway;

impl Gateway {
    /// A gateway without hooks, until some are added.
    pub fn builder() -> GatewayBuilder<()> {
        GatewayBuilder { created: Vec::new(), started: Vec::new(), worker: None }
    }
}

/// Hooks of the user's own, until the gateway runs.
#[must_use]
pub struct GatewayBuilder<C> {
    created: Vec<Created<C>>,
    started: Vec<Listening>,
    worker: Option<MakeWorker>,
}

type Created<C> = Box<dyn FnOnce(&mut Server<C>)>;
type Listening = Box<dyn FnOnce(&Started)>;

/// A gateway that clients can reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// Where, with real ports.
    pub addresses: Addresses,
}

impl<C> std::fmt::Debug for GatewayBuilder<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (created, started) = (self.created.len(), self.started.len());
        write!(f, "GatewayBuilder({created} created, {started} started)")
    }
}

impl GatewayBuilder<()> {
    /// Says what hooks keep of a request: made by its `Default`, sent to the app as the JSON object that
    /// `Serialize` makes of it. To be called before [`Self::on_server_created`].
    ///
    /// # Panics
    /// When hooks without a context were added before.
    pub fn context<C: Default + Serialize + 'static>(self) -> GatewayBuilder<C> {
        assert!(self.created.is_empty(), "the context comes before the hooks that use it");
        GatewayBuilder { created: Vec::new(), started: self.started, worker: self.worker }
    }
}

impl<C: Default + Serialize + 'static> GatewayBuilder<C> {
    /// Adds hooks and routes. Called once, before anything starts; in the order of these calls.
    pub fn on_server_created(mut self, extend: impl FnOnce(&mut Server<C>) + 'static) -> Self {
        self.created.push(Box::new(extend));
        self
    }

    /// Is called once, when clients can connect.
    pub fn on_server_started(mut self, hear: impl FnOnce(&Started) + 'static) -> Self {
        self.started.push(Box::new(hear));
        self
    }

    /// Adds functions and routes that run in the gateway's own process, on its threads: the very worker that a process
    /// of its own would run. It is made once, before the gateway listens, and what its states fail with stops the start.
    /// A function that never ends takes a thread of the gateway, one that brings its process down takes the gateway:
    /// `docs/functions.md` says when that is worth it.
    ///
    /// # Panics
    /// When there is one already.
    pub fn worker(mut self, make: impl FnOnce() -> Worker + 'static) -> Self {
        assert!(self.worker.is_none(), "a gateway has one worker of its own: add its functions to that");
        self.worker = Some(Box::new(make));
        self
    }

    /// Does what the command line says, to the end. What is asked of a worker alone is done by the gateway's own:
    /// `--emit-types`, `--develop`. Must be called on the main thread, outside of any runtime.
    pub fn run(mut self) -> ExitCode {
        if let Some(make) = self.worker.take_if(|_| Worker::is_asked_alone(std::env::args_os().nth(1))) {
            // What is no text is named with what it has of one, as wrong as it is.
            let args = std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned());
            return make().run_with(args);
        }
        let cli = match Cli::try_parse() {
            Ok(cli) => cli,
            Err(error) => return usage(&error),
        };
        // What is not UTF-8 cannot cross to JavaScript, and no setting of ours is.
        let environment: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let flags = cli.flags();
        let sources = Sources::gather(&flags.values, &environment, flags.config.as_deref());
        let settings = match config::load(&sources) {
            Ok(settings) => settings,
            Err(problems) => return failed(USAGE, &problems),
        };
        if let Err(error) = logging::init(&settings.log_filter, settings.log_format) {
            return failed(USAGE, &error);
        }
        settings.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        let mut server = Server::default();
        self.created.into_iter().for_each(|extend| extend(&mut server));
        let hooks = match server.finish(settings.edge.path_policy) {
            Ok(hooks) => hooks.map(Arc::from),
            Err(errors) => return failed(USAGE, &Routes(&errors)),
        };
        let app = match App::open(&settings.app) {
            Ok(app) => app,
            Err(error) => return bad_app(error),
        };
        match cli.task {
            Some(Task::Check(_)) => check(&settings, &app),
            None => {
                let extensions = Extensions { hooks, worker: self.worker };
                serve(settings, app, &environment, extensions, self.started)
            }
        }
    }
}

/// Routes that cannot be, all of them.
struct Routes<'a>(&'a [RouteError]);

impl std::fmt::Display for Routes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the routes of on_server_created cannot be added")?;
        self.0.iter().try_for_each(|error| write!(f, "\n    {error}"))
    }
}

fn serve(
    settings: Settings,
    app: App,
    environment: &BTreeMap<String, String>,
    extensions: Extensions,
    started: Vec<Listening>,
) -> ExitCode {
    let system = actix_web::rt::System::new();
    let listening = |addresses| {
        announce(&addresses);
        let info = Started { addresses };
        started.into_iter().for_each(|hear| hear(&info));
    };
    match system.block_on(server::run(settings, app, environment, extensions, listening)) {
        Ok(end) => ExitCode::from(end.exit_code()),
        Err(error) => failed(error.exit_code(), &chain(&error)),
    }
}

/// The one line on standard output: supervisors and scripts wait for it.
fn announce(addresses: &Addresses) {
    let Addresses { listen, is_secure, admin } = addresses;
    let listen = match listen {
        Listen::Tcp(address) if *is_secure => format!("https://{address}"),
        Listen::Tcp(address) => format!("http://{address}"),
        Listen::Unix(_) => listen.to_string(),
    };
    say(&mut stdout(), &format!("listening on {listen} (admin http://{admin})"));
}

fn check(settings: &Settings, app: &App) -> ExitCode {
    if let Err(error) = server::certificates_of(&settings.protocols.certificates) {
        return failed(error.exit_code(), &chain(&error));
    }
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
