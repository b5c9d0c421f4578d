//! The child processes: how many, of which programs, with which limits.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use shared::setup::{FormLimits, IsolateLimits, SandboxMode, ValueLimits};

use crate::config::read::Reader;
use crate::config::value;

/// The most sockets between gateway and children: each gateway thread has a link of its own to each isolate and
/// to each fn worker.
pub const MAX_LINKS: usize = 4096;

/// The child processes.
#[derive(Debug, Clone)]
pub struct Processes {
    /// Renderer processes.
    pub renderers: usize,
    /// Loaded renderers beside them that take a lost one's place.
    pub spares: usize,
    /// Isolates in each.
    pub isolates: usize,
    /// Fn workers.
    pub fn_workers: usize,
    /// Threads of the gateway that serve clients.
    pub threads: usize,
    /// The renderer program.
    pub renderer_bin: PathBuf,
    /// The fn worker program; empty when `fn_workers` is 0 and none was given.
    pub fn_worker_bin: PathBuf,
    /// Threads in each fn worker that run functions.
    pub fn_worker_threads: usize,
    /// Calls that wait for one function.
    pub fn_worker_mailbox: usize,
    /// What forms for native functions may hold.
    pub form_limits: FormLimits,
    /// What values for native functions may hold.
    pub value_limits: ValueLimits,
    /// Bytes of V8's heap for an isolate.
    pub max_heap_bytes: u64,
    /// What else an isolate and its process may use.
    pub isolate_limits: IsolateLimits,
    /// How long an isolate may take to load the app.
    pub load_timeout: Duration,
    /// Whether renderers are locked in.
    pub sandbox: SandboxMode,
    /// Flags of V8.
    pub v8_flags: Vec<String>,
    /// How long a hook of a render pipeline may take.
    pub hook_timeout: Duration,
    /// Metrics that the app may register.
    pub max_app_metrics: usize,
    /// Label sets of one of them.
    pub max_app_metric_series: usize,
    /// The page that warms an isolate.
    pub warmup_path: String,
    /// Where compiled code is kept.
    pub code_cache: CodeCache,
    /// The most bytes of it.
    pub code_cache_limit: u64,
    /// The pause before a lost process is started again.
    pub restart_backoff: Duration,
    /// The longest such pause.
    pub restart_backoff_max: Duration,
    /// Restarts of one slot within a minute.
    pub restarts_per_minute: usize,
    /// After so long a run the next loss counts as a first one.
    pub restart_stable_after: Duration,
}

/// Where renderers keep compiled code between starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CodeCache {
    /// Nowhere.
    Off,
    /// Where this user's caches are.
    Usual,
    /// Here.
    At(PathBuf),
}

pub(super) fn processes(reader: &mut Reader<'_>) -> Option<Processes> {
    let (renderers, isolates) = (reader.count("renderers"), reader.count("isolates"));
    let (fn_workers, threads) = (reader.count("fn_workers"), reader.count("threads"));
    let spares = reader.count("spares");
    if let (Some(renderers), Some(spares), Some(isolates), Some(fn_workers), Some(threads)) =
        (renderers, spares, isolates, fn_workers, threads)
    {
        refuse_too_many_links(reader, (renderers + spares) * isolates, fn_workers, threads);
    }
    let renderer_bin = program(reader, "renderer_bin", "renderer-pool");
    let fn_worker_bin = match fn_workers {
        Some(0) if !reader.is_given("fn_worker_bin") => Some(PathBuf::new()),
        _ => program(reader, "fn_worker_bin", "fn-workers"),
    };
    let (fn_worker_threads, fn_worker_mailbox) =
        (reader.count("fn_worker_threads"), reader.count("fn_worker_mailbox"));
    let (form_limits, value_limits) = (form_limits(reader), value_limits(reader));
    let (max_heap, load_timeout) = (reader.size("max_heap"), reader.time("load_timeout"));
    let hook_timeout = reader.time("hook_timeout");
    let (app_metrics, app_series) = (reader.count("max_app_metrics"), reader.count("max_app_metric_series"));
    let isolate_limits = isolate_limits(reader, max_heap, isolates);
    let warmup_path = reader.parsed("warmup_path", value::request_path);
    let (code_cache, code_cache_limit) = (code_cache(reader), reader.size("code_cache_limit"));
    let sandbox = reader.parsed("sandbox", |text| match text {
        "auto" => Some(SandboxMode::Auto),
        "required" => Some(SandboxMode::Required),
        "off" => Some(SandboxMode::Off),
        _ => None,
    });
    let v8_flags = reader.v8_flags("v8_flags");
    let (backoff, backoff_max) = (reader.time("restart_backoff"), reader.time("restart_backoff_max"));
    if let (Some(first), Some(most)) = (backoff, backoff_max)
        && first > most
    {
        let allowed = format!("at most restart_backoff_max, which is {}", value::show_duration(most));
        let remedy = "lower restart_backoff or raise restart_backoff_max";
        reader.refuse("restart_backoff", value::show_duration(first), allowed, remedy.into());
    }
    let (per_minute, stable_after) =
        (reader.count("restarts_per_minute"), reader.time("restart_stable_after"));
    Some(Processes {
        renderers: renderers?,
        spares: spares?,
        isolates: isolates?,
        fn_workers: fn_workers?,
        threads: threads?,
        renderer_bin: renderer_bin?,
        fn_worker_bin: fn_worker_bin?,
        fn_worker_threads: fn_worker_threads?,
        fn_worker_mailbox: fn_worker_mailbox?,
        form_limits: form_limits?,
        value_limits: value_limits?,
        max_heap_bytes: max_heap?,
        isolate_limits: isolate_limits?,
        load_timeout: load_timeout?,
        hook_timeout: hook_timeout?,
        max_app_metrics: app_metrics?,
        max_app_metric_series: app_series?,
        warmup_path: warmup_path?,
        code_cache: code_cache?,
        code_cache_limit: code_cache_limit?,
        sandbox: sandbox?,
        v8_flags: v8_flags?,
        restart_backoff: backoff?,
        restart_backoff_max: backoff_max?,
        restarts_per_minute: per_minute?,
        restart_stable_after: stable_after?,
    })
}

fn code_cache(reader: &mut Reader<'_>) -> Option<CodeCache> {
    if !reader.is_given("code_cache") {
        return Some(CodeCache::Usual);
    }
    reader.path("code_cache").map(|path| match path.to_str() {
        Some(value::OFF) => CodeCache::Off,
        _ => CodeCache::At(path),
    })
}

/// A process holds its heaps, their buffers, and so much of its own.
const OWN_BYTES: u64 = 256 << 20;

fn isolate_limits(
    reader: &mut Reader<'_>,
    max_heap: Option<u64>,
    isolates: Option<usize>,
) -> Option<IsolateLimits> {
    let (max_turn, max_load_turn) = (reader.time("max_turn"), reader.time("max_load_turn"));
    let max_external = reader.size("max_external");
    let max_rss = if reader.is_given("max_rss") {
        reader.size("max_rss")
    } else {
        let isolates = isolates.and_then(|isolates| u64::try_from(isolates).ok());
        isolates.zip(max_heap).zip(max_external).map(|((isolates, heap), external)| {
            isolates.saturating_mul(heap.saturating_add(external)).saturating_add(OWN_BYTES)
        })
    };
    let max_jobs = reader.count("max_jobs_before_recycle");
    let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Some(IsolateLimits {
        max_turn_ms: milliseconds(max_turn?),
        max_load_turn_ms: milliseconds(max_load_turn?),
        max_external_bytes: max_external?,
        max_rss_bytes: max_rss?,
        max_jobs_before_recycle: u64::try_from(max_jobs?).unwrap_or(u64::MAX),
    })
}

fn form_limits(reader: &mut Reader<'_>) -> Option<FormLimits> {
    let (bytes, parts, fields) =
        (reader.size("form_limit"), reader.count("form_parts"), reader.count("form_fields"));
    let (field, file, memory) =
        (reader.size("form_field_limit"), reader.size("form_file_limit"), reader.size("form_memory"));
    Some(FormLimits {
        max_bytes: bytes?,
        max_parts: u32::try_from(parts?).unwrap_or(u32::MAX),
        max_fields: u32::try_from(fields?).unwrap_or(u32::MAX),
        max_field_bytes: u32::try_from(field?).unwrap_or(u32::MAX),
        max_file_bytes: file?,
        spill_bytes: u32::try_from(memory?).unwrap_or(u32::MAX),
    })
}

fn value_limits(reader: &mut Reader<'_>) -> Option<ValueLimits> {
    let (depth, nodes) = (reader.count("value_depth"), reader.count("value_nodes"));
    let (references, bytes) = (reader.count("value_references"), reader.size("value_limit"));
    Some(ValueLimits {
        max_depth: u32::try_from(depth?).unwrap_or(u32::MAX),
        max_nodes: u32::try_from(nodes?).unwrap_or(u32::MAX),
        max_references: u32::try_from(references?).unwrap_or(u32::MAX),
        max_bytes: bytes?,
    })
}

fn refuse_too_many_links(reader: &mut Reader<'_>, isolates: usize, fn_workers: usize, threads: usize) {
    let links = threads * (isolates + fn_workers);
    if links > MAX_LINKS {
        let given = format!(
            "{threads} threads, each with a socket to {isolates} isolates and {fn_workers} fn workers: {links}"
        );
        let remedy = "lower threads first: 8 serve many cores' worth of isolates; else renderers or isolates";
        reader.refuse("threads", given, format!("at most {MAX_LINKS} sockets"), remedy.into());
    }
}

/// A child's program: where the key says, else beside the gateway.
fn program(reader: &mut Reader<'_>, key: &'static str, name: &str) -> Option<PathBuf> {
    let given = reader.path(key);
    if given.is_none() && reader.is_given(key) {
        return None;
    }
    let beside = || std::env::current_exe().ok().map(|exe| exe.with_file_name(name));
    let path = given.or_else(beside)?;
    if is_program(&path) {
        return Some(std::path::absolute(&path).unwrap_or(path));
    }
    let flag = key.replace('_', "-");
    let remedy = format!("build it (cargo build --release -p {name}) or say where it is: --{flag} PATH");
    reader.refuse(key, path.display().to_string(), "a program that can be run".into(), remedy);
    None
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
