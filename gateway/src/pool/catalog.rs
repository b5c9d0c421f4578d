//! What the fn workers have: their functions and routes, as the newest of this machine and all of other machines
//! reported.

use std::collections::HashMap;

use remote::directory::Listing;
use shared::message::control::{FunctionInfo, RouteInfo};
use shared::route::pattern::{Named, Segment};
use shared::route::{Pattern, Policy, Tree, TreeBuilder};

/// What this process has, or the newest worker of this machine.
#[derive(Debug, Default)]
pub(crate) struct Reported {
    pub functions: Vec<FunctionInfo>,
    pub routes: Vec<RouteInfo>,
}

impl Reported {
    /// What both have, in words: only one could answer.
    pub fn clashes_with(&self, other: &Self) -> Vec<String> {
        let mut clashes = Vec::new();
        let places: HashMap<&str, &str> = self
            .functions
            .iter()
            .map(|function| (function.name.as_str(), function.registered_at.as_str()))
            .collect();
        for FunctionInfo { name, registered_at, .. } in &other.functions {
            if let Some(first) = places.get(name.as_str()) {
                clashes.push(format!("two functions are named `{name}`: at {first} and at {registered_at}"));
            }
        }
        for RouteInfo { pattern, registered_at } in &self.routes {
            let Ok(own) = Pattern::parse(pattern) else { continue };
            for RouteInfo { pattern: theirs, registered_at: second } in &other.routes {
                let mut tree = TreeBuilder::new(Policy::default());
                let (Ok(()), Ok(parsed)) = (tree.insert(own.clone(), ()), Pattern::parse(theirs)) else {
                    continue;
                };
                if tree.insert(parsed, ()).is_err() {
                    clashes.push(format!(
                        "the route `{pattern}` at {registered_at} and the route `{theirs}` at {second} match the \
                         same paths"
                    ));
                }
            }
        }
        clashes
    }
}

/// What a catalog is made of.
#[derive(Debug, Default)]
pub(crate) struct Offered {
    /// In this process.
    pub own: Reported,
    /// On this machine, in worker processes.
    pub here: Reported,
    /// On others.
    pub elsewhere: Listing,
}

/// A function.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Whether this process has it.
    pub own: bool,
    /// Whether this process or a worker of this machine has it.
    pub here: bool,
    /// The workers of other machines that have it.
    pub instances: Vec<String>,
    /// Whether a call may be sent again when its worker is lost.
    pub idempotent: bool,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FoundRoute {
    own: bool,
    here: bool,
    /// The pattern, as the workers of other machines have it.
    elsewhere: Option<String>,
}

/// Functions and routes.
#[derive(Debug)]
pub(crate) struct Catalog {
    functions: HashMap<String, Found>,
    routes: Tree<FoundRoute>,
    has_elsewhere: bool,
}

impl Default for Catalog {
    fn default() -> Self {
        Self::new(&Offered::default(), &[])
    }
}

impl Catalog {
    /// What workers have reported. They have checked their routes; one that does not parse here is logged and left
    /// out. A route that answers what `app_routes` would answer is logged too.
    pub fn new(offered: &Offered, app_routes: &[String]) -> Self {
        let Offered { own, here, elsewhere } = offered;
        report_shadows(&own.routes, app_routes);
        report_shadows(&here.routes, app_routes);
        let mut functions: HashMap<String, Found> = HashMap::new();
        for (function, own) in with(&here.functions, false).chain(with(&own.functions, true)) {
            let instances = Vec::new();
            let found = Found { own, here: true, instances, idempotent: function.idempotent };
            functions.insert(function.name.clone(), found);
        }
        for (name, listed) in &elsewhere.functions {
            let found = functions.entry(name.clone());
            let found = found.or_insert(Found { idempotent: true, ..Found::default() });
            found.instances.clone_from(&listed.instances);
            found.idempotent &= listed.idempotent;
        }
        let has_elsewhere = elsewhere.members > 0;
        Self { functions, routes: tree(own, here, elsewhere), has_elsewhere }
    }

    /// A function, if any worker has it.
    pub fn function(&self, name: &str) -> Option<&Found> {
        self.functions.get(name)
    }

    /// Whether workers of other machines have said what they have.
    pub fn has_elsewhere(&self) -> bool {
        self.has_elsewhere
    }

    /// Whether a call may be sent again when its worker is lost.
    pub fn is_idempotent(&self, name: &str) -> bool {
        self.functions.get(name).is_some_and(|found| found.idempotent)
    }

    /// Whether a worker answers this path.
    pub fn has_route(&self, path: &str) -> bool {
        !self.routes.is_empty() && self.routes.find(path).is_some()
    }

    /// Whether this process answers the path by itself.
    pub fn is_own_route(&self, path: &str) -> bool {
        self.routes.find(path).is_some_and(|found| found.value.own)
    }

    /// Whether this machine answers the path, and by which pattern those of other machines do.
    pub fn route(&self, path: &str) -> Option<(bool, Option<&str>)> {
        let found = self.routes.find(path)?.value;
        Some((found.here, found.elsewhere.as_deref()))
    }
}

/// What is listed, each with whether it is this process's own.
fn with<T>(listed: &[T], own: bool) -> impl Iterator<Item = (&T, bool)> {
    listed.iter().map(move |one| (one, own))
}

fn tree(own: &Reported, here: &Reported, elsewhere: &Listing) -> Tree<FoundRoute> {
    let mut routes: Vec<(&str, &str, FoundRoute)> = Vec::new();
    for (RouteInfo { pattern, registered_at }, own) in
        with(&own.routes, true).chain(with(&here.routes, false))
    {
        routes.push((pattern, registered_at, FoundRoute { own, here: true, elsewhere: None }));
    }
    for route in &elsewhere.routes {
        let elsewhere = Some(route.pattern.clone());
        match routes.iter_mut().find(|(pattern, ..)| *pattern == route.pattern) {
            Some((.., found)) => found.elsewhere = elsewhere,
            None => {
                let found = FoundRoute { own: false, here: false, elsewhere };
                routes.push((&route.pattern, &route.registered_at, found));
            }
        }
    }
    let mut tree = TreeBuilder::new(Policy::default());
    for (pattern, registered_at, found) in routes {
        match Pattern::parse(pattern) {
            Ok(parsed) => {
                if let Err(conflict) = tree.insert(parsed, found) {
                    tracing::error!(%conflict, registered_at, "a worker's route is left out");
                }
            }
            Err(error) => tracing::error!(%error, registered_at, "a worker's route is left out"),
        }
    }
    tree.build()
}

/// Says which of the app's own routes never answer.
fn report_shadows(routes: &[RouteInfo], app_routes: &[String]) {
    for (pattern, registered_at, shadowed) in shadows(routes, app_routes) {
        tracing::warn!(pattern, registered_at, shadowed, "a route in Rust takes the place of one of the app");
    }
}

/// Native routes, where they were registered, and the app's routes whose paths they answer: those that match the same
/// paths equally well, and those that a less particular native route is asked before.
fn shadows<'r>(routes: &'r [RouteInfo], app_routes: &[String]) -> Vec<(&'r str, &'r str, String)> {
    let mut found = Vec::new();
    for RouteInfo { pattern, registered_at } in routes {
        let Ok(native) = Pattern::parse(pattern) else { continue };
        let mut tree = TreeBuilder::new(Policy::default());
        if tree.insert(native, ()).is_err() {
            continue;
        }
        let native = tree.build();
        for app_route in app_routes {
            let Ok(of_app) = Pattern::parse(app_route) else { continue };
            let answers = |variant: &Vec<usize>| native.find(&example(&of_app, variant)).is_some();
            if of_app.variants().iter().any(answers) {
                found.push((pattern.as_str(), registered_at.as_str(), app_route.clone()));
            }
        }
    }
    found
}

/// A path that the pattern matches with these of its segments, and that matches no other's plain text by chance.
fn example(pattern: &Pattern, variant: &[usize]) -> String {
    let anything = |named: &Named| format!("{}~{}", named.prefix, named.suffix);
    let segments = variant.iter().map(|at| match &pattern.segments()[*at] {
        Segment::Literal(text) => text.clone(),
        Segment::Param(named) | Segment::Optional(named) => anything(named),
        Segment::Splat(named) => format!("{}~/~{}", named.prefix, named.suffix),
    });
    let slash = if pattern.has_trailing_slash() { "/" } else { "" };
    let path: String = segments.map(|segment| format!("/{segment}")).collect();
    if path.is_empty() { "/".to_owned() } else { path + slash }
}

#[cfg(test)]
mod tests {
    use remote::announcement::RouteOffer;
    use remote::directory::Listed;

    use super::*;

    fn route(pattern: &str) -> RouteInfo {
        RouteInfo { pattern: pattern.into(), registered_at: "a.rs:1:1".into() }
    }

    #[test]
    fn routes_that_hide_routes_of_the_app_are_found() {
        let routes = vec![route("/threads/$id"), route("/api/time")];
        let app_routes = ["/", "/threads/$thread", "/api/$", "/threads", "/threads/new", "/threads/$id/edit"];
        let app_routes = app_routes.map(String::from);
        let found = shadows(&routes, &app_routes);
        let told = |app_route: &str| ("/threads/$id", "a.rs:1:1", app_route.to_owned());
        // A native route is asked first, also where the app's is the better match.
        assert_eq!(found, [told("/threads/$thread"), told("/threads/new")]);
        let here = Reported { functions: Vec::new(), routes };
        let catalog = Catalog::new(&Offered { here, ..Offered::default() }, &app_routes);
        assert!(catalog.has_route("/threads/7") && catalog.has_route("/api/time"));
        assert!(!catalog.has_route("/threads") && !Catalog::default().has_route("/"));
    }

    #[test]
    fn what_two_machines_have_is_one_entry_and_the_careful_one_counts() {
        let info = |name: &str, idempotent| FunctionInfo {
            name: name.into(),
            idempotent,
            registered_at: "a.rs:1:1".into(),
        };
        let here =
            Reported { functions: vec![info("both", true), info("here", true)], routes: vec![route("/a")] };
        let listed = |idempotent| Listed { idempotent, instances: vec!["x".into()] };
        let offer = |pattern: &str| RouteOffer { pattern: pattern.into(), registered_at: "b.rs:1:1".into() };
        let elsewhere = Listing {
            functions: [("both".to_owned(), listed(false)), ("there".to_owned(), listed(true))].into(),
            routes: vec![offer("/a"), offer("/b/$id")],
            members: 1,
            ..Listing::default()
        };
        let catalog = Catalog::new(&Offered { here, elsewhere, ..Offered::default() }, &[]);
        let both = Found { own: false, here: true, instances: vec!["x".into()], idempotent: false };
        assert_eq!(catalog.function("both"), Some(&both));
        assert!(catalog.is_idempotent("here") && catalog.is_idempotent("there"));
        assert_eq!(catalog.route("/a"), Some((true, Some("/a"))));
        assert_eq!(catalog.route("/b/1"), Some((false, Some("/b/$id"))));
        assert_eq!(catalog.route("/c"), None);
    }

    fn reported(place: &str, names: &[&str], patterns: &[&str]) -> Reported {
        let registered_at = || place.to_owned();
        let function = |name: &&str| FunctionInfo {
            name: (*name).into(),
            idempotent: false,
            registered_at: registered_at(),
        };
        let route = |pattern: &&str| RouteInfo { pattern: (*pattern).into(), registered_at: registered_at() };
        Reported {
            functions: names.iter().map(function).collect(),
            routes: patterns.iter().map(route).collect(),
        }
    }

    #[test]
    fn what_this_process_has_is_told_from_what_its_workers_have() {
        let own = reported("own.rs:1:1", &["a"], &["/a/$id"]);
        let here = reported("worker.rs:1:1", &["b"], &["/b"]);
        assert!(own.clashes_with(&here).is_empty());
        let catalog = Catalog::new(&Offered { own, here, ..Offered::default() }, &[]);
        let found = |name: &str| catalog.function(name).map(|found| (found.own, found.here));
        assert_eq!((found("a"), found("b"), found("c")), (Some((true, true)), Some((false, true)), None));
        assert!(catalog.is_own_route("/a/1") && !catalog.is_own_route("/b") && !catalog.is_own_route("/c"));
        assert_eq!(catalog.route("/a/1"), Some((true, None)));
    }

    #[test]
    fn what_two_places_have_names_both() {
        let own = reported("own.rs:1:1", &["a", "b"], &["/a/$id", "/b"]);
        let theirs = reported("worker.rs:2:2", &["b", "c"], &["/a/$other", "/c"]);
        let clashes = own.clashes_with(&theirs);
        assert_eq!(clashes.len(), 2, "{clashes:?}");
        assert_eq!(clashes[0], "two functions are named `b`: at own.rs:1:1 and at worker.rs:2:2");
        for told in ["`/a/$id` at own.rs:1:1", "`/a/$other` at worker.rs:2:2"] {
            assert!(clashes[1].contains(told), "{clashes:?}");
        }
    }
}
