//! One function: its name, its handler, what must hold of its input, and its limits.

use std::io::{self, Write};
use std::panic::Location;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, ready};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use shared::message::MAX_CALL_BYTES;

use crate::context::Context;
use crate::error::{FunctionError, Invalid};
use crate::handler::{Handler, StateType};

/// Whether a function reads or writes, in HTTP's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// GET: changes nothing, may be retried.
    Read,
    /// POST.
    Write,
}

type Validator<Input> = Box<dyn Fn(&Input) -> Result<(), Invalid> + Send + Sync>;
type Start<Input> = Box<
    dyn Fn(Input, &Context) -> Result<LocalBoxFuture<'static, Result<Bytes, FunctionError>>, FunctionError>
        + Send
        + Sync,
>;

/// A function to register with [`crate::Worker::function`].
pub struct Function<Input> {
    signature: Signature,
    validators: Vec<Validator<Input>>,
    start: Start<Input>,
}

/// What is known of a function without its types.
pub(crate) struct Signature {
    pub(crate) name: &'static str,
    pub(crate) method: Method,
    pub(crate) needs: Vec<StateType>,
    pub(crate) body_limit: usize,
    pub(crate) deadline: Option<Duration>,
    pub(crate) registered_at: &'static Location<'static>,
}

impl<Input: DeserializeOwned + 'static> Function<Input> {
    /// A function that reads: GET.
    #[track_caller]
    pub fn read<Injected>(name: &'static str, handler: impl Handler<Input, Injected>) -> Self {
        Self::with_method(Method::Read, name, handler)
    }

    /// A function that writes, or whose input is too long for a URL: POST.
    #[track_caller]
    pub fn write<Injected>(name: &'static str, handler: impl Handler<Input, Injected>) -> Self {
        Self::with_method(Method::Write, name, handler)
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
            body_limit: MAX_CALL_BYTES,
            deadline: None,
            registered_at: Location::caller(),
        };
        let start: Start<Input> = Box::new(move |input, context| {
            let running = handler.start(input, context)?;
            Ok(async move { write_output(&running.await?) }.boxed_local())
        });
        Self { signature, validators: Vec::new(), start }
    }

    /// Checks the input before the handler runs; what is found answers 422 with the fields' names. Several
    /// validators all run and report together.
    #[must_use]
    pub fn validate(
        mut self,
        validator: impl Fn(&Input) -> Result<(), Invalid> + Send + Sync + 'static,
    ) -> Self {
        self.validators.push(Box::new(validator));
        self
    }

    /// The longest input in bytes of JSON; a longer one answers 413. Default and maximum:
    /// [`MAX_CALL_BYTES`].
    #[must_use]
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.signature.body_limit = bytes.min(MAX_CALL_BYTES);
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

/// A function without its types: JSON in, JSON out.
pub(crate) trait Registered: Send + Sync {
    fn signature(&self) -> &Signature;

    fn call(&self, input: &Bytes, context: &Context)
    -> LocalBoxFuture<'static, Result<Bytes, FunctionError>>;
}

impl<Input: DeserializeOwned + 'static> Registered for Function<Input> {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn call(
        &self,
        input: &Bytes,
        context: &Context,
    ) -> LocalBoxFuture<'static, Result<Bytes, FunctionError>> {
        let started = self.accept(input).and_then(|input| (self.start)(input, context));
        started.unwrap_or_else(|error| ready(Err(error)).boxed_local())
    }
}

impl<Input: DeserializeOwned + 'static> Function<Input> {
    fn accept(&self, input: &[u8]) -> Result<Input, FunctionError> {
        let limit = self.signature.body_limit;
        if input.len() > limit {
            let message = format!("the input has {} bytes, the limit is {limit}", input.len());
            return Err(FunctionError::new(413, message));
        }
        let input = read_input(input)?;
        let faults = self.validators.iter().filter_map(|validate| validate(&input).err());
        match faults.fold(None, |found, more| Some(Invalid::merge(found, more))) {
            Some(invalid) => Err(invalid.into()),
            None => Ok(input),
        }
    }
}

/// Reads an input. An absent one (nothing, or `null`) is `null` for types that take it, else an object without
/// fields: `callNative()` and `callNative({})` are one call.
fn read_input<Input: DeserializeOwned>(input: &[u8]) -> Result<Input, FunctionError> {
    let trimmed = input.trim_ascii();
    if trimmed.is_empty() || trimmed == b"null" {
        return serde_json::from_slice(b"null").or_else(|_| parse(b"{}"));
    }
    parse(input)
}

fn parse<Input: DeserializeOwned>(input: &[u8]) -> Result<Input, FunctionError> {
    let mut json = serde_json::Deserializer::from_slice(input);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        describe(error.inner(), Some(path).filter(|path| path != "."))
    })?;
    json.end().map_err(|error| describe(&error, None))?;
    Ok(value)
}

fn describe(error: &serde_json::Error, path: Option<String>) -> FunctionError {
    match error.classify() {
        Category::Data => Invalid::field(path.unwrap_or_else(|| "input".into()), error.to_string()).into(),
        Category::Syntax | Category::Eof | Category::Io => {
            FunctionError::bad_request(format!("the input is no JSON: {error}"))
        }
    }
}

fn write_output(output: &impl Serialize) -> Result<Bytes, FunctionError> {
    let mut json = Limited { bytes: Vec::with_capacity(256) };
    serde_json::to_writer(&mut json, output)?;
    Ok(json.bytes.into())
}

/// Takes no more than a reply may carry, so that an output beyond it is refused before it is allocated.
struct Limited {
    bytes: Vec<u8>,
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > MAX_CALL_BYTES {
            return Err(io::Error::other(format!("the output is longer than {MAX_CALL_BYTES} bytes")));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
