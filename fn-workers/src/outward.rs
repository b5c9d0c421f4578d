//! Calls of functions that this process does not have: they go back over the link by which the caller's own call came,
//! and the gateway at its other end finds a worker that has them.

use std::sync::atomic::{AtomicU32, Ordering};

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{HeaderName, HeaderValue};
use serde::de::DeserializeOwned;
use shared::frame::MAX_FRAME_BYTES;
use shared::head::ResponseHead;
use shared::message::{AnswerKind, Caller, MAX_CALL_BYTES, NativeCall, Outcome};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use crate::context::Context;
use crate::error::FunctionError;
use crate::exchange::Said;
use crate::json;
use crate::redirect::{NotFound, Redirect};
use crate::seroval::{self, Form, Limits};

/// The calls that one call may have open elsewhere at a time; more are answered with 503.
pub(crate) const MAX_ASKED: usize = 64;

/// What a frame holds beside names, head and input.
const FRAME_ROOM: usize = 1024;

/// The way out for what a call calls elsewhere.
#[derive(Debug, Clone)]
pub(crate) struct Outward {
    id: u64,
    said: mpsc::Sender<(u64, Said)>,
}

/// A call on its way out.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) number: u32,
    pub(crate) call: NativeCall,
    pub(crate) answer: oneshot::Sender<Outcome>,
}

impl Outward {
    /// The way out of the call or request `id` of a link.
    pub(crate) fn new(id: u64, said: mpsc::Sender<(u64, Said)>) -> Self {
        Self { id, said }
    }

    /// Makes a call; dropping the future withdraws it.
    async fn ask(&self, call: NativeCall) -> Outcome {
        static NUMBERS: AtomicU32 = AtomicU32::new(0);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let (answer, outcome) = oneshot::channel();
        let asked = Box::new(Asked { number, call, answer });
        let mut open = Open { outward: self, number, is_open: true };
        // The link has ended, and the call that this one belongs to with it: the answer's channel ends too.
        let _ = self.said.send((self.id, Said::Calls(asked))).await;
        let outcome = outcome.await;
        open.is_open = false;
        outcome.unwrap_or_else(|_| Outcome::failed(503, "the call that this one belongs to has ended"))
    }
}

/// A call that nobody has answered yet.
struct Open<'o> {
    outward: &'o Outward,
    number: u32,
    is_open: bool,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if !self.is_open {
            return;
        }
        let withdrawn = (self.outward.id, Said::Withdraws(self.number));
        let Err(mpsc::error::TrySendError::Full(withdrawn)) = self.outward.said.try_send(withdrawn) else {
            return;
        };
        // Without a runtime the process ends, and what it asked for with it.
        if let Ok(runtime) = Handle::try_current() {
            let said = self.outward.said.clone();
            runtime.spawn(async move {
                let _ = said.send(withdrawn).await;
            });
        }
    }
}

impl Context {
    /// Calls a function that this process does not have; `document` is its input as seroval's document.
    ///
    /// # Errors
    /// 404 where there is no gateway to ask, and those of [`Context::call`].
    pub(crate) async fn call_elsewhere<Output: DeserializeOwned>(
        &self,
        name: &str,
        document: &[u8],
    ) -> Result<Output, FunctionError> {
        let call = self.info();
        let missing = || FunctionError::not_found(format!("there is no native function `{name}`"));
        let outward = call.outward.as_ref().ok_or_else(missing)?;
        let head = call.request.encoded();
        let fixed = head.len() + name.len() + call.request_id.len() + FRAME_ROOM;
        let room = MAX_CALL_BYTES.min(MAX_FRAME_BYTES.saturating_sub(fixed));
        if document.len() >= room {
            let given = document.len();
            let message =
                format!("the input of `{name}` has {given} bytes, {room} are allowed between processes");
            return Err(FunctionError::new(413, message));
        }
        let native = NativeCall {
            name: name.to_owned(),
            caller: Caller::Function { depth: call.depth + 1 },
            deadline_ms: u32::try_from(self.remaining().as_millis()).unwrap_or(u32::MAX),
            request_id: call.request_id.clone(),
            head,
            input: serialized(document),
        };
        let late = |_| FunctionError::new(504, format!("`{name}` did not answer in time"));
        let outcome = tokio::time::timeout_at(call.deadline, outward.ask(native)).await.map_err(late)?;
        self.read_outcome(outcome, name)
    }

    fn read_outcome<Output: DeserializeOwned>(
        &self,
        outcome: Outcome,
        name: &str,
    ) -> Result<Output, FunctionError> {
        let (kind, head, body) = match outcome {
            Outcome::Value(json) => return json::read(&json).map_err(|error| of_another_type(name, &error)),
            Outcome::Failed { status, message } => return Err(FunctionError::new(status, message)),
            Outcome::Answer { kind, head, body } => (kind, head, body),
        };
        if kind != AnswerKind::Response {
            self.add_fields(&head);
        }
        match kind {
            AnswerKind::Value => json::read(&body).map_err(|error| of_another_type(name, &error)),
            AnswerKind::Serialized => Ok(seroval::from_slice(&body, Form::Cross, &Limits::default())?),
            AnswerKind::Redirect => Err(Redirect::from_json(&body)?.into()),
            AnswerKind::NotFound => Err(NotFound::from_json(&body)?.into()),
            AnswerKind::Response | AnswerKind::Bytes | AnswerKind::Values => {
                Err(FunctionError::internal(format!("`{name}` answers with more than a value")))
            }
        }
    }

    /// What the other function has set beside its value goes out with this call's response.
    fn add_fields(&self, head: &ResponseHead) {
        for (name, value) in &head.headers {
            let field = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value));
            if let (Ok(name), Ok(value)) = field {
                self.add_header(name, value);
            }
        }
    }
}

fn of_another_type(name: &str, error: &FunctionError) -> FunctionError {
    FunctionError::internal(format!("the answer of `{name}` is of another type: {}", error.message()))
}

/// An input as a job would send it.
fn serialized(document: &[u8]) -> Bytes {
    let mut input = BytesMut::with_capacity(1 + document.len());
    input.put_u8(shared::message::CallInput::SERIALIZED);
    input.put_slice(document);
    input.freeze()
}
