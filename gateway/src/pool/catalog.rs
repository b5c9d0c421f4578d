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
    pub fn new(functions: Vec<FunctionInfo>, routes: &[RouteInfo]) -> Self {
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
