//! The builder of a worker, and what it tells of wrong registrations.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::available_parallelism;

use serde::de::DeserializeOwned;
use shared::setup::{FormLimits, ValueLimits};
use tokio_util::task::TaskTracker;

use crate::blocking::BlockingPool;
use crate::context::Services;
use crate::function::{Function, Registered};
use crate::handler::{StateType, States};
use crate::process;
use crate::registration::{MAX_NAME_BYTES, RegistrationError, RegistrationProblem, StateError};
use crate::registry::Registry;
use crate::route::{Registration, Routes};
use crate::router::Router;
use crate::seroval::Limits;
use crate::typescript::{Declarations, NameClash};

/// Calls that one function actor runs at a time, unless [`Worker::concurrency`] says otherwise.
const DEFAULT_CONCURRENCY: usize = 64;

/// A process of functions, being put together.
pub struct Worker {
    states: States,
    openings: Vec<Opening>,
    functions: Vec<Arc<dyn Registered>>,
    routes: Vec<Registration>,
    problems: Vec<RegistrationProblem>,
    concurrency: usize,
    blocking_threads: usize,
}

/// A state that is made when the process starts.
struct Opening {
    state: StateType,
    open: Open,
}

type Open = Box<dyn FnOnce(&mut States) -> Result<(), StateError>>;

/// What was registered and fits together.
struct Assembled {
    states: States,
    openings: Vec<Opening>,
    functions: HashMap<&'static str, Arc<dyn Registered>>,
    router: Router,
    blocking_threads: usize,
}

impl Default for Worker {
    fn default() -> Self {
        Self::new()
    }
}

impl Worker {
    /// A worker without functions.
    pub fn new() -> Self {
        Self {
            states: States::default(),
            openings: Vec::new(),
            functions: Vec::new(),
            routes: Vec::new(),
            problems: Vec::new(),
            concurrency: DEFAULT_CONCURRENCY,
            blocking_threads: available_parallelism().map_or(1, usize::from),
        }
    }

    /// Adds something that handlers take as [`crate::State`], by its type; each type once.
    #[must_use]
    pub fn state<T: Send + Sync + 'static>(mut self, state: Arc<T>) -> Self {
        self.claim(StateType::of::<T>());
        self.states.insert(state);
        self
    }

    /// Adds a state that is made when the process starts to answer calls, and not for `--emit-types`: a database that
    /// the build of the app does not have. What fails here stops the start.
    #[must_use]
    pub fn open_state<T, E>(mut self, open: impl FnOnce() -> Result<T, E> + 'static) -> Self
    where
        T: Send + Sync + 'static,
        E: Into<StateError>,
    {
        let state = StateType::of::<T>();
        self.claim(state);
        let open: Open = Box::new(move |states| {
            states.insert(Arc::new(open().map_err(Into::into)?));
            Ok(())
        });
        self.openings.push(Opening { state, open });
        self
    }

    fn claim(&mut self, state: StateType) {
        if self.states.holds(state) || self.openings.iter().any(|opening| opening.state == state) {
            self.problems.push(RegistrationProblem::DuplicateState { state });
        }
    }

    /// Adds a function; each name once.
    #[must_use]
    pub fn function<Input: DeserializeOwned + 'static>(mut self, function: Function<Input>) -> Self {
        self.functions.push(Arc::new(function));
        self
    }

    /// Adds a route or a group of them; each path and method once.
    #[must_use]
    pub fn routes(mut self, routes: impl Routes) -> Self {
        routes.register(&mut self.routes);
        self
    }

    /// How many calls each function actor runs at a time; more wait in its mailbox. Default 64.
    #[must_use]
    pub fn concurrency(mut self, calls: usize) -> Self {
        self.concurrency = calls.max(1);
        self
    }

    /// Threads for [`crate::Context::blocking`]. Default: one for each core.
    #[must_use]
    pub fn blocking_threads(mut self, threads: usize) -> Self {
        self.blocking_threads = threads.max(1);
        self
    }

    pub(crate) fn calls_at_a_time(&self) -> usize {
        self.concurrency
    }

    /// Checks what was registered, and makes the states.
    ///
    /// # Errors
    /// All wrong registrations together; a state that cannot be made; or that the pool's threads cannot be started.
    pub fn build(self) -> Result<Registry, RegistrationError> {
        self.build_within(FormLimits::default(), ValueLimits::default())
    }

    /// As [`Worker::build`], with the limits of the gateway's configuration.
    pub(crate) fn build_within(
        self,
        form_limits: FormLimits,
        values: ValueLimits,
    ) -> Result<Registry, RegistrationError> {
        let Assembled { mut states, openings, functions, router, blocking_threads } = self.assemble()?;
        for Opening { state, open } in openings {
            open(&mut states).map_err(|source| RegistrationError::State { state, source })?;
        }
        let blocking = BlockingPool::start(blocking_threads)?;
        let services = Services {
            functions,
            states,
            blocking,
            form_limits,
            value_limits: limits(values),
            background: TaskTracker::new(),
        };
        Ok(Registry::new(router, Arc::new(services)))
    }

    /// The functions' types as a module of TypeScript, which `program` says that it has written.
    ///
    /// # Errors
    /// All wrong registrations together, or all types that have one name.
    pub fn typescript(self, program: &str) -> Result<String, RegistrationError> {
        let Assembled { functions, router, .. } = self.assemble()?;
        let routes: Vec<_> = router.methods().collect();
        let mut declarations = Declarations::new();
        let mut signatures: Vec<_> = functions.values().map(|function| function.signature()).collect();
        signatures.sort_unstable_by_key(|signature| signature.name);
        let interfaces: Vec<_> = signatures
            .into_iter()
            .filter_map(|signature| {
                let interface = signature.interface?(&mut declarations);
                Some((signature.name, signature.method, interface))
            })
            .collect();
        let clash = |NameClash { name, first, second }| RegistrationProblem::TypeName { name, first, second };
        declarations
            .into_module(program, &interfaces, &routes)
            .map_err(|clashes| RegistrationError::Problems(clashes.into_iter().map(clash).collect()))
    }

    fn assemble(self) -> Result<Assembled, RegistrationError> {
        let Self { states, openings, functions, routes, mut problems, blocking_threads, .. } = self;
        let is_known =
            |state: StateType| states.holds(state) || openings.iter().any(|opening| opening.state == state);
        let mut by_name: HashMap<&'static str, Arc<dyn Registered>> = HashMap::new();
        for function in functions {
            let signature = function.signature();
            let (name, at) = (signature.name, signature.registered_at);
            if !is_name(name) {
                problems.push(RegistrationProblem::Name { name, at });
            }
            let missing = signature.needs.iter().filter(|state| !is_known(**state));
            problems.extend(missing.map(|&state| RegistrationProblem::MissingState { name, at, state }));
            if let Some(first) = by_name.get(name) {
                let first = first.signature().registered_at;
                problems.push(RegistrationProblem::DuplicateName { name, first, second: at });
                continue;
            }
            by_name.insert(name, function);
        }
        let router = Router::new(routes, &mut problems);
        for handler in router.handlers() {
            let signature = handler.signature();
            let (name, at) = (signature.name, signature.registered_at);
            let missing = signature.needs.iter().filter(|state| !is_known(**state));
            problems.extend(missing.map(|&state| RegistrationProblem::MissingState { name, at, state }));
        }
        if !problems.is_empty() {
            return Err(RegistrationError::Problems(problems));
        }
        Ok(Assembled { states, openings, functions: by_name, router, blocking_threads })
    }

    /// Runs the worker: takes over the sockets that the gateway passed in the arguments, answers calls until the
    /// gateway says to drain or goes away. The value is for `main` to return: 0 after a drain or when the
    /// gateway is gone, 64 when the process was not started by a gateway, 65 when a registration is wrong, 70
    /// when the process itself failed. With `--emit-types` it prints the functions' types instead.
    pub fn run(self) -> ExitCode {
        self.run_with(std::env::args().skip(1))
    }

    /// Whether a program's first argument asks for something that a worker does without a gateway, and that
    /// [`Worker::run_with`] does: its types for the app's build, or to answer `vite dev`.
    pub fn is_asked_alone(first: Option<impl AsRef<OsStr>>) -> bool {
        first.is_some_and(|first| process::is_asked_alone(first.as_ref()))
    }

    /// As [`Worker::run`], for a binary that reads arguments of its own first.
    pub fn run_with(self, args: impl IntoIterator<Item = String>) -> ExitCode {
        process::run(self, args)
    }
}

/// What the configuration says of values, for their reader.
fn limits(values: ValueLimits) -> Limits {
    let default = Limits::default();
    let parts = values.max_nodes as usize;
    Limits {
        depth: values.max_depth as usize,
        parts,
        references: values.max_references as usize,
        expanded_bytes: usize::try_from(values.max_bytes).unwrap_or(usize::MAX),
        expanded_values: parts.min(default.expanded_values),
        ..default
    }
}

/// Letters, digits, `.`, `_` and `-`: what needs no escaping in a URL, a file name or TypeScript's quotes.
fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !name.is_empty() && name.len() <= MAX_NAME_BYTES && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::FunctionError;
    use crate::handler::State;
    use crate::route::{Route, RouteGroup};

    async fn nothing(_: ()) -> Result<(), FunctionError> {
        Ok(())
    }

    async fn with_state(_: (), _: State<String>) -> Result<(), FunctionError> {
        Ok(())
    }

    #[test]
    fn two_routes_for_one_path_and_method_name_both_places() {
        let error = Worker::new()
            .routes(Route::new("/a/$id").get(nothing))
            .routes(RouteGroup::new("/_group").route(Route::new("/a/$id").get(nothing).post(nothing)))
            .routes(Route::new("/a/$other").get(nothing))
            .routes(Route::new("/a/{").get(nothing))
            .routes(Route::new("/b").get(with_state))
            .build()
            .unwrap_err()
            .to_string();
        for told in [
            "GET /a/$id is answered twice: at",
            "the route `/a/$other` at",
            "and the route `/a/$id` at",
            "match the same paths",
            "the function `/b` at",
        ] {
            assert!(error.contains(told), "{told} is not in: {error}");
        }
        assert!(!error.contains("POST"), "{error}");
    }

    #[test]
    fn all_wrong_registrations_are_told_at_once() {
        let first_line = line!() + 2;
        let error = Worker::new()
            .function(Function::read("twice", nothing))
            .function(Function::write("twice", nothing))
            .function(Function::read("no spaces", nothing))
            .function(Function::read("needy", with_state))
            .state(Arc::new(1))
            .state(Arc::new(2))
            .build()
            .unwrap_err()
            .to_string();
        let second_line = first_line + 1;
        for told in [
            "two functions are named `twice`",
            &format!("{}:{first_line}:", file!()),
            &format!("{}:{second_line}:", file!()),
            "`no spaces`: use 1 to 128 letters",
            "`needy`",
            "State of `alloc::string::String`, which is not registered",
            "two states have the type `i32`",
        ] {
            assert!(error.contains(told), "{told} is not in: {error}");
        }
    }
}
