//! One function: its name, its handler, what must hold of its input, and its limits.

use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::ready;
use serde::de::DeserializeOwned;
use shared::message::MAX_CALL_BYTES;
use shared::message::control::Refusal;
use tokio::sync::Semaphore;
use ts_rs::TS;

use crate::answer::IntoAnswer;
use crate::context::Context;
use crate::error::{FunctionError, Invalid};
use crate::form::FormLimits;
use crate::handler::{Handler, StateType};
use crate::middleware::{Answering, Chain, Middleware, Next};
use crate::refusals;
use crate::typescript::{Declarations, Interface};

/// Whether a function reads or writes, in HTTP's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// GET: changes nothing, may be retried.
    Read,
    /// POST.
    Write,
}

impl Method {
    /// Its name in HTTP.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "GET",
            Self::Write => "POST",
        }
    }
}

impl Signature {
    /// The longest input that is no form, in bytes.
    pub(crate) fn body_limit(&self) -> usize {
        self.body_limit.unwrap_or(MAX_CALL_BYTES)
    }

    /// What forms may hold, where the process has `defaults`.
    pub(crate) fn form_limits(&self, defaults: &FormLimits) -> FormLimits {
        let limits = self.forms.unwrap_or(*defaults);
        match self.body_limit {
            Some(bytes) => FormLimits { max_bytes: limits.max_bytes.min(bytes as u64), ..limits },
            None => limits,
        }
    }
}

type Validator<Input> = Box<dyn Fn(&Input) -> Result<(), Invalid> + Send + Sync>;
type Start<Input> = Box<dyn Fn(Input, &Context) -> Result<Answering, FunctionError> + Send + Sync>;

/// A function to register with [`crate::Worker::function`].
pub struct Function<Input> {
    signature: Signature,
    validators: Vec<Validator<Input>>,
    middleware: Vec<Arc<dyn Middleware>>,
    start: Start<Input>,
    slots: Option<Arc<Semaphore>>,
}

/// What is known of a function without its types.
pub(crate) struct Signature {
    pub(crate) name: &'static str,
    pub(crate) method: Method,
    pub(crate) needs: Vec<StateType>,
    /// Bytes; `None` where the function does not say.
    pub(crate) body_limit: Option<usize>,
    pub(crate) forms: Option<FormLimits>,
    pub(crate) deadline: Option<Duration>,
    pub(crate) idempotent: bool,
    /// Its types in TypeScript; an endpoint of a route has none.
    pub(crate) interface: Option<fn(&mut Declarations) -> Interface>,
    pub(crate) registered_at: &'static Location<'static>,
}

impl<Input: DeserializeOwned + 'static> Function<Input> {
    /// A function that reads: GET.
    #[track_caller]
    pub fn read<H, Injected>(name: &'static str, handler: H) -> Self
    where
        Input: TS,
        H: Handler<Input, Injected, Output: TS + 'static>,
    {
        Self::with_method(Method::Read, name, handler).typed::<H::Output>()
    }

    /// A function that writes, or whose input is too long for a URL: POST.
    #[track_caller]
    pub fn write<H, Injected>(name: &'static str, handler: H) -> Self
    where
        Input: TS,
        H: Handler<Input, Injected, Output: TS + 'static>,
    {
        Self::with_method(Method::Write, name, handler).typed::<H::Output>()
    }

    fn typed<Output: TS + 'static>(mut self) -> Self
    where
        Input: TS,
    {
        self.signature.interface = Some(Declarations::interface::<Input, Output>);
        self
    }

    /// What answers a method of a [`crate::Route`]; its input are the path's parameters.
    #[track_caller]
    pub fn endpoint<Injected>(handler: impl Handler<Input, Injected>) -> Self {
        Self::with_method(Method::Write, "", handler)
    }

    /// The same at a route's path, inside of the route's middleware.
    pub(crate) fn at(mut self, path: &'static str, outer: Vec<Arc<dyn Middleware>>) -> Arc<dyn Registered> {
        self.signature.name = path;
        let own = std::mem::replace(&mut self.middleware, outer);
        self.middleware.extend(own);
        Arc::new(self)
    }

    #[track_caller]
    fn with_method<H, Injected>(method: Method, name: &'static str, handler: H) -> Self
    where
        H: Handler<Input, Injected>,
    {
        let signature = Signature {
            name,
            method,
            needs: H::needs(),
            body_limit: None,
            forms: None,
            deadline: None,
            idempotent: method == Method::Read,
            interface: None,
            registered_at: Location::caller(),
        };
        let start: Start<Input> = Box::new(move |input, context| {
            let running = handler.start(input, context)?;
            Ok(running.map(|output| output.map(IntoAnswer::into_answer)).boxed_local())
        });
        Self { signature, validators: Vec::new(), middleware: Vec::new(), start, slots: None }
    }

    /// Checks the input before the handler runs; what is found answers 422 with the fields' names. Several
    /// validators all run and report together. What `garde` finds is reported as it is:
    /// `.validate(Validate::validate)`.
    #[must_use]
    pub fn validate<E: Into<Invalid>>(
        mut self,
        validator: impl Fn(&Input) -> Result<(), E> + Send + Sync + 'static,
    ) -> Self {
        self.validators.push(Box::new(move |input| validator(input).map_err(Into::into)));
        self
    }

    /// Adds middleware; what is added first is the outermost. It runs before the input is read and validated.
    #[must_use]
    pub fn middleware(mut self, middleware: impl Middleware) -> Self {
        self.middleware.push(Arc::new(middleware));
        self
    }

    /// The longest input in bytes; a longer one answers 413. Default and, for calls that come from an isolate,
    /// maximum: [`MAX_CALL_BYTES`]; for forms what [`Function::form_limits`] says.
    #[must_use]
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.signature.body_limit = Some(bytes);
        self
    }

    /// What a form may hold; more answers 413. Default: what the gateway's configuration says (`form_limit` and the
    /// like). [`Function::body_limit`] bounds the whole of it as well.
    #[must_use]
    pub fn form_limits(mut self, limits: FormLimits) -> Self {
        self.signature.forms = Some(limits);
        self
    }

    /// The most calls of this function that run at a time in one process; more are answered with 503 at once.
    /// Default: no limit of its own.
    #[must_use]
    pub fn concurrency(mut self, calls: usize) -> Self {
        self.slots = Some(Arc::new(Semaphore::new(calls)));
        self
    }

    /// Running it twice is as good as once: a call whose worker dies is sent to another, once. Default for
    /// functions that read.
    #[must_use]
    pub fn idempotent(mut self) -> Self {
        self.signature.idempotent = true;
        self
    }

    /// The longest time that a call may take; the caller sees 504 then, or earlier when its own deadline is
    /// nearer. Default: the caller's deadline alone.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.signature.deadline = Some(deadline);
        self
    }
}

/// A function without its types.
pub(crate) trait Registered: Send + Sync {
    fn signature(&self) -> &Signature;

    fn call(self: Arc<Self>, context: Context) -> Answering;
}

impl<Input: DeserializeOwned + 'static> Registered for Function<Input> {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn call(self: Arc<Self>, context: Context) -> Answering {
        let slot = match self.slots.clone().map(Semaphore::try_acquire_owned).transpose() {
            Ok(slot) => slot,
            Err(_) => return ready(Err(FunctionError::new(503, "the function is busy"))).boxed_local(),
        };
        let answering = if self.middleware.is_empty() {
            self.begin(&context)
        } else {
            let chain: Chain = self.middleware.clone().into();
            Next::new(chain, move |context| self.begin(&context)).run(context).boxed_local()
        };
        match slot {
            None => answering,
            Some(slot) => answering.map(move |answer| (drop(slot), answer).1).boxed_local(),
        }
    }
}

impl<Input: DeserializeOwned + 'static> Function<Input> {
    fn begin(&self, context: &Context) -> Answering {
        let started = self.accept(context).and_then(|input| (self.start)(input, context));
        started.unwrap_or_else(|error| ready(Err(error)).boxed_local())
    }

    fn accept(&self, context: &Context) -> Result<Input, FunctionError> {
        let (given, limit) = (context.payload().len(), self.signature.body_limit());
        if given > limit {
            let message = format!("the input has {given} bytes, the limit is {limit}");
            return Err(refusals::refuse(Refusal::InputBytes, message));
        }
        let input = context.payload().read_input(context.value_limits())?;
        let faults = self.validators.iter().filter_map(|validate| validate(&input).err());
        match faults.fold(None, |found, more| Some(Invalid::merge(found, more))) {
            Some(invalid) => Err(invalid.into()),
            None => Ok(input),
        }
    }
}
