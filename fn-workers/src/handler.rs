//! Which async functions are handlers: those that take the input first, then up to four things of the process
//! or of the call ([`State`], [`Context`]), and return `Result<Output, FunctionError>`.

use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::answer::IntoAnswer;
use crate::context::Context;
use crate::error::FunctionError;
use crate::exchange::RequestBody;

/// An async function that answers calls. `Injected` lists what it takes beside its input.
pub trait Handler<Input, Injected>: Send + Sync + 'static {
    /// What the function answers with.
    type Output: IntoAnswer;

    /// The running function. It stays on its arbiter's thread and may hold what is not `Send`.
    type Running: Future<Output = Result<Self::Output, FunctionError>> + 'static;

    /// The state that this function needs, so that a missing one is found at start.
    fn needs() -> Vec<StateType>;

    /// Starts the function.
    ///
    /// # Errors
    /// When something that it takes is not there.
    fn start(&self, input: Input, context: &Context) -> Result<Self::Running, FunctionError>;
}

/// What a handler may take beside its input.
pub trait Inject: Sized {
    /// The state that must have been registered for it.
    fn needs() -> Option<StateType>;

    /// Takes it for one call.
    ///
    /// # Errors
    /// When it is not there.
    fn inject(context: &Context) -> Result<Self, FunctionError>;
}

macro_rules! handler {
    ($($injected:ident),*) => {
        impl<Function, Running, Input, Output, $($injected,)*> Handler<Input, ($($injected,)*)> for Function
        where
            Function: Fn(Input, $($injected),*) -> Running + Send + Sync + 'static,
            Running: Future<Output = Result<Output, FunctionError>> + 'static,
            Output: IntoAnswer,
            $($injected: Inject,)*
        {
            type Output = Output;
            type Running = Running;

            fn needs() -> Vec<StateType> {
                let needs: [Option<StateType>; _] = [$($injected::needs()),*];
                needs.into_iter().flatten().collect()
            }

            fn start(&self, input: Input, _context: &Context) -> Result<Running, FunctionError> {
                Ok(self(input, $($injected::inject(_context)?),*))
            }
        }
    };
}

handler!();
handler!(A);
handler!(A, B);
handler!(A, B, C);
handler!(A, B, C, D);

/// Something that lives as long as the process, such as a database pool: injected by its type.
pub struct State<T>(Arc<T>);

impl<T> State<T> {
    /// Shares it beyond the call.
    pub fn into_inner(self) -> Arc<T> {
        self.0
    }
}

impl<T> Clone for State<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for State<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Send + Sync + 'static> Inject for State<T> {
    fn needs() -> Option<StateType> {
        Some(StateType::of::<T>())
    }

    fn inject(context: &Context) -> Result<Self, FunctionError> {
        let missing = || FunctionError::internal(format!("no state {} is registered", StateType::of::<T>()));
        context.states().get::<T>().map(State).ok_or_else(missing)
    }
}

/// What middleware has handed on with [`Context::add`], by its type. A call to which nothing of the type was added
/// fails with 500: the function lacks the middleware.
pub struct Added<T>(Arc<T>);

impl<T> Deref for Added<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Send + Sync + 'static> Inject for Added<T> {
    fn needs() -> Option<StateType> {
        None
    }

    fn inject(context: &Context) -> Result<Self, FunctionError> {
        let missing = || {
            let name = type_name::<T>();
            FunctionError::internal(format!("no middleware has added `{name}` to the call"))
        };
        context.added().map(Added).ok_or_else(missing)
    }
}

/// The body of a route's request, as it comes. For functions, whose input it is, there is none: the call fails
/// with 500.
impl Inject for RequestBody {
    fn needs() -> Option<StateType> {
        None
    }

    fn inject(context: &Context) -> Result<Self, FunctionError> {
        context.take_body().ok_or_else(|| FunctionError::internal("the request's body is not there any more"))
    }
}

impl Inject for Context {
    fn needs() -> Option<StateType> {
        None
    }

    fn inject(context: &Context) -> Result<Self, FunctionError> {
        Ok(context.clone())
    }
}

/// The type of a registered state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateType {
    id: TypeId,
    name: &'static str,
}

impl StateType {
    /// The type `T`.
    pub fn of<T: 'static>() -> Self {
        Self { id: TypeId::of::<T>(), name: type_name::<T>() }
    }
}

impl fmt::Display for StateType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.name)
    }
}

/// All registered states of a process.
#[derive(Default)]
pub(crate) struct States {
    by_type: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
}

impl States {
    pub(crate) fn insert<T: Send + Sync + 'static>(&mut self, state: Arc<T>) {
        self.by_type.insert(TypeId::of::<T>(), state);
    }

    pub(crate) fn holds(&self, state: StateType) -> bool {
        self.by_type.contains_key(&state.id)
    }

    fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let state = Arc::clone(self.by_type.get(&TypeId::of::<T>())?);
        state.downcast().ok()
    }
}
