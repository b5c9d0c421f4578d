//! The control link between the supervisor and a child process: rare messages, as JSON.

use std::path::PathBuf;

use bytes::{BufMut, BytesMut};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Message, unknown_kind};
use crate::app_metrics::AppMetrics;
use crate::frame::{Frame, encode_with};
use crate::setup::Setup;
use crate::wire::PayloadError;

/// From the supervisor to a child.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "a process hears of its setup once")]
pub enum ToChild {
    /// The first message: what to be.
    Setup(Setup),
    /// Finish what runs, take nothing new, exit.
    Drain,
    /// Look into an isolate; answered by a [`FromChild::Examined`].
    Examine(Examination),
    /// The gateway listens. To renderers alone, once each, also before their isolates are ready.
    Serving(Serving),
    /// Load the app. To a renderer whose set-up says that it waits for this.
    Load,
}

/// A look into an isolate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Examination {
    /// Which isolate of the process, from 0.
    pub isolate: usize,
    /// What is wanted.
    pub what: Examine,
    /// An empty file in the process's scratch directory that takes the result.
    pub file: PathBuf,
    /// The most bytes that may be written there.
    pub max_bytes: u64,
}

/// What is wanted of an isolate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Examine {
    /// What it does for so long, as a `.cpuprofile`.
    CpuProfile {
        /// Milliseconds.
        millis: u64,
    },
    /// What is on its heap, as a `.heapsnapshot`. The isolate stands still meanwhile.
    HeapSnapshot,
}

/// What an app is told of the server once clients can connect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serving {
    /// Where clients connect, as a URL without a path; `unix:PATH` for a socket.
    pub address: String,
    /// Names the app's build.
    pub build_id: String,
    /// The renderer's place in the pool, from 0.
    pub renderer: usize,
    /// Whether this renderer's first isolate is the one for what is to be done once.
    pub first: bool,
}

/// From a child to the supervisor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
        /// What its start went into. In one that waited for its order, `create` and `boot` were before it and are no
        /// part of `startup_ms`, and `load` neither, unless the app had to be compiled again.
        phases: StartPhases,
    },
    /// How the process is locked in; sent before it loads the app.
    Sandboxed(Layers),
    /// It does not run the app with this setup; another start would fail as well.
    SetupRefused(SetupRefusal),
    /// The app cannot run; another start would fail as well.
    LoadFailed(LoadFailure),
    /// An isolate has ended; the process is to be replaced.
    IsolateFailed {
        /// Which isolate.
        isolate: usize,
        /// Why, for the log.
        reason: String,
    },
    /// An isolate, or the whole process, is to be replaced; it finishes what it runs.
    Retire {
        /// Which isolate; all of them when `None`.
        isolate: Option<usize>,
        /// Why.
        reason: RetireReason,
        /// It refuses new jobs already.
        closed: bool,
    },
    /// The process ends at once, and what it runs with it: nothing in it can be ended alone.
    GivesUp {
        /// Why.
        reason: GiveUp,
        /// Which isolate is at fault; `None` where the process is.
        isolate: Option<usize>,
        /// The wire's id of the job that is to blame, where one is known.
        job: Option<u64>,
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
        /// What its thread did since the last report; `None` where the kernel does not count it, and while it had no jobs.
        idle: Option<IdleTime>,
    },
    /// The end of a [`ToChild::Examine`]; the file is complete where there is no problem.
    Examined {
        /// Which isolate.
        isolate: usize,
        /// What went wrong.
        problem: Option<String>,
    },
    /// What finished requests handed to `waitUntil`, in counts since the isolate's last report.
    Background {
        /// Which isolate.
        isolate: usize,
        /// Promises that are pending now.
        pending: u32,
        /// Promises that were fulfilled.
        finished: u32,
        /// Promises that were rejected.
        failed: u32,
        /// Promises that found no room.
        refused: u32,
        /// Promises that took too long.
        timed_out: u32,
    },
    /// The app's own metrics in an isolate; sent when they have changed.
    AppMetrics {
        /// Which isolate.
        isolate: usize,
        /// All of them, since the isolate's start.
        metrics: AppMetrics,
    },
    /// An fn worker takes calls now.
    WorkerReady {
        /// Its functions.
        functions: Vec<FunctionInfo>,
        /// Its routes.
        routes: Vec<RouteInfo>,
    },
    /// What an fn worker has refused to read since its last report.
    Refused(Vec<RefusalCount>),
}

/// How long an isolate's thread had nothing to do while it had jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdleTime {
    /// Microseconds in which it neither ran nor waited for a core.
    pub idle_us: u64,
    /// Of so many that have passed.
    pub passed_us: u64,
}

/// How often something was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalCount {
    /// Why.
    pub refusal: Refusal,
    /// How often.
    pub count: u64,
}

/// Why an fn worker does not read what it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// A form is longer than it may be.
    FormBytes,
    /// A form has too many parts.
    FormParts,
    /// A form has too many fields of text.
    FormFields,
    /// A field of a form is too long, or the head of a part is.
    FormField,
    /// A file of a form is too long.
    FormFile,
    /// A form is none.
    FormMalformed,
    /// A value is too deep, too large, or refers too often.
    ValueLimit,
    /// A value is none.
    ValueMalformed,
    /// An input is longer than its function takes.
    InputBytes,
}

impl Refusal {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::FormBytes,
        Self::FormParts,
        Self::FormFields,
        Self::FormField,
        Self::FormFile,
        Self::FormMalformed,
        Self::ValueLimit,
        Self::ValueMalformed,
        Self::InputBytes,
    ];

    /// The value of the metrics' `reason` label.
    pub fn label(self) -> &'static str {
        match self {
            Self::FormBytes => "form_bytes",
            Self::FormParts => "form_parts",
            Self::FormFields => "form_fields",
            Self::FormField => "form_field",
            Self::FormFile => "form_file",
            Self::FormMalformed => "form_malformed",
            Self::ValueLimit => "value_limit",
            Self::ValueMalformed => "value_malformed",
            Self::InputBytes => "input_bytes",
        }
    }

    /// The status that answers it.
    pub fn status(self) -> u16 {
        match self {
            Self::FormMalformed | Self::ValueMalformed => 400,
            _ => 413,
        }
    }
}

/// Where the code came from that an isolate needed until it was ready; nothing is counted without a cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeUse {
    /// Pieces taken from the cache: modules, scripts, lists of a CommonJS file's exports.
    pub cached: usize,
    /// Pieces that were not there and had to be compiled.
    pub compiled: usize,
}

/// What the start of an isolate went into, in microseconds of the clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartPhases {
    /// V8's isolate and its context, out of the snapshot.
    pub create_us: u64,
    /// The runtime's own scripts, which complete the global scope.
    pub boot_us: u64,
    /// The app's modules: read, taken from the code cache or compiled, linked.
    pub load_us: u64,
    /// The app's modules: run.
    pub evaluate_us: u64,
    /// The warming request, with the modules that it loads.
    pub warm_us: u64,
    /// Compiled code that the cache lacks, written.
    pub keep_us: u64,
}

impl StartPhases {
    /// The values of the metrics' `phase` label, with their microseconds.
    pub fn labelled(self) -> [(&'static str, u64); 6] {
        let Self { create_us, boot_us, load_us, evaluate_us, warm_us, keep_us } = self;
        [
            ("create", create_us),
            ("boot", boot_us),
            ("load", load_us),
            ("evaluate", evaluate_us),
            ("warm", warm_us),
            ("keep", keep_us),
        ]
    }
}

/// A function, as the gateway must know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionInfo {
    /// Its name.
    pub name: String,
    /// Whether a call may be sent to another worker when the first one died of it or during it.
    pub idempotent: bool,
    /// Where it was registered, for the log.
    pub registered_at: String,
}

/// A route, as the gateway must know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteInfo {
    /// Its path in TanStack's syntax.
    pub pattern: String,
    /// Where it was registered, for the log.
    pub registered_at: String,
}

/// What of the sandbox is in force. All is off where the operator turned it off.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layers {
    /// No program that it starts may gain rights (`no_new_privs`).
    pub no_new_privs: bool,
    /// It has given up the superuser's rights, all but those over files.
    pub capabilities: bool,
    /// Dangerous system calls are refused (seccomp).
    pub seccomp: bool,
    /// The version of landlock that guards files, signals and ports; 0 without.
    pub landlock_abi: u32,
    /// Why a layer is missing; empty when none is, or when all are turned off.
    pub problems: Vec<String>,
}

/// Why a renderer does not take its setup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum SetupRefusal {
    /// V8 does not know these flags.
    #[error(
        "v8_flags: V8 does not know {}; take it out, or correct it (`node --v8-options` lists flags)",
        .0.join(" and ")
    )]
    V8Flags(Vec<String>),
    /// The sandbox is required and the kernel does not have all of it.
    #[error("sandbox = required, and not all of it is there ({}); allow it, or set sandbox = auto", .0.join("; "))]
    Sandbox(Vec<String>),
}

/// Why an isolate asks for its replacement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetireReason {
    /// A synchronous turn took too long and was terminated.
    TurnLimit,
    /// V8's heap is nearly full.
    HeapLimit,
    /// `ArrayBuffer`s hold nearly as much as they may.
    ExternalLimit,
    /// The process holds more memory than it may.
    RssLimit,
    /// The isolate has run as many jobs as it may.
    MaxJobs,
}

impl RetireReason {
    /// The value of the metrics' `reason` label.
    pub fn label(self) -> &'static str {
        match self {
            Self::TurnLimit => "turn_limit",
            Self::HeapLimit => "heap_limit",
            Self::ExternalLimit => "external_limit",
            Self::RssLimit => "rss_limit",
            Self::MaxJobs => "max_jobs",
        }
    }
}

/// Why a process gives itself up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GiveUp {
    /// JavaScript does not end though it was terminated.
    Stuck,
    /// It holds far more memory than it may.
    Memory,
}

impl GiveUp {
    /// The value of the metrics' `reason` label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Stuck => "stuck",
            Self::Memory => "rss_limit",
        }
    }
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
