//! The link between a gateway thread and an fn worker.

use bytes::{BufMut, Bytes, BytesMut};

use super::{Message, Outcome, unknown_kind};
use crate::frame::{Frame, encode, encode_with};
use crate::wire::{PayloadError, Reader, put_bytes};

/// Who calls a native function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Caller {
    /// A client, over HTTP.
    Client = 1,
    /// A job in an isolate: the bundle's own middleware and validators have run.
    Isolate = 2,
}

/// A call of a native function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NativeCall {
    /// The function's registered name.
    pub name: String,
    /// Who calls.
    pub caller: Caller,
    /// Milliseconds until the caller gives up.
    pub deadline_ms: u32,
    /// The request that this call belongs to, for the log.
    pub request_id: String,
    /// The input, as JSON; at most [`super::MAX_CALL_BYTES`].
    pub input: Bytes,
}

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
    /// The caller has gone; no reply is sent for this call.
    Cancel {
        /// The call.
        id: u64,
    },
}

impl Message for ToWorker {
    fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Call { id, call } => encode_with(out, 1, *id, |out| {
                put_bytes(out, call.name.as_bytes());
                out.put_u8(call.caller as u8);
                out.put_u32_le(call.deadline_ms);
                put_bytes(out, call.request_id.as_bytes());
                out.put_slice(&call.input);
            }),
            Self::Cancel { id } => encode(out, 2, *id, &[]),
        }
    }

    fn decode(Frame { kind, id, payload }: Frame) -> Result<Self, PayloadError> {
        let mut reader = Reader::new(payload);
        match kind {
            1 => {
                let name = reader.text("name")?;
                let caller = match reader.u8("caller")? {
                    1 => Caller::Client,
                    2 => Caller::Isolate,
                    value => return Err(PayloadError::Unknown { field: "caller", value: value.into() }),
                };
                let deadline_ms = reader.u32("deadline")?;
                let request_id = reader.text("request id")?;
                let call = NativeCall { name, caller, deadline_ms, request_id, input: reader.rest() };
                Ok(Self::Call { id, call })
            }
            2 => reader.end().map(|()| Self::Cancel { id }),
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
}

impl Message for FromWorker {
    fn encode(&self, out: &mut BytesMut) {
        let Self::Reply { id, outcome } = self;
        encode_with(out, 1, *id, |out| outcome.encode(out));
    }

    fn decode(Frame { kind, id, payload }: Frame) -> Result<Self, PayloadError> {
        match kind {
            1 => Ok(Self::Reply { id, outcome: Outcome::decode(Reader::new(payload))? }),
            kind => unknown_kind(kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Decoder, PREFACE};

    #[test]
    fn a_call_and_its_reply_survive_the_way() {
        let call = ToWorker::Call {
            id: 7,
            call: NativeCall {
                name: "threads.list".into(),
                caller: Caller::Isolate,
                deadline_ms: 1500,
                request_id: "r1".into(),
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
}
