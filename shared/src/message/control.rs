//! The control link between the supervisor and a child process: rare messages, as JSON.

use bytes::{BufMut, BytesMut};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Message, unknown_kind};
use crate::frame::{Frame, encode_with};
use crate::setup::Setup;
use crate::wire::PayloadError;

/// From the supervisor to a child.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToChild {
    /// The first message: what to be.
    Setup(Setup),
    /// Finish what runs, take nothing new, exit.
    Drain,
}

/// From a child to the supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromChild {
    /// An isolate has loaded and warmed the app: it takes jobs now.
    IsolateReady {
        /// Which isolate of the process, from 0.
        isolate: usize,
        /// Milliseconds from the start of its thread.
        startup_ms: u64,
        /// Where its code came from.
        code: CodeUse,
    },
    /// The app cannot run; another start would fail as well.
    LoadFailed(LoadFailure),
    /// An isolate has ended; the process is to be replaced.
    IsolateFailed {
        /// Which isolate.
        isolate: usize,
        /// Why, for the log.
        reason: String,
    },
    /// What an isolate holds.
    IsolateStats {
        /// Which isolate.
        isolate: usize,
        /// Bytes of live and dead objects on V8's heap.
        heap_used_bytes: u64,
        /// Bytes that V8 has reserved for its heap.
        heap_total_bytes: u64,
        /// Bytes outside the heap that objects on it hold (ArrayBuffers).
        external_bytes: u64,
    },
    /// An fn worker takes calls now.
    WorkerReady {
        /// Its functions.
        functions: Vec<FunctionInfo>,
        /// Its routes.
        routes: Vec<RouteInfo>,
    },
}

/// Where the code came from that an isolate needed until it was ready; nothing is counted without a cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeUse {
    /// Pieces taken from the cache: modules, scripts, lists of a CommonJS file's exports.
    pub cached: usize,
    /// Pieces that were not there and had to be compiled.
    pub compiled: usize,
}

/// A function, as the gateway must know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionInfo {
    /// Its name.
    pub name: String,
    /// Whether a call may be sent to another worker when the first one died of it or during it.
    pub idempotent: bool,
}

/// A route, as the gateway must know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteInfo {
    /// Its path in TanStack's syntax.
    pub pattern: String,
    /// Where it was registered, for the log.
    pub registered_at: String,
}

/// Why an app cannot run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadFailure {
    /// The file at fault.
    pub file: String,
    /// What is wrong with it.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

fn encode_json(message: &impl Serialize, out: &mut BytesMut) {
    encode_with(out, 1, 0, |out| {
        // These types hold only strings, numbers and maps with string keys: they always serialise.
        if let Err(error) = serde_json::to_writer(out.writer(), message) {
            debug_assert!(false, "a control message does not serialise: {error}");
        }
    });
}

fn decode_json<T: DeserializeOwned>(frame: Frame) -> Result<T, PayloadError> {
    match frame.kind {
        1 => serde_json::from_slice(&frame.payload).map_err(|error| PayloadError::Json(error.to_string())),
        kind => unknown_kind(kind),
    }
}

impl Message for ToChild {
    fn encode(&self, out: &mut BytesMut) {
        encode_json(self, out);
    }

    fn decode(frame: Frame) -> Result<Self, PayloadError> {
        decode_json(frame)
    }
}

impl Message for FromChild {
    fn encode(&self, out: &mut BytesMut) {
        encode_json(self, out);
    }

    fn decode(frame: Frame) -> Result<Self, PayloadError> {
        decode_json(frame)
    }
}
