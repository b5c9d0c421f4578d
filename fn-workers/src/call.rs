//! Functions that call others, of their process or of another one.

use std::sync::{Arc, Mutex};

use serde::Serialize;
use serde::de::DeserializeOwned;
use shared::message::MAX_CALL_DEPTH;
use tokio::time::Instant;

use crate::answer::{Answer, Kind, Value};
use crate::context::{Additions, CallInfo, Context};
use crate::error::FunctionError;
use crate::input::Payload;
use crate::seroval::{self, Form, Writer};

/// The longest input and answer of such a call, in bytes.
const MAX_VALUE_BYTES: usize = 16 << 20;

impl Context {
    /// Calls another function with its middleware, validators and limits: one of this process where it has it, else
    /// one that any worker has which the gateway knows. The call ends when this one does: it has the same request, what
    /// is left of the deadline, and is cancelled together. Fields and cookies that it sets go out with this call's
    /// response; what middleware has added to this call is not handed on.
    ///
    /// # Errors
    /// What the function failed with, a redirect or not-found among it; 404 when there is none of this name; 504 when
    /// the deadline has passed; 500 when it answers with a response or a stream, when its answer is of another type,
    /// and when functions call each other too deep. Of a function of another process moreover 413 when the input has
    /// more than [`shared::message::MAX_CALL_BYTES`] bytes, 502 when its worker is lost, and 503 when no worker takes
    /// the call, when 64 calls are open, and when this call has ended, as it has for a task of [`Context::wait_until`].
    pub async fn call<Output: DeserializeOwned>(
        &self,
        name: &str,
        input: &impl Serialize,
    ) -> Result<Output, FunctionError> {
        let call = self.info();
        if call.depth >= MAX_CALL_DEPTH {
            let message =
                format!("`{name}` is called at the end of {MAX_CALL_DEPTH} functions that call each other");
            return Err(FunctionError::internal(message));
        }
        let input = document(input)?;
        let Some(function) = self.services().functions.get(name) else {
            return self.call_elsewhere(name, &input).await;
        };
        let signature = function.signature();
        let own = signature.deadline.map(|deadline| Instant::now() + deadline);
        let deadline = own.map_or(call.deadline, |own| own.min(call.deadline));
        let inner = CallInfo {
            function: signature.name,
            caller: call.caller,
            request_id: call.request_id.clone(),
            deadline,
            cancellation: call.cancellation.child_token(),
            request: call.request.clone(),
            form_limits: signature.form_limits(&self.services().form_limits),
            sent: Payload::Serialized(input.into()),
            added: Additions::default(),
            body: Mutex::new(None),
            depth: call.depth + 1,
            outward: call.outward.clone(),
        };
        let context = Context::new(inner, Arc::clone(self.services()));
        let running = Arc::clone(function).call(context.clone());
        let late = |_| FunctionError::new(504, format!("`{name}` did not answer in time"));
        let answer = tokio::time::timeout_at(deadline, running).await.map_err(late)?;
        for (field, value) in context.take_beside().fields {
            self.add_header(field, value);
        }
        read(answer?, name)
    }
}

/// A value as seroval's document.
fn document(value: &impl Serialize) -> Result<Vec<u8>, FunctionError> {
    let mut writer = Writer::new(MAX_VALUE_BYTES);
    writer.raw(r#"{"t":"#);
    value.write(&mut writer)?;
    writer.raw(r#","f":0,"m":[]}"#);
    Ok(writer.into_bytes())
}

fn read<Output: DeserializeOwned>(answer: Answer, name: &str) -> Result<Output, FunctionError> {
    let Kind::Value(value) = answer.0 else {
        return Err(FunctionError::internal(format!("`{name}` answers with more than a value")));
    };
    let mut writer = Writer::new(MAX_VALUE_BYTES);
    value.write(&mut writer)?;
    Ok(seroval::from_slice(&writer.into_bytes(), Form::Cross, &seroval::Limits::default())?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use shared::message::{Caller, NativeCall, Outcome};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::function::Function;
    use crate::seroval::Date;
    use crate::worker::Worker;

    async fn next_day(date: Date) -> Result<Date, FunctionError> {
        Ok(Date::from_millis(date.millis().unwrap_or_default() + 86_400_000))
    }

    async fn in_two_days(date: Date, context: Context) -> Result<Date, FunctionError> {
        let next: Date = context.call("next_day", &date).await?;
        context.call("next_day", &next).await
    }

    async fn forever(_: (), context: Context) -> Result<(), FunctionError> {
        context.call("forever", &()).await
    }

    async fn sleep(_: ()) -> Result<(), FunctionError> {
        std::future::pending().await
    }

    async fn waits(name: String, context: Context) -> Result<(), FunctionError> {
        context.call(&name, &()).await
    }

    async fn fails(_: ()) -> Result<(), FunctionError> {
        Err(FunctionError::new(409, "somebody was quicker"))
    }

    async fn outcome(name: &str, input: &str) -> Outcome {
        let registry = Worker::new()
            .blocking_threads(1)
            .function(Function::read("next_day", next_day))
            .function(Function::read("in_two_days", in_two_days))
            .function(Function::read("forever", forever))
            .function(Function::read("sleep", sleep).deadline(Duration::from_millis(10)))
            .function(Function::read("fails", fails))
            .function(Function::read("waits", waits))
            .build()
            .unwrap();
        let call = NativeCall {
            name: name.into(),
            caller: Caller::Client,
            deadline_ms: 60_000,
            request_id: "r".into(),
            head: bytes::Bytes::new(),
            input: input.to_owned().into(),
        };
        let deadline = Instant::now() + Duration::from_secs(60);
        registry.call(call, None, deadline, CancellationToken::new(), None).await.unwrap()
    }

    #[tokio::test]
    async fn values_keep_their_types_from_function_to_function() {
        let date = outcome("in_two_days", "\"1970-01-01T00:00:00.000Z\"").await;
        assert_eq!(date, Outcome::Value("\"1970-01-03T00:00:00.000Z\"".into()));
    }

    #[tokio::test]
    async fn what_goes_wrong_further_in_is_told_further_out() {
        let failed = |status, message: &str| Outcome::failed(status, message.to_owned());
        assert_eq!(outcome("waits", "\"fails\"").await, failed(409, "somebody was quicker"));
        assert_eq!(outcome("waits", "\"none\"").await, failed(404, "there is no native function `none`"));
        assert_eq!(outcome("waits", "\"sleep\"").await, failed(504, "`sleep` did not answer in time"));
        assert_eq!(outcome("forever", "null").await, failed(500, "the function failed"));
    }
}
