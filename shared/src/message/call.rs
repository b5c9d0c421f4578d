//! A call of a native function, as each link to a worker carries it.

use bytes::{BufMut, Bytes, BytesMut};

use crate::wire::{PayloadError, Reader, put_bytes};

/// How many functions of several processes may call each other before the last one is refused.
pub const MAX_CALL_DEPTH: u8 = 16;

/// Who calls a native function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// A client, over HTTP.
    Client,
    /// A job in an isolate: the bundle's own middleware and validators have run.
    Isolate,
    /// A native function of another process.
    Function {
        /// How many functions have called each other to get here, at most [`MAX_CALL_DEPTH`].
        depth: u8,
    },
}

const CLIENT: u8 = 1;
const ISOLATE: u8 = 2;
const FUNCTION: u8 = 3;

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
    /// The request that the caller answers, as [`crate::head::RequestHead`] encodes it; empty when there is none.
    pub head: Bytes,
    /// The input, as [`super::CallInput`] has it; at most [`super::MAX_CALL_BYTES`].
    pub input: Bytes,
}

impl NativeCall {
    pub(super) fn encode(&self, out: &mut BytesMut) {
        put_bytes(out, self.name.as_bytes());
        match self.caller {
            Caller::Client => out.put_u8(CLIENT),
            Caller::Isolate => out.put_u8(ISOLATE),
            Caller::Function { depth } => out.put_slice(&[FUNCTION, depth]),
        }
        out.put_u32_le(self.deadline_ms);
        put_bytes(out, self.request_id.as_bytes());
        put_bytes(out, &self.head);
        out.put_slice(&self.input);
    }

    pub(super) fn decode(mut reader: Reader) -> Result<Self, PayloadError> {
        let name = reader.text("name")?;
        let caller = match reader.u8("caller")? {
            CLIENT => Caller::Client,
            ISOLATE => Caller::Isolate,
            FUNCTION => Caller::Function { depth: reader.u8("depth")? },
            value => return Err(PayloadError::Unknown { field: "caller", value: value.into() }),
        };
        let deadline_ms = reader.u32("deadline")?;
        let request_id = reader.text("request id")?;
        let head = reader.bytes("head")?;
        Ok(Self { name, caller, deadline_ms, request_id, head, input: reader.rest() })
    }
}
