//! Server routes: paths in TanStack Router's syntax, with a handler for each method.
//!
//! ```
//! use fn_workers::{Function, FunctionError, Response, Route, RouteGroup, Worker};
//! use serde::Deserialize;
//!
//! #[derive(Deserialize)]
//! struct Thread { id: u64 }
//!
//! async fn read(thread: Thread) -> Result<Response, FunctionError> {
//!     Ok(Response::text(format!("thread {}", thread.id)))
//! }
//!
//! let threads = Route::new("/threads/$id").get(read);
//! let worker = Worker::new().routes(RouteGroup::new("/api").route(threads));
//! ```
//!
//! | pattern | |
//! |---|---|
//! | `/users/$id`, `/files/$`, `/a[.]json` | as everywhere: a parameter, the rest as `_splat`, an escape |
//! | `/_grouped/a` | answers `/a`: a pathless segment groups, and is no part of the path |
//! | `/posts_/$id` | answers `/posts/$id`: it breaks out of a group at `/posts` |
//!
//! `HEAD` is answered by what answers `GET`, `OPTIONS` by the methods that there are, other methods by 405.

use std::panic::Location;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::function::{Function, Registered};
use crate::handler::Handler;
use crate::middleware::Middleware;

/// A path and its handlers.
pub struct Route {
    path: &'static str,
    registered_at: &'static Location<'static>,
    middleware: Vec<Arc<dyn Middleware>>,
    endpoints: Vec<Endpoint>,
}

/// What answers a method.
struct Endpoint {
    method: &'static str,
    finish: Finish,
}

/// Takes the middleware that runs before the endpoint's own.
type Finish = Box<dyn FnOnce(Vec<Arc<dyn Middleware>>) -> Arc<dyn Registered>>;

/// A route as it was put together.
pub(crate) struct Registration {
    /// The path without what only groups.
    pub(crate) path: String,
    pub(crate) registered_at: &'static Location<'static>,
    pub(crate) endpoints: Vec<(&'static str, Arc<dyn Registered>)>,
}

impl Route {
    /// A route at this path.
    #[track_caller]
    pub fn new(path: &'static str) -> Self {
        Self { path, registered_at: Location::caller(), middleware: Vec::new(), endpoints: Vec::new() }
    }

    /// Runs around all handlers of the route, before their own middleware.
    #[must_use]
    pub fn middleware(mut self, middleware: impl Middleware) -> Self {
        self.middleware.push(Arc::new(middleware));
        self
    }

    /// Answers a method with a handler that has middleware, validators or limits of its own. The handler's input
    /// are the path's parameters.
    #[must_use]
    pub fn on<Input: DeserializeOwned + 'static>(
        mut self,
        method: &'static str,
        endpoint: Function<Input>,
    ) -> Self {
        let path = self.path;
        let finish = Box::new(move |outer| endpoint.at(path, outer));
        self.endpoints.push(Endpoint { method, finish });
        self
    }

    /// Answers `GET`, and `HEAD`.
    #[must_use]
    pub fn get<Input: DeserializeOwned + 'static, Injected>(
        self,
        handler: impl Handler<Input, Injected>,
    ) -> Self {
        self.on("GET", Function::endpoint(handler))
    }

    /// Answers `POST`.
    #[must_use]
    pub fn post<Input: DeserializeOwned + 'static, Injected>(
        self,
        handler: impl Handler<Input, Injected>,
    ) -> Self {
        self.on("POST", Function::endpoint(handler))
    }

    /// Answers `PUT`.
    #[must_use]
    pub fn put<Input: DeserializeOwned + 'static, Injected>(
        self,
        handler: impl Handler<Input, Injected>,
    ) -> Self {
        self.on("PUT", Function::endpoint(handler))
    }

    /// Answers `PATCH`.
    #[must_use]
    pub fn patch<Input: DeserializeOwned + 'static, Injected>(
        self,
        handler: impl Handler<Input, Injected>,
    ) -> Self {
        self.on("PATCH", Function::endpoint(handler))
    }

    /// Answers `DELETE`.
    #[must_use]
    pub fn delete<Input: DeserializeOwned + 'static, Injected>(
        self,
        handler: impl Handler<Input, Injected>,
    ) -> Self {
        self.on("DELETE", Function::endpoint(handler))
    }

    fn register(self, prefix: &str, outer: &[Arc<dyn Middleware>]) -> Registration {
        let chain: Vec<_> = outer.iter().cloned().chain(self.middleware).collect();
        let endpoints = self.endpoints.into_iter();
        let endpoints =
            endpoints.map(|endpoint| (endpoint.method, (endpoint.finish)(chain.clone()))).collect();
        let path = without_groups(&format!("{prefix}{}", self.path));
        Registration { path, registered_at: self.registered_at, endpoints }
    }
}

/// Routes below one path, with middleware for all of them.
pub struct RouteGroup {
    prefix: &'static str,
    middleware: Vec<Arc<dyn Middleware>>,
    members: Vec<Member>,
}

enum Member {
    Route(Route),
    Group(RouteGroup),
}

impl RouteGroup {
    /// Routes below `prefix`, such as `/api`, or `/_signed_in` for a group that is no part of the path.
    pub fn new(prefix: &'static str) -> Self {
        Self { prefix, middleware: Vec::new(), members: Vec::new() }
    }

    /// Runs around all routes of the group, before their own middleware.
    #[must_use]
    pub fn middleware(mut self, middleware: impl Middleware) -> Self {
        self.middleware.push(Arc::new(middleware));
        self
    }

    /// Adds a route; its path begins behind the group's.
    #[must_use]
    pub fn route(mut self, route: Route) -> Self {
        self.members.push(Member::Route(route));
        self
    }

    /// Adds a group; its path begins behind this one's.
    #[must_use]
    pub fn group(mut self, group: RouteGroup) -> Self {
        self.members.push(Member::Group(group));
        self
    }

    fn register(self, prefix: &str, outer: &[Arc<dyn Middleware>], into: &mut Vec<Registration>) {
        let prefix = format!("{prefix}{}", self.prefix.trim_end_matches('/'));
        let outer: Vec<_> = outer.iter().cloned().chain(self.middleware).collect();
        for member in self.members {
            match member {
                Member::Route(route) => into.push(route.register(&prefix, &outer)),
                Member::Group(group) => group.register(&prefix, &outer, into),
            }
        }
    }
}

/// What may be registered with [`crate::Worker::routes`].
pub trait Routes {
    /// The routes, put together.
    #[doc(hidden)]
    #[expect(private_interfaces, reason = "only this crate implements and calls it")]
    fn register(self, into: &mut Vec<Registration>);
}

impl Routes for Route {
    #[expect(private_interfaces, reason = "only this crate implements and calls it")]
    fn register(self, into: &mut Vec<Registration>) {
        into.push(Self::register(self, "", &[]));
    }
}

impl Routes for RouteGroup {
    #[expect(private_interfaces, reason = "only this crate implements and calls it")]
    fn register(self, into: &mut Vec<Registration>) {
        Self::register(self, "", &[], into);
    }
}

/// The path that a client asks for: without pathless segments, and without the underscore that breaks out.
fn without_groups(path: &str) -> String {
    let segments = path.split('/').filter(|segment| !segment.starts_with('_'));
    let segments = segments.map(|segment| match segment.strip_suffix('_') {
        Some(name) if !name.is_empty() => name,
        _ => segment,
    });
    let joined = segments.collect::<Vec<_>>().join("/");
    if joined.is_empty() { "/".into() } else { joined }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_groups_is_no_part_of_the_path() {
        for (path, asked) in [
            ("/users/$id", "/users/$id"),
            ("/_auth/users", "/users"),
            ("/_auth", "/"),
            ("/posts_/$id", "/posts/$id"),
            ("/a[_]/[_]b", "/a[_]/[_]b"),
            ("/files/$", "/files/$"),
            ("/", "/"),
        ] {
            assert_eq!(without_groups(path), asked);
        }
    }
}
