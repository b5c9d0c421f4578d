//! The link between a gateway thread and an fn worker.
//!
//! ```text
//! gateway                                   worker
//!   Call                 ----------------->            what a job or `/_native/` asks for
//!                        <-----------------  Reply     in one piece
//!
//!   Request              ----------------->            what a client sends, as it came: a short body with it,
//!   Body*, BodyEnd       ----------------->            a longer one in pieces
//!                        <-----------------  Credit (upload consumed)
//!                        <-----------------  Whole   or   Head, Body*, End   or   Failed
//!   Credit (client read) ----------------->
//!   Cancel               ----------------->
//!
//!                        <-----------------  Call (of a function that its process does not have)
//!   Reply                ----------------->
//!                        <-----------------  CallCancel
//! ```
//!
//! What a function calls belongs to the call or request that it answers, and ends with that. A request ends with the
//! worker's `Whole`, `End` or `Failed`, also after a `Cancel`; a cancelled call ends at once.

use bytes::{BufMut, Bytes, BytesMut};

use super::call::NativeCall;
use super::{Message, Outcome, cut_text, unknown_kind};
use crate::frame::{Frame, encode, encode_with};
use crate::head::{RequestHead, RequestHeadRef, ResponseHead};
use crate::window::MAX_CHUNK_BYTES;
use crate::wire::{PayloadError, Reader, put_bytes};

/// The longest body, in bytes, that travels in one frame with its request. What is sent so takes no window: the frame
/// is a request's memory.
pub const MAX_INLINE_BODY_BYTES: usize = 64 * 1024;

/// From a gateway thread to an fn worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToWorker {
    /// A call.
    Call {
        /// The call's id, unused on this link until now.
        id: u64,
        /// What is called.
        call: NativeCall,
    },
    /// The caller has gone; no reply is sent for this call. A request is answered by its end.
    Cancel {
        /// The call or request.
        id: u64,
    },
    /// A client's request.
    Request {
        /// The request's id, unused on this link until now.
        id: u64,
        /// Whom it is for.
        target: Target,
        /// Milliseconds until the head of the response must have come.
        deadline_ms: u32,
        /// The request.
        head: RequestHead,
        /// Its whole body, at most [`MAX_INLINE_BODY_BYTES`]; empty where it has none, and where
        /// [`RequestHead::has_body`] says that the body follows.
        body: Bytes,
    },
    /// A piece of the request's body.
    Body {
        /// The request.
        id: u64,
        /// At most [`crate::window::MAX_CHUNK_BYTES`].
        bytes: Bytes,
    },
    /// The request's body is complete.
    BodyEnd {
        /// The request.
        id: u64,
    },
    /// The request's body broke off or exceeded its limit.
    BodyFailed {
        /// The request.
        id: u64,
    },
    /// The client has read so much of the response.
    Credit {
        /// The request.
        id: u64,
        /// Bytes.
        bytes: u32,
    },
    /// A call that a function has made has ended.
    Reply {
        /// The call or request that the function answers.
        id: u64,
        /// Which of its calls.
        number: u32,
        /// How.
        outcome: Outcome,
    },
}

/// The kind of the frame that begins a [`ToWorker::Call`].
pub const CALL_KIND: u8 = 1;
/// The kind of the frame of a [`ToWorker::Cancel`].
pub const CANCEL_KIND: u8 = 2;
/// The kind of the frame that begins a [`ToWorker::Request`].
pub const REQUEST_KIND: u8 = 3;

/// Whom a client's request is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The function of this name, called as TanStack Start's client does.
    Function(String),
    /// The route that its path matches.
    Route,
}

impl ToWorker {
    /// Appends a request frame straight from the gateway's own request, without building a [`RequestHead`]. `body` is
    /// the whole of it, or empty.
    pub fn encode_request<'h>(
        out: &mut BytesMut,
        id: u64,
        target: &Target,
        deadline_ms: u32,
        head: RequestHeadRef<'_>,
        headers: impl Iterator<Item = (&'h [u8], &'h [u8])>,
        body: &[u8],
    ) {
        encode_with(out, REQUEST_KIND, id, |out| {
            put_request_fields(out, target, deadline_ms);
            head.encode(out, headers);
            out.put_slice(body);
        });
    }
}

fn put_request_fields(out: &mut BytesMut, target: &Target, deadline_ms: u32) {
    let name = match target {
        Target::Function(name) => name.as_str(),
        Target::Route => "",
    };
    put_bytes(out, name.as_bytes());
    out.put_u32_le(deadline_ms);
}

fn decode_request(id: u64, mut reader: Reader) -> Result<ToWorker, PayloadError> {
    let name = reader.text("function")?;
    let target = if name.is_empty() { Target::Route } else { Target::Function(name) };
    let deadline_ms = reader.u32("deadline")?;
    let head = RequestHead::read(&mut reader)?;
    let body = reader.rest();
    let limit = if head.has_body { 0 } else { MAX_INLINE_BODY_BYTES };
    if body.len() > limit {
        return Err(PayloadError::TooLong { field: "body", limit });
    }
    Ok(ToWorker::Request { id, target, deadline_ms, head, body })
}

impl Message for ToWorker {
    fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Request { id, target, deadline_ms, head, body } => {
                encode_with(out, REQUEST_KIND, *id, |out| {
                    put_request_fields(out, target, *deadline_ms);
                    head.encode(out);
                    out.put_slice(body);
                });
            }
            Self::Body { id, bytes } => encode(out, 4, *id, bytes),
            Self::BodyEnd { id } => encode(out, 5, *id, &[]),
            Self::BodyFailed { id } => encode(out, 6, *id, &[]),
            Self::Credit { id, bytes } => encode(out, 7, *id, &bytes.to_le_bytes()),
            Self::Call { id, call } => encode_with(out, CALL_KIND, *id, |out| call.encode(out)),
            Self::Reply { id, number, outcome } => encode_with(out, 8, *id, |out| {
                out.put_u32_le(*number);
                outcome.encode(out);
            }),
            Self::Cancel { id } => encode(out, CANCEL_KIND, *id, &[]),
        }
    }

    fn decode(Frame { kind, id, payload }: Frame) -> Result<Self, PayloadError> {
        let mut reader = Reader::new(payload);
        match kind {
            CALL_KIND => Ok(Self::Call { id, call: NativeCall::decode(reader)? }),
            CANCEL_KIND => reader.end().map(|()| Self::Cancel { id }),
            REQUEST_KIND => decode_request(id, reader),
            4 => Ok(Self::Body { id, bytes: reader.rest() }),
            5 => reader.end().map(|()| Self::BodyEnd { id }),
            6 => reader.end().map(|()| Self::BodyFailed { id }),
            7 => {
                let bytes = reader.u32("credit")?;
                reader.end().map(|()| Self::Credit { id, bytes })
            }
            8 => {
                let number = reader.u32("call")?;
                Ok(Self::Reply { id, number, outcome: Outcome::decode(reader)? })
            }
            kind => unknown_kind(kind),
        }
    }
}

/// From an fn worker to a gateway thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromWorker {
    /// A call has ended.
    Reply {
        /// The call.
        id: u64,
        /// How.
        outcome: Outcome,
    },
    /// The response to a request, and its end.
    Whole {
        /// The request.
        id: u64,
        /// Status and header fields.
        head: ResponseHead,
        /// The body, at most [`crate::window::MAX_CHUNK_BYTES`].
        body: Bytes,
    },
    /// The response to a request begins.
    Head {
        /// The request.
        id: u64,
        /// Status and header fields.
        head: ResponseHead,
    },
    /// A piece of the response's body.
    Body {
        /// The request.
        id: u64,
        /// At most [`crate::window::MAX_CHUNK_BYTES`].
        bytes: Bytes,
    },
    /// The response is complete, the request over.
    End {
        /// The request.
        id: u64,
    },
    /// There is no whole response, the request is over.
    Failed {
        /// The request.
        id: u64,
        /// For the log, never for the response.
        detail: String,
    },
    /// So much of the request's body was read.
    Credit {
        /// The request.
        id: u64,
        /// Bytes.
        bytes: u32,
    },
    /// Whoever ran this call or request is lost, and the link goes on: said by a transport that reaches several
    /// workers, never by a worker.
    Lost {
        /// The call or request.
        id: u64,
    },
    /// A function calls another that its process does not have.
    Call {
        /// The call or request that it answers.
        id: u64,
        /// Which of its calls; answered by a [`ToWorker::Reply`] with the same number.
        number: u32,
        /// What is called.
        call: NativeCall,
    },
    /// The function does not wait for that call any more; no reply is sent for it.
    CallCancel {
        /// The call or request that it answers.
        id: u64,
        /// Which of its calls.
        number: u32,
    },
}

impl FromWorker {
    /// Whether nothing comes after a frame of this kind for the call or request that it belongs to.
    pub fn is_last(kind: u8) -> bool {
        matches!(kind, 1 | 4 | 5 | WHOLE_KIND | LOST_KIND)
    }
}

/// The kind of the frame of a [`FromWorker::Whole`].
const WHOLE_KIND: u8 = 9;
/// The kind of the frame of a [`FromWorker::Lost`].
const LOST_KIND: u8 = 15;

fn put_head(out: &mut BytesMut, head: &ResponseHead) {
    let fields = head.headers.iter().map(|(name, value)| (&name[..], &value[..]));
    ResponseHead::encode(out, head.status, fields);
}

impl Message for FromWorker {
    fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Reply { id, outcome } => encode_with(out, 1, *id, |out| outcome.encode(out)),
            Self::Whole { id, head, body } => encode_with(out, WHOLE_KIND, *id, |out| {
                put_head(out, head);
                out.put_slice(body);
            }),
            Self::Head { id, head } => encode_with(out, 2, *id, |out| put_head(out, head)),
            Self::Body { id, bytes } => encode(out, 3, *id, bytes),
            Self::End { id } => encode(out, 4, *id, &[]),
            Self::Failed { id, detail } => {
                encode_with(out, 5, *id, |out| put_bytes(out, cut_text(detail).as_bytes()));
            }
            Self::Credit { id, bytes } => encode(out, 6, *id, &bytes.to_le_bytes()),
            Self::Call { id, number, call } => encode_with(out, 7, *id, |out| {
                out.put_u32_le(*number);
                call.encode(out);
            }),
            Self::CallCancel { id, number } => encode(out, 8, *id, &number.to_le_bytes()),
            Self::Lost { id } => encode(out, LOST_KIND, *id, &[]),
        }
    }

    fn decode(Frame { kind, id, payload }: Frame) -> Result<Self, PayloadError> {
        let mut reader = Reader::new(payload);
        match kind {
            1 => Ok(Self::Reply { id, outcome: Outcome::decode(reader)? }),
            WHOLE_KIND => {
                let head = ResponseHead::read(&mut reader)?;
                let body = reader.rest();
                if body.len() > MAX_CHUNK_BYTES {
                    return Err(PayloadError::TooLong { field: "body", limit: MAX_CHUNK_BYTES });
                }
                Ok(Self::Whole { id, head, body })
            }
            2 => Ok(Self::Head { id, head: ResponseHead::decode(reader.rest())? }),
            3 => Ok(Self::Body { id, bytes: reader.rest() }),
            4 => reader.end().map(|()| Self::End { id }),
            5 => {
                let detail = reader.text("detail")?;
                reader.end().map(|()| Self::Failed { id, detail })
            }
            6 => {
                let bytes = reader.u32("credit")?;
                reader.end().map(|()| Self::Credit { id, bytes })
            }
            7 => {
                let number = reader.u32("call")?;
                Ok(Self::Call { id, number, call: NativeCall::decode(reader)? })
            }
            8 => {
                let number = reader.u32("call")?;
                reader.end().map(|()| Self::CallCancel { id, number })
            }
            LOST_KIND => reader.end().map(|()| Self::Lost { id }),
            kind => unknown_kind(kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Decoder, PREFACE};
    use crate::head::HandlerOptions;
    use crate::message::Caller;

    #[test]
    fn a_call_and_its_reply_survive_the_way() {
        let call = ToWorker::Call {
            id: 7,
            call: NativeCall {
                name: "threads.list".into(),
                caller: Caller::Isolate,
                deadline_ms: 1500,
                request_id: "r1".into(),
                head: "h".into(),
                input: r#"{"limit":3}"#.into(),
            },
        };
        let reply = FromWorker::Reply { id: 7, outcome: Outcome::Value("[1]".into()) };
        let mut buffer = BytesMut::from(&PREFACE[..]);
        call.encode(&mut buffer);
        ToWorker::Cancel { id: 7 }.encode(&mut buffer);
        reply.encode(&mut buffer);
        let mut decoder = Decoder::new();
        let mut next = || decoder.decode(&mut buffer).unwrap().unwrap();
        assert_eq!(ToWorker::decode(next()).unwrap(), call);
        assert_eq!(ToWorker::decode(next()).unwrap(), ToWorker::Cancel { id: 7 });
        assert_eq!(FromWorker::decode(next()).unwrap(), reply);
    }

    #[test]
    fn what_a_function_calls_survives_the_way() {
        let call = NativeCall {
            name: "far".into(),
            caller: Caller::Function { depth: 3 },
            deadline_ms: 9,
            request_id: "r1".into(),
            head: "h".into(),
            input: "[]".into(),
        };
        let from = [FromWorker::Call { id: 7, number: 2, call }, FromWorker::CallCancel { id: 7, number: 2 }];
        let to = ToWorker::Reply { id: 7, number: 2, outcome: Outcome::Value("[1]".into()) };
        let mut buffer = BytesMut::from(&PREFACE[..]);
        from.iter().for_each(|message| message.encode(&mut buffer));
        to.encode(&mut buffer);
        let mut decoder = Decoder::new();
        let mut next = || decoder.decode(&mut buffer).unwrap().unwrap();
        for message in from {
            assert!(!FromWorker::is_last(next_kind(&message)));
            assert_eq!(FromWorker::decode(next()).unwrap(), message);
        }
        assert_eq!(ToWorker::decode(next()).unwrap(), to);
    }

    fn next_kind(message: &FromWorker) -> u8 {
        let mut out = BytesMut::new();
        message.encode(&mut out);
        out[4]
    }

    #[test]
    fn a_request_and_its_response_survive_the_way() {
        let head = RequestHead {
            method: "POST".into(),
            url: "http://localhost/_serverFn/a1".into(),
            client_ip: "::1".into(),
            request_id: "r1".into(),
            has_body: true,
            options: HandlerOptions::default(),
            headers: vec![("x-tsr-serverfn".into(), "true".into())],
        };
        let to = [
            ToWorker::Request {
                id: 7,
                target: Target::Function("a".into()),
                deadline_ms: 9,
                head: head.clone(),
                body: Bytes::new(),
            },
            ToWorker::Request {
                id: 8,
                target: Target::Route,
                deadline_ms: 9,
                head: RequestHead { has_body: false, ..head },
                body: "a body".into(),
            },
            ToWorker::Body { id: 7, bytes: "abc".into() },
            ToWorker::BodyEnd { id: 7 },
            ToWorker::BodyFailed { id: 7 },
            ToWorker::Credit { id: 7, bytes: 9 },
        ];
        let from = [
            FromWorker::Head {
                id: 7,
                head: ResponseHead { status: 200, headers: vec![("a".into(), "b".into())] },
            },
            FromWorker::Body { id: 7, bytes: "abc".into() },
            FromWorker::End { id: 7 },
            FromWorker::Whole {
                id: 7,
                head: ResponseHead { status: 200, headers: vec![("a".into(), "b".into())] },
                body: "abc".into(),
            },
            FromWorker::Failed { id: 7, detail: "why".into() },
            FromWorker::Credit { id: 7, bytes: 9 },
            FromWorker::Lost { id: 7 },
        ];
        let mut buffer = BytesMut::from(&PREFACE[..]);
        to.iter().for_each(|message| message.encode(&mut buffer));
        from.iter().for_each(|message| message.encode(&mut buffer));
        let mut decoder = Decoder::new();
        let mut next = || decoder.decode(&mut buffer).unwrap().unwrap();
        for message in to {
            assert_eq!(ToWorker::decode(next()).unwrap(), message);
        }
        for message in from {
            assert_eq!(FromWorker::decode(next()).unwrap(), message);
        }
    }

    #[test]
    fn a_body_that_is_too_long_for_its_request_is_refused() {
        let head = |has_body| RequestHead {
            method: "POST".into(),
            url: "http://localhost/".into(),
            client_ip: "::1".into(),
            request_id: "r1".into(),
            has_body,
            options: HandlerOptions::default(),
            headers: Vec::new(),
        };
        for (has_body, length, limit) in [
            (true, 1, Some(0)),
            (false, MAX_INLINE_BODY_BYTES, None),
            (false, MAX_INLINE_BODY_BYTES + 1, Some(MAX_INLINE_BODY_BYTES)),
        ] {
            let body = Bytes::from(vec![b'x'; length]);
            let request = ToWorker::Request {
                id: 1,
                target: Target::Route,
                deadline_ms: 1,
                head: head(has_body),
                body,
            };
            let mut buffer = BytesMut::from(&PREFACE[..]);
            request.encode(&mut buffer);
            let read = ToWorker::decode(Decoder::new().decode(&mut buffer).unwrap().unwrap());
            match limit {
                None => assert_eq!(read, Ok(request)),
                Some(limit) => assert_eq!(read, Err(PayloadError::TooLong { field: "body", limit })),
            }
        }
    }
}
