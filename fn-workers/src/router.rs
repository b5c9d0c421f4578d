//! Which route answers a path, and which of its handlers a method.

use std::sync::Arc;

use shared::message::control::RouteInfo;
use shared::route::{Pattern, Policy, Tree, TreeBuilder};

use crate::function::Registered;
use crate::registration::RegistrationProblem;
use crate::route::Registration;

/// All routes of a process.
pub(crate) struct Router {
    tree: Tree<usize>,
    routes: Vec<Methods>,
}

struct Methods {
    pattern: String,
    registered_at: String,
    handlers: Vec<(&'static str, Arc<dyn Registered>)>,
    allow: String,
}

/// What answers a request.
pub(crate) enum Found<'r> {
    /// A handler, with the path's parameters.
    Handler(&'r Arc<dyn Registered>, Vec<(String, String)>),
    /// The path has a route; these are its methods.
    Methods(&'r str),
    Nothing,
}

impl Router {
    /// Puts routes together; what is wrong with them is added to `problems`.
    pub(crate) fn new(registrations: Vec<Registration>, problems: &mut Vec<RegistrationProblem>) -> Self {
        let mut builder = TreeBuilder::new(Policy::default());
        let mut routes: Vec<Methods> = Vec::new();
        let mut places = Vec::new();
        for Registration { path, registered_at, endpoints } in registrations {
            let pattern = match Pattern::parse(&path) {
                Ok(pattern) => pattern,
                Err(error) => {
                    problems.push(RegistrationProblem::Path {
                        path,
                        at: registered_at,
                        error: error.to_string(),
                    });
                    continue;
                }
            };
            let known = routes.iter().position(|route| route.pattern == path);
            let index = match known {
                Some(index) => index,
                None => {
                    if let Err(conflict) = builder.insert(pattern, routes.len()) {
                        let same = |route: &Methods| route.pattern == conflict.existing.as_str();
                        let first = routes.iter().position(same).map_or(registered_at, |index| places[index]);
                        let existing = conflict.existing.as_str().to_owned();
                        problems.push(RegistrationProblem::Ambiguous {
                            path,
                            existing,
                            first,
                            second: registered_at,
                        });
                        continue;
                    }
                    let registered = registered_at.to_string();
                    let (handlers, allow) = (Vec::new(), String::new());
                    routes.push(Methods {
                        pattern: path.clone(),
                        registered_at: registered,
                        handlers,
                        allow,
                    });
                    places.push(registered_at);
                    routes.len() - 1
                }
            };
            for (method, handler) in endpoints {
                let taken = routes[index].handlers.iter().find(|(own, _)| *own == method);
                if let Some((_, other)) = taken {
                    let first = other.signature().registered_at;
                    let path = path.clone();
                    let second = handler.signature().registered_at;
                    problems.push(RegistrationProblem::DuplicateRoute { path, method, first, second });
                    continue;
                }
                routes[index].handlers.push((method, handler));
            }
        }
        routes.iter_mut().for_each(Methods::list);
        Self { tree: builder.build(), routes }
    }

    /// All handlers, for what must hold of each.
    pub(crate) fn handlers(&self) -> impl Iterator<Item = &Arc<dyn Registered>> {
        self.routes.iter().flat_map(|route| &route.handlers).map(|(_, handler)| handler)
    }

    /// What the gateway must know of the routes.
    pub(crate) fn infos(&self) -> Vec<RouteInfo> {
        let info = |route: &Methods| RouteInfo {
            pattern: route.pattern.clone(),
            registered_at: route.registered_at.clone(),
        };
        self.routes.iter().map(info).collect()
    }

    /// The patterns, each with its methods, in their order.
    pub(crate) fn methods(&self) -> impl Iterator<Item = (&str, Vec<&'static str>)> {
        let methods = |route: &Methods| route.handlers.iter().map(|(method, _)| *method).collect();
        self.routes.iter().map(move |route| (route.pattern.as_str(), methods(route)))
    }

    /// What answers a method on a path.
    pub(crate) fn find(&self, method: &str, path: &str) -> Found<'_> {
        let Some(found) = self.tree.find(path) else { return Found::Nothing };
        let route = &self.routes[*found.value];
        // HEAD is a GET without its body (RFC 9110, section 9.3.2), unless the route knows better.
        let by_name = |name: &str| route.handlers.iter().find(|(own, _)| *own == name);
        let handler = by_name(method).or_else(|| by_name("GET").filter(|_| method == "HEAD"));
        match handler {
            Some((_, handler)) => {
                let params = found.params(path).into_iter();
                Found::Handler(handler, params.map(|param| (param.name.to_owned(), param.value())).collect())
            }
            None => Found::Methods(&route.allow),
        }
    }
}

impl Methods {
    /// What `Allow` says.
    fn list(&mut self) {
        let mut methods: Vec<_> = self.handlers.iter().map(|(method, _)| *method).collect();
        if methods.contains(&"GET") && !methods.contains(&"HEAD") {
            methods.push("HEAD");
        }
        if !methods.contains(&"OPTIONS") {
            methods.push("OPTIONS");
        }
        self.allow = methods.join(", ");
    }
}
