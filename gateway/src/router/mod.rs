//! The way of a request once its limits are checked, first match:
//!
//! ```text
//! path     ambiguous?                       400
//! static   GET, HEAD of a file of client/   the file
//! redirect [[redirects]]                    where it is now; [[rewrites]] begin again with another path,
//!                                           if its [[basic_auth]] lets the request in
//! native   /_native/<name>                  the function's value
//!          /_serverFn/<id> of a direct one  the function's answer, as TanStack Start's client reads it
//!          a path of a worker's route       the route's response
//! route    one of the user's own hooks      its response
//! cache                                     its place, once there is one
//! bundle   everything else                  the app's response
//! ```
//!
//! Other methods than GET and HEAD on a static file's path go on to the bundle: a file answers only what a file can.

pub mod backend;
pub mod body;
pub mod build;
pub mod bundle;
pub mod classes;
pub mod headers;
pub mod hints;
pub mod native;
pub mod native_request;
pub mod path;
pub mod redirects;
pub mod rests;
pub mod shape;
pub mod static_files;

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;

use crate::admission::respite::Respite;
use crate::config::edge::{Edge, RouteLimit};
use crate::error::Cause;
use crate::hooks::Hooks;
use crate::middleware::access;
use crate::middleware::exchange::{Exchange, RouteClass};
use crate::server::connection::pace::Rate;
use backend::Backend;
use build::Builds;
use classes::RouteClasses;
use hints::Learnt;
use path::RequestPath;
use prometheus::IntCounterVec;
use rests::Rests;

/// What the router must know of the settings.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Native functions live at this path, with a slash at its end; below the base path too.
    pub native_prefix: String,
    /// The longest body of a request, in bytes.
    pub body_limit: u64,
    /// How fast a body must come.
    pub body_rate: Rate,
    /// How long the app may take until its response begins.
    pub job_timeout: Duration,
    /// How long a native function may take.
    pub native_call_timeout: Duration,
    /// The base path, empty or without a slash at its end.
    pub base_path: String,
    /// Routes that are given a rest.
    pub rests: Arc<Rests>,
    /// Counts early hints by how they were sent; `None` where none are.
    pub early_hints: Option<IntCounterVec>,
    /// Whether the app is asked to add a `Link` field to its pages.
    pub response_link_header: bool,
    /// Redirects, rewrites, and what is compressed.
    pub edge: Arc<Edge>,
    /// The user's own routes.
    pub hooks: Option<Arc<dyn Hooks>>,
    /// The app's routes.
    pub classes: Arc<RouteClasses>,
}

impl Rules {
    /// What the route of this path may take, where that is limited.
    fn route_limit(&self, path: &str) -> Option<&RouteLimit> {
        let limits = &self.edge.route_limits;
        if limits.is_empty() { None } else { limits.find(path).map(|found| found.value) }
    }
}

/// The router of one gateway thread.
#[derive(Debug)]
pub struct Router<B> {
    builds: Builds,
    backend: B,
    rules: Rules,
    learnt: Learnt,
    respite: Respite,
}

impl<B: Backend> Router<B> {
    /// Routes to the files of `builds`, and to `backend`.
    pub fn new(builds: Builds, backend: B, rules: Rules) -> Self {
        Self { builds, backend, rules, learnt: Learnt::default(), respite: Respite::default() }
    }

    /// With rests after refusals.
    #[must_use]
    pub fn resting(self, respite: Respite) -> Self {
        Self { respite, ..self }
    }

    /// Answers a request.
    pub async fn route(&self, request: ServiceRequest, exchange: &Exchange) -> ServiceResponse {
        match self.begin(request, exchange) {
            Step::Answer(response) => response,
            Step::On(request, destination) => self.answer(request, exchange, destination).await,
        }
    }

    /// Finds what answers a request, and lets it if nothing is to be waited for.
    pub fn begin(&self, mut request: ServiceRequest, exchange: &Exchange) -> Step {
        let target = match self.way(&mut request, exchange) {
            Way::To(target) => target,
            Way::Answer(answer) => return Step::Answer(request.into_response(answer)),
        };
        let destination = match target {
            Some(Target::File(entry)) => {
                exchange.set_class(RouteClass::Static);
                match static_files::at_once(&entry, &request, self.rules.edge.compression.mode) {
                    Some(answer) => return Step::Answer(request.into_response(answer)),
                    None => Destination::File(entry),
                }
            }
            Some(Target::Native(name)) => {
                exchange.set_class(RouteClass::Native);
                Destination::Native(name)
            }
            Some(Target::Request(target)) => {
                exchange.set_class(RouteClass::Native);
                Destination::Request(target)
            }
            None if self.own_route(&request).is_some() => {
                exchange.set_class(RouteClass::Route);
                Destination::Route
            }
            None => {
                exchange.set_class(RouteClass::Bundle);
                exchange.set_pattern(self.rules.classes.class(request.uri().path()));
                let Self { backend, rules, respite, .. } = self;
                match bundle::enter(backend, rules, respite, exchange, &request) {
                    Ok(entered) => Destination::Bundle(entered),
                    Err(cause) => {
                        exchange.set_cause(cause);
                        let refusal = cause.refused(request.headers());
                        return Step::Answer(request.into_response(refusal));
                    }
                }
            }
        };
        Step::On(request, destination)
    }

    /// Lets a request be answered by what [`Self::begin`] has found.
    pub async fn answer(
        &self,
        request: ServiceRequest,
        exchange: &Exchange,
        destination: Destination,
    ) -> ServiceResponse {
        match destination {
            Destination::File(entry) => {
                static_files::answer(&entry, request, self.rules.edge.compression.mode).await
            }
            Destination::Native(name) => {
                // Rare: its future would make those of pages longer.
                Box::pin(native::answer(&self.backend, &self.rules, exchange, name, request)).await
            }
            Destination::Request(target) => {
                native_request::answer(&self.backend, &self.rules, exchange, target, request).await
            }
            Destination::Route => match &self.rules.hooks {
                Some(hooks) => hooks.route(request, exchange).await,
                None => {
                    debug_assert!(false, "a route without hooks");
                    let response = Cause::NoFunction.response(request.headers());
                    request.into_response(response)
                }
            },
            Destination::Bundle(entered) => {
                let over_file = self.is_over_file(&request);
                let Self { backend, rules, learnt, .. } = self;
                bundle::answer(backend, rules, learnt, exchange, request, entered, over_file).await
            }
        }
    }

    /// Makes all rewrites, and says what answers the request then.
    fn way(&self, request: &mut ServiceRequest, exchange: &Exchange) -> Way {
        let edge = &self.rules.edge;
        for turn in 0..=redirects::MAX_REWRITES {
            let target = match RequestPath::parse(request.uri().path()) {
                Err(error) => return Way::Answer(Cause::Path(error).response(request.headers())),
                Ok(path) => path
                    .file()
                    .and_then(|file| self.target(request.method(), file))
                    .or_else(|| self.native_route(request.uri().path())),
            };
            if matches!(target, Some(Target::File(_))) {
                return Way::To(target);
            }
            // What a rewrite leads to is where it is meant to be.
            if turn == 0
                && let Some(answer) = redirects::redirect(edge, request.uri())
            {
                exchange.set_class(RouteClass::Redirect);
                return Way::Answer(answer);
            }
            let Some(uri) = redirects::rewrite(edge, request.uri()) else { return Way::To(target) };
            // The chain has asked for the password of the first path alone: no rewrite leads past a door.
            if let Some(refusal) = access::locked(&edge.access, uri.path(), request.headers()) {
                return Way::Answer(refusal);
            }
            request.head_mut().uri = uri;
        }
        tracing::error!(path = request.uri().path(), "more rewrites than a request may have");
        Way::Answer(Cause::RewriteChain.response(request.headers()))
    }

    /// Whether there is a file at a request's path that its method does not read.
    fn is_over_file(&self, request: &ServiceRequest) -> bool {
        if *request.method() == Method::GET || *request.method() == Method::HEAD {
            return false;
        }
        let path = RequestPath::parse(request.uri().path());
        path.is_ok_and(|path| path.file().is_some_and(|file| self.builds.current().file(file).is_some()))
    }

    fn own_route(&self, request: &ServiceRequest) -> Option<&dyn Hooks> {
        let hooks = self.rules.hooks.as_deref()?;
        hooks.has_route(request.method(), request.uri().path()).then_some(hooks)
    }

    fn target(&self, method: &Method, path: &str) -> Option<Target> {
        let may_be_file = *method == Method::GET || *method == Method::HEAD;
        let build = self.builds.current();
        if may_be_file && let Some(entry) = build.file(path) {
            return Some(Target::File(Arc::clone(entry)));
        }
        if let Some(name) = build.direct_function(path) {
            return Some(Target::Request(shared::message::Target::Function(name.to_owned())));
        }
        let name =
            path.strip_prefix(&self.rules.native_prefix).or_else(|| path.strip_prefix(NATIVE_PREFIX))?;
        Some(Target::Native(name.to_owned()))
    }

    /// A route of the fn workers; they take the path as it was sent.
    fn native_route(&self, path: &str) -> Option<Target> {
        self.backend.has_native_route(path).then_some(Target::Request(shared::message::Target::Route))
    }
}

/// Where native functions live, whatever the base path.
const NATIVE_PREFIX: &str = "/_native/";

/// What became of a request.
#[derive(Debug)]
pub enum Step {
    /// It is answered.
    Answer(ServiceResponse),
    /// It is to be answered by this.
    On(ServiceRequest, Destination),
}

/// What answers a request that cannot be answered at once.
#[derive(Debug)]
pub enum Destination {
    /// A file that must be read, or encoded, first.
    File(Arc<static_files::index::Entry>),
    /// A native function.
    Native(String),
    /// An fn worker, with the request as it came.
    Request(shared::message::Target),
    /// A route of the user's own hooks.
    Route,
    /// The bundle, where there is room.
    Bundle(bundle::Entered),
}

/// The way of a request.
enum Way {
    /// To a file or a native function, or else to a route of hooks or the bundle.
    To(Option<Target>),
    /// The configuration has the answer.
    Answer(HttpResponse),
}

enum Target {
    File(Arc<static_files::index::Entry>),
    Native(String),
    Request(shared::message::Target),
}
