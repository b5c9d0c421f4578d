//! A client's request and its response, as they pass between a link and the task that answers.
//!
//! Both bodies flow under windows: [`RequestBody`] gives credit back as it is read, [`Responder`] waits for credit
//! before it sends. What lies in memory for one exchange is bounded by two windows, whatever its bodies.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use serde::de::DeserializeOwned;
use shared::head::{HeaderField, RequestHead, ResponseHead};
use shared::message::Target;
use shared::message::control::Refusal;
use shared::window::{INITIAL_WINDOW, MAX_CHUNK_BYTES};
use tokio::sync::{Semaphore, mpsc};

use crate::context::Context;
use crate::error::FunctionError;
use crate::form;
use crate::input::read_strings;
use crate::json;
use crate::outward::Asked;
use crate::refusals;
use crate::strings::Strings;
use crate::upload::{UploadReceiver, UploadSender, upload};

/// What a task says of its exchange.
#[derive(Debug)]
pub(crate) enum Said {
    /// A response in one piece.
    Whole(ResponseHead, Bytes),
    Head(ResponseHead),
    Body(Bytes),
    End,
    Failed(String),
    /// So many bytes of the request's body were read.
    Consumed(usize),
    /// A function of another process is called.
    Calls(Box<Asked>),
    /// Nobody waits for that call any more.
    Withdraws(u32),
}

/// How many of them wait for a link, over all of its exchanges.
pub(crate) const SAID_WAITING: usize = 256;

/// Why a request's body does not come whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request's body broke off")]
pub struct BodyBroken;

/// A request on its way to whom it is for.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) target: Target,
    pub(crate) head: RequestHead,
    pub(crate) body: RequestBody,
    pub(crate) responder: Responder,
}

/// The link's side of an exchange.
#[derive(Debug)]
pub(crate) struct LinkSide {
    /// `None` once the body is complete or broken.
    pub(crate) upload: Option<UploadSender>,
    window: Arc<Semaphore>,
}

impl LinkSide {
    /// The client has read so much.
    pub(crate) fn credit(&self, bytes: usize) {
        self.window.add_permits(bytes);
    }
}

/// Both sides of an exchange. `whole` is the request's body unless its head says that it follows.
pub(crate) fn exchange(
    id: u64,
    target: Target,
    head: RequestHead,
    whole: Bytes,
    said: mpsc::Sender<(u64, Said)>,
) -> (LinkSide, Exchange) {
    let (side, body, responder) = streams(id, head.has_body, whole, said);
    (side, Exchange { target, head, body, responder })
}

/// What is there for a call beside its input and its outcome: a body, and an answer that comes piece by piece.
#[derive(Debug)]
pub(crate) struct Streams {
    pub(crate) body: RequestBody,
    pub(crate) responder: Responder,
}

/// Both sides of a call's streams.
pub(crate) fn call_streams(id: u64, has_body: bool, said: mpsc::Sender<(u64, Said)>) -> (LinkSide, Streams) {
    let (side, body, responder) = streams(id, has_body, Bytes::new(), said);
    (side, Streams { body, responder })
}

fn streams(
    id: u64,
    follows: bool,
    whole: Bytes,
    said: mpsc::Sender<(u64, Said)>,
) -> (LinkSide, RequestBody, Responder) {
    let window = Arc::new(Semaphore::new(INITIAL_WINDOW));
    let (upload, body) = if follows {
        // The sender keeps to its window, which the link checks: no more than that waits.
        let (upload, parts) = upload();
        (Some(upload), RequestBody(Body::Coming { id, parts, said: said.clone() }))
    } else {
        (None, RequestBody(Body::Whole(whole)))
    };
    let responder = Responder { id, said, window: Arc::clone(&window), state: State::Silent };
    (LinkSide { upload, window }, body, responder)
}

/// The body of a request, as it comes.
#[derive(Debug)]
pub struct RequestBody(Body);

#[derive(Debug)]
enum Body {
    /// All of it, or what is left: nothing, in the end.
    Whole(Bytes),
    /// It comes in pieces.
    Coming { id: u64, parts: UploadReceiver, said: mpsc::Sender<(u64, Said)> },
}

impl RequestBody {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// [`BodyBroken`] when the client broke it off, or it is longer or slower than the gateway allows.
    pub async fn next(&mut self) -> Result<Option<Bytes>, BodyBroken> {
        match &mut self.0 {
            Body::Whole(bytes) => Ok(Some(std::mem::take(bytes)).filter(|bytes| !bytes.is_empty())),
            Body::Coming { id, parts, said } => {
                let Some(part) = parts.next().await else { return Ok(None) };
                let part = part?;
                // The link has ended, and with it the one who waits for the credit.
                let _ = said.send((*id, Said::Consumed(part.len()))).await;
                Ok(Some(part))
            }
        }
    }

    /// The whole body, if it has at most `limit` bytes.
    ///
    /// # Errors
    /// [`CollectError`].
    pub async fn collect(&mut self, limit: usize) -> Result<Bytes, CollectError> {
        let mut whole: Option<bytes::BytesMut> = None;
        let mut first = Bytes::new();
        while let Some(part) = self.next().await? {
            let length = whole.as_ref().map_or(first.len(), |whole| whole.len());
            if length + part.len() > limit {
                return Err(CollectError::TooLong { limit });
            }
            match &mut whole {
                Some(whole) => whole.extend_from_slice(&part),
                None if first.is_empty() => first = part,
                None => {
                    let mut joined = bytes::BytesMut::with_capacity((first.len() + part.len()) * 2);
                    joined.extend_from_slice(&first);
                    joined.extend_from_slice(&part);
                    whole = Some(joined);
                }
            }
        }
        Ok(whole.map_or(first, bytes::BytesMut::freeze))
    }

    /// The body as JSON of a type, if it has at most `limit` bytes.
    ///
    /// # Errors
    /// 400 with the position when it is none, 413 when it is longer, 422 with the path when it is of another type.
    pub async fn json<T: DeserializeOwned>(&mut self, limit: usize) -> Result<T, FunctionError> {
        let bytes = self.collect(limit).await.map_err(CollectError::refusal)?;
        json::read(&bytes)
    }

    /// The body as a form of a type (see [`crate::form`]), within the limits of the call's function.
    ///
    /// # Errors
    /// 400 when it is malformed, 413 when it exceeds a limit, 415 when it is no form, 422 with the field's name when
    /// it is of another type.
    pub async fn form<T: DeserializeOwned>(&mut self, context: &Context) -> Result<T, FunctionError> {
        let content_type = context.request().header("content-type").unwrap_or_default();
        let form = form::read(content_type, self, context.form_limits()).await?;
        read_strings(Strings { texts: &form.texts, files: &form.files })
    }

    /// The body as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, BodyBroken>> {
        futures_util::stream::unfold(self, |mut body| async {
            let part = body.next().await.transpose()?;
            Some((part, body))
        })
    }
}

/// Why a body is not here in one piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CollectError {
    /// It is longer than it may be.
    #[error("the body is longer than {limit} bytes")]
    TooLong {
        /// What is allowed, in bytes.
        limit: usize,
    },
    /// It did not come whole.
    #[error(transparent)]
    Broken(#[from] BodyBroken),
}

impl CollectError {
    pub(crate) fn refusal(self) -> FunctionError {
        match self {
            Self::TooLong { .. } => refusals::refuse(Refusal::InputBytes, self.to_string()),
            Self::Broken(_) => FunctionError::bad_request(self.to_string()),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Silent,
    Headed,
    Over,
}

/// Sends the response. Dropped before its end, it cuts the response off.
#[derive(Debug)]
pub(crate) struct Responder {
    id: u64,
    said: mpsc::Sender<(u64, Said)>,
    window: Arc<Semaphore>,
    state: State,
}

impl Responder {
    async fn say(&self, said: Said) {
        let said = match self.said.try_send((self.id, said)) {
            // The link has ended: nobody waits for the response.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => return,
            Err(mpsc::error::TrySendError::Full(said)) => said,
        };
        let _ = self.said.send(said).await;
    }

    /// A response in one piece. A short one needs no window: it ends with what it sends.
    pub(crate) async fn whole(&mut self, status: u16, headers: Vec<HeaderField>, bytes: Bytes) {
        if self.state == State::Silent && bytes.len() <= MAX_CHUNK_BYTES {
            self.state = State::Over;
            self.say(Said::Whole(ResponseHead { status, headers }, bytes)).await;
            return;
        }
        self.head(status, headers).await;
        self.body(bytes).await;
        self.end().await;
    }

    /// The response begins.
    pub(crate) async fn head(&mut self, status: u16, headers: Vec<HeaderField>) {
        if self.state == State::Silent {
            self.state = State::Headed;
            self.say(Said::Head(ResponseHead { status, headers })).await;
        }
    }

    /// A piece of the body; waits until the client has room for it.
    pub(crate) async fn body(&mut self, mut bytes: Bytes) {
        while !bytes.is_empty() {
            let wanted = bytes.len().min(MAX_CHUNK_BYTES);
            // At most `MAX_CHUNK_BYTES`, which is far below `u32::MAX`.
            let Ok(room) = self.window.acquire_many(u32::try_from(wanted).unwrap_or(1)).await else { return };
            room.forget();
            self.say(Said::Body(bytes.split_to(wanted))).await;
        }
    }

    /// The response is complete.
    pub(crate) async fn end(&mut self) {
        if self.state == State::Headed {
            self.state = State::Over;
            self.say(Said::End).await;
        }
    }

    /// There will be no whole response.
    pub(crate) async fn fail(&mut self, detail: String) {
        if self.state != State::Over {
            self.state = State::Over;
            self.say(Said::Failed(detail)).await;
        }
    }
}
