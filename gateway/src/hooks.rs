//! The user's own middleware: hooks around each request, with a typed context.
//!
//! A context is made for each request by its `Default`. Hooks fill it in their order; the app's handler gets it as
//! `opts.context`, as the JSON that `Serialize` makes of it, which must be an object. A hook that answers ends the
//! way of the request there. A panic in a hook is answered 500 and hurts no other request.

mod typed;

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use actix_web::HttpResponse;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap};
use futures_util::future::LocalBoxFuture;
use serde::Serialize;
use shared::route::tree::Param;
use shared::route::{Conflict, Pattern, PatternError, Policy, TreeBuilder};

use crate::middleware::exchange::Exchange;
use crate::middleware::trace_context::Trace;
use crate::router::path;
pub use typed::Hooks;
use typed::Typed;

/// What a hook decides.
#[derive(Debug)]
pub enum Flow {
    /// The request goes on.
    Next,
    /// This is the answer. Hooks that follow and the app do not see the request; hooks after it see the answer.
    Answer(HttpResponse),
}

/// A request on its way in.
#[derive(Debug)]
pub struct Visit<'a, C> {
    /// The request; the app sees what hooks make of its header fields.
    pub request: &'a mut ServiceRequest,
    /// What hooks know of it so far.
    pub context: &'a mut C,
    exchange: &'a Exchange,
}

impl<C> Visit<'_, C> {
    /// The path, decoded once, before rewrites: `/%61bc` is `/abc`. Paths that can be read in two ways come to no hook.
    /// The app may take other spellings for the same page (`/ABC`, `/abc/`): what guards a part of it belongs to
    /// [`Server::before_on`], which knows them. As it was sent the path is `request.uri().path()`.
    pub fn path(&self) -> Cow<'_, str> {
        path::decoded(self.request.uri().path())
    }

    /// A header's value, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.request.headers().get(name)?.to_str().ok()
    }

    /// A cookie's value, as it was sent.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        cookie(self.request.headers(), name)
    }

    /// The client's address, behind trusted proxies the one that they report.
    pub fn client_ip(&self) -> IpAddr {
        self.exchange.client_ip
    }

    /// Names the request in the logs of all processes.
    pub fn request_id(&self) -> &str {
        self.exchange.id.as_str()
    }

    /// The trace that the request belongs to; `None` where `trace_context` is off.
    pub fn trace(&self) -> Option<Trace> {
        self.exchange.trace
    }

    /// Whether the client's connection is encrypted, as far as known.
    pub fn is_secure(&self) -> bool {
        self.exchange.is_secure
    }
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let fields = headers.get_all(header::COOKIE).filter_map(|value| value.to_str().ok());
    let mut pairs = fields.flat_map(|field| field.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
}

/// A response on its way out.
#[derive(Debug)]
pub struct Leave<'a, C> {
    /// The response with its request. Its body may be a stream that has just begun.
    pub response: &'a mut ServiceResponse,
    /// What hooks knew of the request.
    pub context: &'a C,
}

/// A request for a route of the user's own.
#[derive(Debug)]
pub struct Call<'a, C> {
    /// The request with its body.
    pub request: &'a mut ServiceRequest,
    /// What hooks know of it.
    pub context: &'a mut C,
    /// What the parameters of the route's path matched, decoded.
    pub params: Vec<Param<'a>>,
}

impl<C> Call<'_, C> {
    /// A parameter's value.
    pub fn param(&self, name: &str) -> Option<String> {
        self.params.iter().find(|param| param.name == name).map(Param::value)
    }
}

trait Before<C>: Send + Sync {
    fn run<'a>(&'a self, visit: Visit<'a, C>) -> LocalBoxFuture<'a, Flow>;
}

trait After<C>: Send + Sync {
    fn run<'a>(&'a self, leave: Leave<'a, C>) -> LocalBoxFuture<'a, ()>;
}

trait Handler<C>: Send + Sync {
    fn run<'a>(&'a self, call: Call<'a, C>) -> LocalBoxFuture<'a, HttpResponse>;
}

impl<C, F: AsyncFn(Visit<'_, C>) -> Flow + Send + Sync> Before<C> for F {
    fn run<'a>(&'a self, visit: Visit<'a, C>) -> LocalBoxFuture<'a, Flow> {
        Box::pin(self(visit))
    }
}

impl<C, F: AsyncFn(Leave<'_, C>) + Send + Sync> After<C> for F {
    fn run<'a>(&'a self, leave: Leave<'a, C>) -> LocalBoxFuture<'a, ()> {
        Box::pin(self(leave))
    }
}

impl<C, F: AsyncFn(Call<'_, C>) -> HttpResponse + Send + Sync> Handler<C> for F {
    fn run<'a>(&'a self, call: Call<'a, C>) -> LocalBoxFuture<'a, HttpResponse> {
        Box::pin(self(call))
    }
}

/// A route that cannot be added.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// Its path is no pattern.
    #[error("{path:?} is no path of a route or hook: {error}")]
    Pattern {
        /// What was given.
        path: String,
        /// What is wrong with it.
        error: PatternError,
    },
    /// Another route has its paths and method.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// Another route has its path and method.
    #[error("{method} {path} is there already")]
    Twice {
        /// The method.
        method: Method,
        /// The path.
        path: String,
    },
}

type Methods<C> = Vec<(Method, Box<dyn Handler<C>>)>;

/// A hook, and the paths for which it runs; all where there is `None`.
type Guard<P, C> = (Option<P>, Box<dyn Before<C>>);

/// The gateway as the user's own code extends it: hooks and routes, in the order in which they are added.
pub struct Server<C> {
    before: Vec<Guard<Pattern, C>>,
    after: Vec<Box<dyn After<C>>>,
    routes: Vec<(Pattern, Methods<C>)>,
    problems: Vec<RouteError>,
}

impl<C> fmt::Debug for Server<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after, routes) = (self.before.len(), self.after.len(), self.routes.len());
        f.debug_struct("Server")
            .field("before", &before)
            .field("after", &after)
            .field("routes", &routes)
            .finish_non_exhaustive()
    }
}

impl<C: Default + Serialize + 'static> Default for Server<C> {
    fn default() -> Self {
        Self { before: Vec::new(), after: Vec::new(), routes: Vec::new(), problems: Vec::new() }
    }
}

impl<C: Default + Serialize + 'static> Server<C> {
    /// Adds a hook that sees each request before static files, routes and the app do.
    pub fn before(&mut self, hook: impl AsyncFn(Visit<'_, C>) -> Flow + Send + Sync + 'static) -> &mut Self {
        self.before.push((None, Box::new(hook)));
        self
    }

    /// Adds such a hook for paths in TanStack's syntax alone: `/account/$` is all of `/account`. It runs for every spelling
    /// that the app takes for such a path (percent-encoding, case and trailing slash, as `path_case` and
    /// `path_trailing_slash` say), before rewrites. What is wrong with the path is said when the gateway starts.
    pub fn before_on(
        &mut self,
        path: &str,
        hook: impl AsyncFn(Visit<'_, C>) -> Flow + Send + Sync + 'static,
    ) -> &mut Self {
        match Pattern::parse(path) {
            Ok(pattern) => self.before.push((Some(pattern), Box::new(hook))),
            Err(error) => self.problems.push(RouteError::Pattern { path: path.to_owned(), error }),
        }
        self
    }

    /// Adds a hook that sees each response. The last that was added sees it first.
    pub fn after(&mut self, hook: impl AsyncFn(Leave<'_, C>) + Send + Sync + 'static) -> &mut Self {
        self.after.insert(0, Box::new(hook));
        self
    }

    /// Adds a route: a path in TanStack's syntax that `handler` answers for this method. Static files come before
    /// it; the app comes after it. What is wrong with it is said when the gateway starts.
    pub fn route(
        &mut self,
        method: Method,
        path: &str,
        handler: impl AsyncFn(Call<'_, C>) -> HttpResponse + Send + Sync + 'static,
    ) -> &mut Self {
        let pattern = match Pattern::parse(path) {
            Ok(pattern) => pattern,
            Err(error) => {
                self.problems.push(RouteError::Pattern { path: path.to_owned(), error });
                return self;
            }
        };
        let methods = match self.routes.iter_mut().find(|(known, _)| *known == pattern) {
            Some((_, methods)) => methods,
            None => {
                self.routes.push((pattern, Vec::new()));
                // It has just been pushed.
                match self.routes.last_mut() {
                    Some((_, methods)) => methods,
                    None => return self,
                }
            }
        };
        if methods.iter().any(|(known, _)| *known == method) {
            self.problems.push(RouteError::Twice { method, path: path.to_owned() });
        } else {
            methods.push((method, Box::new(handler)));
        }
        self
    }

    /// Everything that was added, ready to be run; `None` when that is nothing.
    ///
    /// # Errors
    /// All routes that cannot be.
    pub fn finish(mut self, policy: Policy) -> Result<Option<Box<dyn Hooks>>, Vec<RouteError>> {
        let mut routes = TreeBuilder::new(policy);
        for (pattern, methods) in self.routes.drain(..) {
            if let Err(conflict) = routes.insert(pattern, methods) {
                self.problems.push(conflict.into());
            }
        }
        let mut before = Vec::new();
        for (pattern, hook) in self.before {
            let mut paths = None;
            if let Some(pattern) = pattern {
                let mut tree = TreeBuilder::new(policy);
                match tree.insert(pattern, ()) {
                    Ok(()) => paths = Some(tree.build()),
                    Err(conflict) => self.problems.push(conflict.into()),
                }
            }
            before.push((paths, hook));
        }
        if !self.problems.is_empty() {
            return Err(self.problems);
        }
        let routes = routes.build();
        if before.is_empty() && self.after.is_empty() && routes.is_empty() {
            return Ok(None);
        }
        Ok(Some(Box::new(Typed { before, after: self.after, routes })))
    }
}
