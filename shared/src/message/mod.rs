//! What each direction of each link may say. The direction is a type; a frame of the wrong direction does not
//! decode.

mod call;
pub mod control;
pub mod renderer;
pub mod worker;

use bytes::{BufMut, Bytes, BytesMut};

use crate::frame::Frame;
use crate::head::ResponseHead;
use crate::wire::{PayloadError, Reader, put_bytes};

pub use call::{Caller, MAX_CALL_DEPTH, NativeCall};
pub use control::{FromChild, RetireReason, ToChild};
pub use renderer::{CancelReason, EarlyHints, Failure, FailureKind, FromRenderer, HintPhase, ToRenderer};
pub use worker::{FromWorker, Target, ToWorker};

/// One direction of a link.
pub trait Message: Sized {
    /// Appends this message as one frame.
    fn encode(&self, out: &mut BytesMut);

    /// Reads a frame.
    ///
    /// # Errors
    /// [`PayloadError`] when the frame is none of this direction; the link is unusable then.
    fn decode(frame: Frame) -> Result<Self, PayloadError>;
}

/// The longest JSON input or output of a native call, in bytes: one frame less its fields.
pub const MAX_CALL_BYTES: usize = crate::frame::MAX_FRAME_BYTES - 16 * 1024;

/// The longest text that describes a failure, in bytes; longer ones are cut.
const MAX_DETAIL_BYTES: usize = 8 * 1024;

/// How a native call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The function's value, as JSON.
    Value(Bytes),
    /// The call failed; `message` may be shown to the caller.
    Failed {
        /// The HTTP status that fits.
        status: u16,
        /// A public message.
        message: String,
    },
    /// A value with header fields beside it, or what JavaScript takes for something else than a value.
    Answer {
        /// What it is.
        kind: AnswerKind,
        /// The fields; of a [`AnswerKind::Response`] the status too.
        head: ResponseHead,
        /// JSON, or the response's body.
        body: Bytes,
    },
}

/// What an answer is to JavaScript.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum AnswerKind {
    /// The function's value.
    Value = 1,
    /// A redirect of TanStack Router.
    Redirect = 2,
    /// TanStack Router's `notFound`.
    NotFound = 3,
    /// A response.
    Response = 4,
    /// The function's value, as a node of seroval's.
    Serialized = 5,
    /// A stream of bytes; it comes as records.
    Bytes = 6,
    /// A stream of values; it comes as records.
    Values = 7,
}

/// The header field by which a worker tells what an answer is that comes piece by piece.
pub const KIND_FIELD: &[u8] = b":kind";

/// What the input of a native call holds, as a job sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallInput {
    /// JSON.
    Json(Bytes),
    /// seroval's document of the input.
    Serialized(Bytes),
    /// Nothing yet: a body of this type follows.
    Body {
        /// The body's `Content-Type`.
        content_type: String,
    },
}

impl CallInput {
    /// Before seroval's document; no JSON begins so.
    pub const SERIALIZED: u8 = 0;
    /// Before the type of a body.
    const BODY: u8 = 1;

    /// The input of a call whose body follows.
    pub fn encode_body(content_type: &str) -> Bytes {
        let mut input = BytesMut::with_capacity(1 + content_type.len());
        input.put_u8(Self::BODY);
        input.put_slice(content_type.as_bytes());
        input.freeze()
    }

    /// Whether a body follows.
    pub fn has_body(input: &[u8]) -> bool {
        input.first() == Some(&Self::BODY)
    }

    /// Reads an input.
    pub fn decode(mut input: Bytes) -> Self {
        match input.first() {
            Some(&Self::SERIALIZED) => Self::Serialized(input.split_off(1)),
            Some(&Self::BODY) => {
                Self::Body { content_type: String::from_utf8_lossy(&input[1..]).into_owned() }
            }
            _ => Self::Json(input),
        }
    }
}

impl AnswerKind {
    /// The kind of this number, if there is one.
    pub fn from_number(value: u8) -> Option<Self> {
        Self::decode(value).ok()
    }

    fn decode(value: u8) -> Result<Self, PayloadError> {
        Ok(match value {
            1 => Self::Value,
            2 => Self::Redirect,
            3 => Self::NotFound,
            4 => Self::Response,
            5 => Self::Serialized,
            6 => Self::Bytes,
            7 => Self::Values,
            value => return Err(PayloadError::Unknown { field: "answer", value: value.into() }),
        })
    }
}

impl Outcome {
    /// A failure with this status and public message.
    pub fn failed(status: u16, message: impl Into<String>) -> Self {
        Self::Failed { status, message: message.into() }
    }

    fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Value(json) => {
                out.put_u8(0);
                out.put_slice(json);
            }
            Self::Failed { status, message } => {
                out.put_u8(1);
                out.put_u16_le(*status);
                put_bytes(out, cut_text(message).as_bytes());
            }
            Self::Answer { kind, head, body } => {
                out.put_u8(2);
                out.put_u8(*kind as u8);
                let mut fields = BytesMut::new();
                let headers = head.headers.iter().map(|(name, value)| (&name[..], &value[..]));
                ResponseHead::encode(&mut fields, head.status, headers);
                put_bytes(out, &fields);
                out.put_slice(body);
            }
        }
    }

    fn decode(mut reader: Reader) -> Result<Self, PayloadError> {
        match reader.u8("outcome")? {
            0 => Ok(Self::Value(reader.rest())),
            1 => {
                let outcome =
                    Self::Failed { status: reader.u16("status")?, message: reader.text("message")? };
                reader.end()?;
                Ok(outcome)
            }
            2 => {
                let kind = AnswerKind::decode(reader.u8("answer")?)?;
                let head = ResponseHead::decode(reader.bytes("head")?)?;
                Ok(Self::Answer { kind, head, body: reader.rest() })
            }
            value => Err(PayloadError::Unknown { field: "outcome", value: value.into() }),
        }
    }
}

/// The text up to a length that fits a frame, cut between characters.
fn cut_text(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_DETAIL_BYTES)]
}

fn unknown_kind<T>(kind: u8) -> Result<T, PayloadError> {
    Err(PayloadError::Unknown { field: "frame kind", value: kind.into() })
}
