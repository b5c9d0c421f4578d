//! The link between a gateway thread and an isolate.
//!
//! ```text
//! gateway                                   isolate
//!   Job, Body*, BodyEnd  ----------------->
//!                        <-----------------  Credit (upload consumed)
//!                        <-----------------  EarlyHints*, only where the job's head asks for them
//!                        <-----------------  Head, Body*, End   or   Failed
//!   Credit (client read) ----------------->
//!                        <-----------------  Call (native function), CallCancel
//!   Reply                ----------------->
//!   Cancel               ----------------->
//! ```
//!
//! A job ends with the isolate's `End` or `Failed`, also after a `Cancel`: until then its id stays taken.

use bytes::{BufMut, Bytes, BytesMut};

use super::{AnswerKind, Message, Outcome, cut_text, unknown_kind};
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
    /// The job should come to its end: `request.signal` aborts with a `TimeoutError`, and the job goes on until it
    /// ends or is cancelled.
    AbortDelay = 4,
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
    /// The app leaves the request to the gateway: `shouldSkip` of a render pipeline.
    Skipped = 4,
    /// The app wants the request to end without an answer: `shouldCancel` of a render pipeline.
    Dropped = 5,
    /// It took too long in one synchronous turn and was terminated.
    TurnLimit = 6,
    /// It filled the isolate's heap and was terminated.
    HeapLimit = 7,
    /// The isolate is given up because of another job; this one has not answered yet and may run again elsewhere.
    Displaced = 8,
}

/// The end of a job that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Why.
    pub kind: FailureKind,
    /// For the log, never for the response.
    pub detail: String,
}

/// The most bytes of links in one frame of early hints, line feeds included.
pub const MAX_EARLY_HINTS_BYTES: usize = 16 * 1024;

/// The most frames of early hints for one job; what the app reports beyond is dropped. TanStack Start's handler
/// reports two: what the matched routes need, then what their loaders added.
pub const MAX_EARLY_HINTS_PER_JOB: usize = 8;

/// When in a render an early hint was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum HintPhase {
    /// By the matched routes alone: the same for each request of a route in one build.
    Static = 1,
    /// By what the loaders returned. Also says that no more hints follow, so that it may have no links.
    Dynamic = 2,
}

/// Links that the app reports before its response: values of `Link` fields (RFC 8288) fit for a 103 response
/// (RFC 8297). The reports of one job do not repeat each other's links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlyHints {
    /// When they were found.
    pub phase: HintPhase,
    /// The links, between line feeds.
    links: Bytes,
}

impl EarlyHints {
    /// The hints of `lines`: links between line feeds. A link that is empty or no visible ASCII is left out, as
    /// is what exceeds [`MAX_EARLY_HINTS_BYTES`].
    pub fn new(phase: HintPhase, lines: &str) -> Self {
        let fits = |link: &&str| !link.is_empty() && link.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        let mut links = BytesMut::with_capacity(lines.len().min(MAX_EARLY_HINTS_BYTES));
        for link in lines.split('\n').filter(fits) {
            if links.len() + 1 + link.len() > MAX_EARLY_HINTS_BYTES {
                break;
            }
            if !links.is_empty() {
                links.put_u8(b'\n');
            }
            links.put_slice(link.as_bytes());
        }
        Self { phase, links: links.freeze() }
    }

    /// The links, each the value of a `Link` field: visible ASCII and spaces, not empty.
    pub fn links(&self) -> impl Iterator<Item = &str> {
        // `decode` has looked at each byte.
        std::str::from_utf8(&self.links).unwrap_or_default().split('\n').filter(|link| !link.is_empty())
    }

    fn decode(phase: u8, links: Bytes) -> Result<Self, PayloadError> {
        let phase = match phase {
            1 => HintPhase::Static,
            2 => HintPhase::Dynamic,
            value => return Err(PayloadError::Unknown { field: "phase", value: value.into() }),
        };
        if links.len() > MAX_EARLY_HINTS_BYTES {
            return Err(PayloadError::TooLong { field: "links", limit: MAX_EARLY_HINTS_BYTES });
        }
        match links.iter().find(|byte| !matches!(**byte, b' '..=b'~' | b'\n')) {
            Some(byte) => Err(PayloadError::Unknown { field: "links", value: (*byte).into() }),
            None => Ok(Self { phase, links }),
        }
    }
}

fn encode_of_call(out: &mut BytesMut, kind: u8, id: u64, call: u32, payload: &[u8]) {
    encode_with(out, kind, id, |out| {
        out.put_u32_le(call);
        out.put_slice(payload);
    });
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
    /// A native call's answer begins, and comes piece by piece under a window of its own.
    ReplyBegins {
        /// The job that called.
        id: u64,
        /// Which of its calls.
        call: u32,
        /// What comes.
        kind: AnswerKind,
        /// Status and fields.
        head: ResponseHead,
    },
    /// A piece of a native call's answer.
    ReplyBody {
        /// The job that called.
        id: u64,
        /// Which of its calls.
        call: u32,
        /// At most [`crate::window::MAX_CHUNK_BYTES`].
        bytes: Bytes,
    },
    /// The end of a native call's answer.
    ReplyEnds {
        /// The job that called.
        id: u64,
        /// Which of its calls.
        call: u32,
        /// Whether it came whole.
        whole: bool,
    },
    /// The worker has read so much of a call's body.
    CallCredit {
        /// The job that called.
        id: u64,
        /// Which of its calls.
        call: u32,
        /// Bytes.
        bytes: u32,
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
            Self::Job { id, head } => encode_with(out, 1, *id, |out| head.encode(out)),
            Self::Body { id, bytes } => encode(out, 2, *id, bytes),
            Self::BodyEnd { id } => encode(out, 3, *id, &[]),
            Self::Cancel { id, reason } => encode(out, 4, *id, &[*reason as u8]),
            Self::Credit { id, bytes } => encode(out, 5, *id, &bytes.to_le_bytes()),
            Self::Reply { id, call, outcome } => encode_with(out, 6, *id, |out| {
                out.put_u32_le(*call);
                outcome.encode(out);
            }),
            Self::ReplyBegins { id, call, kind, head } => encode_with(out, 7, *id, |out| {
                out.put_u32_le(*call);
                out.put_u8(*kind as u8);
                let fields = head.headers.iter().map(|(name, value)| (&name[..], &value[..]));
                ResponseHead::encode(out, head.status, fields);
            }),
            Self::ReplyBody { id, call, bytes } => encode_of_call(out, 8, *id, *call, bytes),
            Self::ReplyEnds { id, call, whole } => encode_of_call(out, 9, *id, *call, &[u8::from(*whole)]),
            Self::CallCredit { id, call, bytes } => {
                encode_of_call(out, 10, *id, *call, &bytes.to_le_bytes());
            }
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
                    4 => CancelReason::AbortDelay,
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
            7 => {
                let call = reader.u32("call")?;
                let kind = AnswerKind::decode(reader.u8("answer")?)?;
                Ok(Self::ReplyBegins { id, call, kind, head: ResponseHead::decode(reader.rest())? })
            }
            8 => Ok(Self::ReplyBody { id, call: reader.u32("call")?, bytes: reader.rest() }),
            9 => {
                let (call, whole) = (reader.u32("call")?, reader.u8("whole")?);
                reader.end().map(|()| Self::ReplyEnds { id, call, whole: whole != 0 })
            }
            10 => {
                let (call, bytes) = (reader.u32("call")?, reader.u32("credit")?);
                reader.end().map(|()| Self::CallCredit { id, call, bytes })
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
        /// The request that the job answers, as [`RequestHead`] encodes it.
        head: Bytes,
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
    /// A piece of the body of a call whose input says that one follows.
    CallBody {
        /// The job.
        id: u64,
        /// Which of its calls.
        call: u32,
        /// At most [`crate::window::MAX_CHUNK_BYTES`].
        bytes: Bytes,
    },
    /// The body of a call is complete.
    CallBodyEnd {
        /// The job.
        id: u64,
        /// Which of its calls.
        call: u32,
    },
    /// The job has read so much of a call's answer.
    ReplyCredit {
        /// The job.
        id: u64,
        /// Which of its calls.
        call: u32,
        /// Bytes.
        bytes: u32,
    },
    /// What the response will need, before its head.
    EarlyHints {
        /// The job.
        id: u64,
        /// The links.
        hints: EarlyHints,
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
            Self::Call { id, call, name, head, input } => encode_with(out, 6, *id, |out| {
                out.put_u32_le(*call);
                put_bytes(out, name.as_bytes());
                put_bytes(out, head);
                out.put_slice(input);
            }),
            Self::CallCancel { id, call } => encode(out, 7, *id, &call.to_le_bytes()),
            Self::CallBody { id, call, bytes } => encode_of_call(out, 9, *id, *call, bytes),
            Self::CallBodyEnd { id, call } => encode_of_call(out, 10, *id, *call, &[]),
            Self::ReplyCredit { id, call, bytes } => {
                encode_of_call(out, 11, *id, *call, &bytes.to_le_bytes());
            }
            Self::EarlyHints { id, hints } => encode_with(out, 8, *id, |out| {
                out.put_u8(hints.phase as u8);
                out.put_slice(&hints.links);
            }),
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
                    4 => FailureKind::Skipped,
                    5 => FailureKind::Dropped,
                    6 => FailureKind::TurnLimit,
                    7 => FailureKind::HeapLimit,
                    8 => FailureKind::Displaced,
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
                let head = reader.bytes("head")?;
                Ok(Self::Call { id, call, name, head, input: reader.rest() })
            }
            7 => {
                let call = reader.u32("call")?;
                reader.end().map(|()| Self::CallCancel { id, call })
            }
            8 => {
                let phase = reader.u8("phase")?;
                Ok(Self::EarlyHints { id, hints: EarlyHints::decode(phase, reader.rest())? })
            }
            9 => Ok(Self::CallBody { id, call: reader.u32("call")?, bytes: reader.rest() }),
            10 => {
                let call = reader.u32("call")?;
                reader.end().map(|()| Self::CallBodyEnd { id, call })
            }
            11 => {
                let (call, bytes) = (reader.u32("call")?, reader.u32("credit")?);
                reader.end().map(|()| Self::ReplyCredit { id, call, bytes })
            }
            kind => unknown_kind(kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frame::{Decoder, PREFACE};
    use crate::head::{HandlerOptions, JobContext};

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
            options: HandlerOptions {
                context: Some(JobContext::from_json(r#"{"user":7}"#.into()).unwrap()),
                early_hints: true,
                response_link_header: true,
            },
            headers: vec![("accept".into(), "*/*".into()), ("x".into(), "\u{e9}".into())],
        };
        for message in [
            ToRenderer::Job { id: 1, head },
            ToRenderer::Body { id: 2, bytes: "abc".into() },
            ToRenderer::BodyEnd { id: 3 },
            ToRenderer::Cancel { id: 4, reason: CancelReason::ClientGone },
            ToRenderer::Cancel { id: 4, reason: CancelReason::Timeout },
            ToRenderer::Cancel { id: 4, reason: CancelReason::BodyFailed },
            ToRenderer::Cancel { id: 4, reason: CancelReason::AbortDelay },
            ToRenderer::Credit { id: 5, bytes: 70_000 },
            ToRenderer::Reply { id: 6, call: 1, outcome: Outcome::Value("{}".into()) },
            ToRenderer::Reply { id: 6, call: 2, outcome: Outcome::failed(404, "no such function") },
            ToRenderer::ReplyBegins {
                id: 6,
                call: 4,
                kind: AnswerKind::Values,
                head: ResponseHead { status: 200, headers: vec![("a".into(), "b".into())] },
            },
            ToRenderer::ReplyBody { id: 6, call: 4, bytes: "abc".into() },
            ToRenderer::ReplyEnds { id: 6, call: 4, whole: true },
            ToRenderer::ReplyEnds { id: 6, call: 4, whole: false },
            ToRenderer::CallCredit { id: 6, call: 4, bytes: 70_000 },
            ToRenderer::Reply {
                id: 6,
                call: 3,
                outcome: Outcome::Answer {
                    kind: AnswerKind::Response,
                    head: ResponseHead { status: 201, headers: vec![("a".into(), "b".into())] },
                    body: "body".into(),
                },
            },
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
            FromRenderer::Failed { id: 4, failure: failure(FailureKind::Skipped) },
            FromRenderer::Failed { id: 4, failure: failure(FailureKind::Dropped) },
            FromRenderer::Failed { id: 4, failure: failure(FailureKind::TurnLimit) },
            FromRenderer::Failed { id: 4, failure: failure(FailureKind::HeapLimit) },
            FromRenderer::Failed { id: 4, failure: failure(FailureKind::Displaced) },
            FromRenderer::Credit { id: 5, bytes: 1 },
            FromRenderer::CallBody { id: 6, call: 4, bytes: "abc".into() },
            FromRenderer::CallBodyEnd { id: 6, call: 4 },
            FromRenderer::ReplyCredit { id: 6, call: 4, bytes: 70_000 },
            FromRenderer::Call {
                id: 6,
                call: 9,
                name: "threads.list".into(),
                head: "h".into(),
                input: "null".into(),
            },
            FromRenderer::CallCancel { id: 7, call: 9 },
            FromRenderer::EarlyHints {
                id: 8,
                hints: EarlyHints::new(HintPhase::Static, "</a.css>; rel=preload"),
            },
            FromRenderer::EarlyHints { id: 8, hints: EarlyHints::new(HintPhase::Dynamic, "") },
        ] {
            assert_eq!(through_the_wire(&message), message);
        }
    }

    #[test]
    fn early_hints_leave_out_what_no_field_may_hold() {
        let hints = EarlyHints::new(
            HintPhase::Static,
            "</a.css>; rel=preload\n\n</b>\r\nset-cookie: a\n</\u{e9}>\n</c>",
        );
        assert_eq!(hints.links().collect::<Vec<_>>(), ["</a.css>; rel=preload", "set-cookie: a", "</c>"]);
        let long = format!("</{}>\n", "a".repeat(6_000)).repeat(5);
        assert_eq!(EarlyHints::new(HintPhase::Dynamic, &long).links().count(), 2);
    }

    proptest! {
        #[test]
        fn early_hints_survive_the_way(lines in proptest::collection::vec("[ -~]{1,60}", 0..20), is_static: bool) {
            let phase = if is_static { HintPhase::Static } else { HintPhase::Dynamic };
            let sent = FromRenderer::EarlyHints { id: 1, hints: EarlyHints::new(phase, &lines.join("\n")) };
            let FromRenderer::EarlyHints { hints, .. } = through_the_wire(&sent) else { panic!("another message") };
            prop_assert_eq!(hints.phase, phase);
            prop_assert_eq!(hints.links().collect::<Vec<_>>(), lines);
        }

        #[test]
        fn noise_is_an_error_and_not_a_panic(
            kind in 0..12u8,
            noise in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            let frame = || Frame { kind, id: 1, payload: noise.clone().into() };
            let _ = ToRenderer::decode(frame());
            if let Ok(FromRenderer::EarlyHints { hints, .. }) = FromRenderer::decode(frame()) {
                prop_assert!(hints.links().all(|link| link.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')));
            }
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
