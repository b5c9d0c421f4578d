//! What the fn workers have: their functions and routes, as the newest of them reported.

use std::collections::HashSet;

use shared::message::control::{FunctionInfo, RouteInfo};
use shared::route::{Pattern, Policy, Tree, TreeBuilder};

/// Functions and routes.
#[derive(Debug)]
pub(crate) struct Catalog {
    idempotent: HashSet<String>,
    routes: Tree<()>,
}

impl Default for Catalog {
    fn default() -> Self {
        Self { idempotent: HashSet::new(), routes: TreeBuilder::new(Policy::default()).build() }
    }
}

impl Catalog {
    /// What a worker has reported. It has checked its routes; one that does not parse here is logged and left out.
    /// A route that answers what `app_routes` would answer is logged too.
    pub fn new(functions: Vec<FunctionInfo>, routes: &[RouteInfo], app_routes: &[String]) -> Self {
        report_shadows(routes, app_routes);
        let idempotent = functions.into_iter().filter(|function| function.idempotent);
        let mut tree = TreeBuilder::new(Policy::default());
        for RouteInfo { pattern, registered_at } in routes {
            match Pattern::parse(pattern) {
                Ok(parsed) => {
                    if let Err(conflict) = tree.insert(parsed, ()) {
                        tracing::error!(%conflict, registered_at, "a worker's route is left out");
                    }
                }
                Err(error) => tracing::error!(%error, registered_at, "a worker's route is left out"),
            }
        }
        Self { idempotent: idempotent.map(|function| function.name).collect(), routes: tree.build() }
    }

    /// Whether a call may be sent again when its worker is lost.
    pub fn is_idempotent(&self, name: &str) -> bool {
        self.idempotent.contains(name)
    }

    /// Whether a worker answers this path.
    pub fn has_route(&self, path: &str) -> bool {
        !self.routes.is_empty() && self.routes.find(path).is_some()
    }
}

/// Says which of the app's own routes never answer.
fn report_shadows(routes: &[RouteInfo], app_routes: &[String]) {
    for (pattern, registered_at, shadowed) in shadows(routes, app_routes) {
        tracing::warn!(pattern, registered_at, shadowed, "a route in Rust takes the place of one of the app");
    }
}

/// Native routes, where they were registered, and the app's routes that match the same paths equally well.
fn shadows<'r>(routes: &'r [RouteInfo], app_routes: &[String]) -> Vec<(&'r str, &'r str, String)> {
    let mut found = Vec::new();
    for RouteInfo { pattern, registered_at } in routes {
        let Ok(native) = Pattern::parse(pattern) else { continue };
        for app_route in app_routes {
            let Ok(of_app) = Pattern::parse(app_route) else { continue };
            let mut tree = TreeBuilder::new(Policy::default());
            if tree.insert(of_app, ()).is_ok() && tree.insert(native.clone(), ()).is_err() {
                found.push((pattern.as_str(), registered_at.as_str(), app_route.clone()));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_that_hide_routes_of_the_app_are_found() {
        let route = |pattern: &str| RouteInfo { pattern: pattern.into(), registered_at: "a.rs:1:1".into() };
        let routes = [route("/threads/$id"), route("/api/time")];
        let app_routes = ["/", "/threads/$thread", "/api/$", "/threads"].map(String::from);
        let found = shadows(&routes, &app_routes);
        assert_eq!(found, [("/threads/$id", "a.rs:1:1", "/threads/$thread".to_owned())]);
        let catalog = Catalog::new(Vec::new(), &routes, &app_routes);
        assert!(catalog.has_route("/threads/7") && catalog.has_route("/api/time"));
        assert!(!catalog.has_route("/threads") && !Catalog::default().has_route("/"));
    }
}
