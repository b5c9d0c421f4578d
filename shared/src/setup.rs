//! What a child is told before it starts to work.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::egress::Egress;

/// The first control message to a child.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "there is one in the life of a process")]
pub enum Setup {
    /// Be a renderer.
    Renderer(RendererSetup),
    /// Be an fn worker.
    Worker(WorkerSetup),
}

/// What a renderer needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RendererSetup {
    /// The app's directory, absolute; holds `client/` and `server/server.js`.
    pub app_dir: PathBuf,
    /// What the bundle sees as `process.env`.
    pub env: BTreeMap<String, String>,
    /// The most jobs an isolate runs at a time; more are refused.
    pub max_jobs_per_isolate: usize,
    /// The most bytes of V8's heap for an isolate.
    pub max_heap_bytes: u64,
    /// What else an isolate and its process may use.
    pub limits: IsolateLimits,
    /// The path and query of the page that an isolate renders for nobody before it is ready.
    pub warmup_path: String,
    /// An empty directory of this process alone, absolute, in which it may write. Whoever made it removes it.
    pub scratch_dir: PathBuf,
    /// Whether the process is locked in before it loads the app.
    pub sandbox: SandboxMode,
    /// Flags of V8, each beginning with `--`.
    pub v8_flags: Vec<String>,
    /// Where Chrome's developer tools find the process's first isolate, if they may.
    pub inspect: Option<SocketAddr>,
    /// Where compiled code is kept between starts; `None` keeps nothing.
    pub code_cache: Option<CodeCacheSetup>,
    /// What the app may reach beyond its own files.
    pub access: Access,
    /// What finished requests may leave behind.
    pub background: BackgroundLimits,
    /// The limits of a render pipeline.
    pub pipeline: PipelineLimits,
    /// Whether it prepares all that it can without running the app, and runs that when it is told to.
    pub waits: bool,
}

impl RendererSetup {
    /// A renderer of this app, with the defaults of the gateway's configuration: one that may write to `scratch_dir`
    /// alone, keeps no compiled code, sees `NODE_ENV=production`, and loads the app at once.
    pub fn new(app_dir: impl Into<PathBuf>, scratch_dir: impl Into<PathBuf>) -> Self {
        Self {
            app_dir: app_dir.into(),
            env: BTreeMap::from([("NODE_ENV".to_owned(), "production".to_owned())]),
            max_jobs_per_isolate: 16,
            max_heap_bytes: 512 << 20,
            limits: IsolateLimits::default(),
            warmup_path: "/".into(),
            scratch_dir: scratch_dir.into(),
            sandbox: SandboxMode::default(),
            v8_flags: Vec::new(),
            inspect: None,
            code_cache: None,
            access: Access::default(),
            background: BackgroundLimits::default(),
            pipeline: PipelineLimits::default(),
            waits: false,
        }
    }
}

/// Where renderers keep compiled code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeCacheSetup {
    /// An absolute directory that only this user may write. Renderers read it, and write it where they may.
    pub directory: PathBuf,
    /// The most bytes of all files in it.
    pub max_bytes: u64,
}

/// Whether a renderer is locked in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SandboxMode {
    /// As far as the kernel can.
    #[default]
    Auto,
    /// It does not run the app where the kernel cannot lock it in.
    Required,
    /// It is not.
    Off,
}

/// What an app may reach beyond its own files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// Where it may connect to.
    pub egress: Egress,
    /// Addresses of the gateway itself, to which it may not connect whatever the rules say.
    pub own: Vec<SocketAddr>,
    /// Directories that it may read and write, absolute and without symbolic links.
    pub writable: Vec<PathBuf>,
}

/// The bounds of work that was handed to `waitUntil`, for each isolate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackgroundLimits {
    /// The most promises that are pending.
    pub max_pending: u32,
    /// How long each may be pending, in milliseconds.
    pub limit_ms: u32,
}

impl Default for BackgroundLimits {
    fn default() -> Self {
        Self { max_pending: 256, limit_ms: 30_000 }
    }
}

/// The limits of a render pipeline; they cross into JavaScript as they are: see `boot/pipeline.js`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineLimits {
    /// How long one of its hooks may take, in milliseconds.
    pub hook_timeout_ms: u32,
    /// The most metrics that the app may register.
    pub max_metrics: u32,
    /// The most label sets of one of them.
    pub max_series: u32,
}

impl Default for PipelineLimits {
    /// As the gateway's configuration has them.
    fn default() -> Self {
        Self { hook_timeout_ms: 5000, max_metrics: 64, max_series: 100 }
    }
}

/// What an isolate and its process may use, beside V8's heap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IsolateLimits {
    /// Milliseconds of CPU time that JavaScript may take in one synchronous turn; 1000 by default.
    pub max_turn_ms: u64,
    /// The same while the app loads and warms up; 10,000 by default.
    pub max_load_turn_ms: u64,
    /// The most bytes in `ArrayBuffer`s; 512 MiB by default.
    pub max_external_bytes: u64,
    /// The most resident bytes of the whole process; 2 GiB by default.
    pub max_rss_bytes: u64,
    /// So many jobs an isolate runs until it is replaced; 0, the default, sets no limit.
    pub max_jobs_before_recycle: u64,
}

impl Default for IsolateLimits {
    fn default() -> Self {
        Self {
            max_turn_ms: 1000,
            max_load_turn_ms: 10_000,
            max_external_bytes: 512 << 20,
            max_rss_bytes: 2 << 30,
            max_jobs_before_recycle: 0,
        }
    }
}

/// What an fn worker needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerSetup {
    /// Threads that run function actors.
    pub arbiters: usize,
    /// The most calls that wait for one function actor; more are refused.
    pub mailbox: usize,
    /// What forms may hold, where a function does not say otherwise.
    pub forms: FormLimits,
    /// What serialised values may hold.
    pub values: ValueLimits,
}

/// What a form may hold: `multipart/form-data` or urlencoded. Each limit holds before the memory that it bounds is
/// taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormLimits {
    /// The most bytes of the whole body; 32 MiB by default.
    pub max_bytes: u64,
    /// The most parts, texts and files together; 200 by default.
    pub max_parts: u32,
    /// The most fields of text; 100 by default.
    pub max_fields: u32,
    /// The most bytes of a field of text, and of any field's name; 64 KiB by default.
    pub max_field_bytes: u32,
    /// The most bytes of a file; 32 MiB by default.
    pub max_file_bytes: u64,
    /// A file longer than this lies in a temporary file; 256 KiB by default.
    pub spill_bytes: u32,
}

impl Default for FormLimits {
    /// As the gateway's configuration has them.
    fn default() -> Self {
        Self {
            max_bytes: 32 << 20,
            max_parts: 200,
            max_fields: 100,
            max_field_bytes: 64 << 10,
            max_file_bytes: 32 << 20,
            spill_bytes: 256 << 10,
        }
    }
}

/// What a value in seroval's form may hold. Each limit holds before the memory that it bounds is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueLimits {
    /// How deep values may lie in each other; 100 by default.
    pub max_depth: u32,
    /// The most parts of JSON: each object, array, string, number, word and name counts one; 2,000,000 by default.
    pub max_nodes: u32,
    /// The most references to values that stand elsewhere in the text; 10,000 by default.
    pub max_references: u32,
    /// The most bytes of text and binary data that come out, where references repeat them; 64 MiB by default.
    pub max_bytes: u64,
}

impl Default for ValueLimits {
    /// As the gateway's configuration has them.
    fn default() -> Self {
        Self { max_depth: 100, max_nodes: 2_000_000, max_references: 10_000, max_bytes: 64 << 20 }
    }
}
