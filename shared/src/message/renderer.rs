//! The link between a gateway thread and an isolate.
//!
//! ```text
//! gateway                                   isolate
//!   Job, Body*, BodyEnd  ----------------->
//!                        <-----------------  Credit (upload consumed)
//!                        <-----------------  Head, Body*, End   or   Failed
//!   Credit (client read) ----------------->
//!                        <-----------------  Call (native function), CallCancel
//!   Reply                ----------------->
//!   Cancel               ----------------->
//! ```
//!
//! A job ends with the isolate's `End` or `Failed`, also after a `Cancel`: until then its id stays taken.

use bytes::{BufMut, Bytes, BytesMut};

use super::{Message, Outcome, cut_text, unknown_kind};
use crate::frame::{Frame, encode, encode_with};
use crate::head::{RequestHead, RequestHeadRef, ResponseHead};
use crate::wire::{PayloadError, Reader, put_bytes};

/// Why the gateway gives a job up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum CancelReason {
    /// The client closed its connection: `request.signal` aborts with an `AbortError`.
    ClientGone = 1,
    /// The job's time is over: `request.signal` aborts with a `TimeoutError`.
    Timeout = 2,
    /// The request's body broke off or exceeded its limit: reading it fails.
    BodyFailed = 3,
}

/// Why a job has no whole response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum FailureKind {
    /// The bundle threw, or answered with something that is no response.
    Threw = 1,
    /// The gateway cancelled the job and the isolate has let go of it.
    Cancelled = 2,
    /// The isolate does not take jobs now; nothing of this one ran.
    NotReady = 3,
}

/// The end of a job that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Why.
    pub kind: FailureKind,
    /// For the log, never for the response.
    pub detail: String,
}

/// From a gateway thread to an isolate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToRenderer {
    /// A new job.
    Job {
        /// The job's id, unused on this link until now.
        id: u64,
        /// Its request.
        head: RequestHead,
    },
    /// A piece of the request's body.
    Body {
        /// The job.
        id: u64,
        /// At most [`crate::window::MAX_CHUNK_BYTES`].
        bytes: Bytes,
    },
    /// The request's body is complete.
    BodyEnd {
        /// The job.
        id: u64,
    },
    /// The gateway gives the job up.
    Cancel {
        /// The job.
        id: u64,
        /// Why.
        reason: CancelReason,
    },
    /// The client has read so much of the response.
    Credit {
        /// The job.
        id: u64,
        /// Bytes.
        bytes: u32,
    },
    /// A native call's end.
    Reply {
        /// The job that called.
        id: u64,
        /// Which of its calls.
        call: u32,
        /// How it ended.
        outcome: Outcome,
    },
}

impl ToRenderer {
    /// Appends a job frame straight from the gateway's own request, without building a [`RequestHead`].
    pub fn encode_job<'h>(
        out: &mut BytesMut,
        id: u64,
        head: RequestHeadRef<'_>,
        headers: impl Iterator<Item = (&'h [u8], &'h [u8])>,
    ) {
        encode_with(out, 1, id, |out| head.encode(out, headers));
    }
}

impl Message for ToRenderer {
    fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Job { id, head } => {
                let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
                let (method, url) = (text(&head.method), text(&head.url));
                let (client_ip, request_id) = (text(&head.client_ip), text(&head.request_id));
                let head_ref = RequestHeadRef {
                    method: &method,
                    url: &url,
                    client_ip: &client_ip,
                    request_id: &request_id,
                    has_body: head.has_body,
                };
                Self::encode_job(out, *id, head_ref, head.headers.iter().map(|(n, v)| (&n[..], &v[..])));
            }
            Self::Body { id, bytes } => encode(out, 2, *id, bytes),
            Self::BodyEnd { id } => encode(out, 3, *id, &[]),
            Self::Cancel { id, reason } => encode(out, 4, *id, &[*reason as u8]),
            Self::Credit { id, bytes } => encode(out, 5, *id, &bytes.to_le_bytes()),
            Self::Reply { id, call, outcome } => encode_with(out, 6, *id, |out| {
                out.put_u32_le(*call);
                outcome.encode(out);
            }),
        }
    }

    fn decode(Frame { kind, id, payload }: Frame) -> Result<Self, PayloadError> {
        let mut reader = Reader::new(payload);
        match kind {
            1 => Ok(Self::Job { id, head: RequestHead::decode(reader.rest())? }),
            2 => Ok(Self::Body { id, bytes: reader.rest() }),
            3 => reader.end().map(|()| Self::BodyEnd { id }),
            4 => {
                let reason = match reader.u8("reason")? {
                    1 => CancelReason::ClientGone,
                    2 => CancelReason::Timeout,
                    3 => CancelReason::BodyFailed,
                    value => return Err(PayloadError::Unknown { field: "reason", value: value.into() }),
                };
                reader.end().map(|()| Self::Cancel { id, reason })
            }
            5 => {
                let bytes = reader.u32("credit")?;
                reader.end().map(|()| Self::Credit { id, bytes })
            }
            6 => {
                let call = reader.u32("call")?;
                Ok(Self::Reply { id, call, outcome: Outcome::decode(reader)? })
            }
            kind => unknown_kind(kind),
        }
    }
}

/// From an isolate to a gateway thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromRenderer {
    /// The response begins.
    Head {
        /// The job.
        id: u64,
        /// Status and header fields.
        head: ResponseHead,
    },
    /// A piece of the response's body.
    Body {
        /// The job.
        id: u64,
        /// At most [`crate::window::MAX_CHUNK_BYTES`].
        bytes: Bytes,
    },
    /// The response is complete, the job over.
    End {
        /// The job.
        id: u64,
    },
    /// There is no whole response, the job is over.
    Failed {
        /// The job.
        id: u64,
        /// Why.
        failure: Failure,
    },
    /// The job has read so much of the request's body.
    Credit {
        /// The job.
        id: u64,
        /// Bytes.
        bytes: u32,
    },
    /// The job calls a native function.
    Call {
        /// The job.
        id: u64,
        /// Which of its calls; answered by a [`ToRenderer::Reply`] with the same number.
        call: u32,
        /// The function's name.
        name: String,
        /// Its input, as JSON.
        input: Bytes,
    },
    /// The job does not wait for that call any more; no reply is sent for it.
    CallCancel {
        /// The job.
        id: u64,
        /// Which of its calls.
        call: u32,
    },
}

impl FromRenderer {
    /// Appends a head frame without building a [`ResponseHead`].
    pub fn encode_head<'h>(
        out: &mut BytesMut,
        id: u64,
        status: u16,
        headers: impl Iterator<Item = (&'h [u8], &'h [u8])>,
    ) {
        encode_with(out, 1, id, |out| ResponseHead::encode(out, status, headers));
    }

    /// Appends a body frame without owning its bytes.
    pub fn encode_body(out: &mut BytesMut, id: u64, bytes: &[u8]) {
        encode(out, 2, id, bytes);
    }
}

impl Message for FromRenderer {
    fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Head { id, head } => {
                let headers = head.headers.iter().map(|(name, value)| (&name[..], &value[..]));
                Self::encode_head(out, *id, head.status, headers);
            }
            Self::Body { id, bytes } => Self::encode_body(out, *id, bytes),
            Self::End { id } => encode(out, 3, *id, &[]),
            Self::Failed { id, failure } => encode_with(out, 4, *id, |out| {
                out.put_u8(failure.kind as u8);
                put_bytes(out, cut_text(&failure.detail).as_bytes());
            }),
            Self::Credit { id, bytes } => encode(out, 5, *id, &bytes.to_le_bytes()),
            Self::Call { id, call, name, input } => encode_with(out, 6, *id, |out| {
                out.put_u32_le(*call);
                put_bytes(out, name.as_bytes());
                out.put_slice(input);
            }),
            Self::CallCancel { id, call } => encode(out, 7, *id, &call.to_le_bytes()),
        }
    }

    fn decode(Frame { kind, id, payload }: Frame) -> Result<Self, PayloadError> {
        let mut reader = Reader::new(payload);
        match kind {
            1 => Ok(Self::Head { id, head: ResponseHead::decode(reader.rest())? }),
            2 => Ok(Self::Body { id, bytes: reader.rest() }),
            3 => reader.end().map(|()| Self::End { id }),
            4 => {
                let kind = match reader.u8("failure")? {
                    1 => FailureKind::Threw,
                    2 => FailureKind::Cancelled,
                    3 => FailureKind::NotReady,
                    value => return Err(PayloadError::Unknown { field: "failure", value: value.into() }),
                };
                let failure = Failure { kind, detail: reader.text("detail")? };
                reader.end().map(|()| Self::Failed { id, failure })
            }
            5 => {
                let bytes = reader.u32("credit")?;
                reader.end().map(|()| Self::Credit { id, bytes })
            }
            6 => {
                let (call, name) = (reader.u32("call")?, reader.text("name")?);
                Ok(Self::Call { id, call, name, input: reader.rest() })
            }
            7 => {
                let call = reader.u32("call")?;
                reader.end().map(|()| Self::CallCancel { id, call })
            }
            kind => unknown_kind(kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Decoder, PREFACE};

    fn through_the_wire<M: Message>(message: &M) -> M {
        let mut buffer = BytesMut::from(&PREFACE[..]);
        message.encode(&mut buffer);
        let frame = Decoder::new().decode(&mut buffer).unwrap().unwrap();
        assert!(buffer.is_empty());
        M::decode(frame).unwrap()
    }

    #[test]
    fn every_message_to_an_isolate_survives_the_way() {
        let head = RequestHead {
            method: "POST".into(),
            url: "http://localhost/a?b=c".into(),
            client_ip: "127.0.0.1".into(),
            request_id: "r1".into(),
            has_body: true,
            headers: vec![("accept".into(), "*/*".into()), ("x".into(), "\u{e9}".into())],
        };
        for message in [
            ToRenderer::Job { id: 1, head },
            ToRenderer::Body { id: 2, bytes: "abc".into() },
            ToRenderer::BodyEnd { id: 3 },
            ToRenderer::Cancel { id: 4, reason: CancelReason::ClientGone },
            ToRenderer::Cancel { id: 4, reason: CancelReason::Timeout },
            ToRenderer::Cancel { id: 4, reason: CancelReason::BodyFailed },
            ToRenderer::Credit { id: 5, bytes: 70_000 },
            ToRenderer::Reply { id: 6, call: 1, outcome: Outcome::Value("{}".into()) },
            ToRenderer::Reply { id: 6, call: 2, outcome: Outcome::failed(404, "no such function") },
        ] {
            assert_eq!(through_the_wire(&message), message);
        }
    }

    #[test]
    fn every_message_from_an_isolate_survives_the_way() {
        let head = ResponseHead {
            status: 200,
            headers: vec![("set-cookie".into(), "a=1".into()), ("set-cookie".into(), "b=2".into())],
        };
        let failure = |kind| Failure { kind, detail: "why".into() };
        for message in [
            FromRenderer::Head { id: 1, head },
            FromRenderer::Body { id: 2, bytes: "abc".into() },
            FromRenderer::End { id: 3 },
            FromRenderer::Failed { id: 4, failure: failure(FailureKind::Threw) },
            FromRenderer::Failed { id: 4, failure: failure(FailureKind::Cancelled) },
            FromRenderer::Failed { id: 4, failure: failure(FailureKind::NotReady) },
            FromRenderer::Credit { id: 5, bytes: 1 },
            FromRenderer::Call { id: 6, call: 9, name: "threads.list".into(), input: "null".into() },
            FromRenderer::CallCancel { id: 7, call: 9 },
        ] {
            assert_eq!(through_the_wire(&message), message);
        }
    }

    #[test]
    fn a_long_failure_is_cut_between_characters() {
        let failure = Failure { kind: FailureKind::Threw, detail: "\u{20ac}".repeat(10_000) };
        let FromRenderer::Failed { failure, .. } = through_the_wire(&FromRenderer::Failed { id: 1, failure })
        else {
            panic!("another message")
        };
        assert!(failure.detail.len() <= 8 * 1024 && failure.detail.ends_with('\u{20ac}'));
    }
}
