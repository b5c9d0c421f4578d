//! Everything that the gateway was told, in types that carry their units.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use shared::egress::Egress;
use shared::logging::{self, LogFormat};
use shared::setup::{Access, BackgroundLimits, FormLimits, IsolateLimits, SandboxMode, ValueLimits};

use super::edge::{self, Edge};
use super::read::Reader;
use super::remote;
use super::value::{self, Listen};
use crate::admission::breaker::BreakerSettings;
use crate::admission::class::Shares;
use crate::middleware::trace_context::{TraceSettings, TraceTrust};
use crate::pool::RemoteSettings;

/// The most sockets between gateway and children: each gateway thread has a link of its own to each isolate and
/// to each fn worker.
pub const MAX_LINKS: usize = 4096;

/// As long as any time may be.
const UNLIMITED: Duration = Duration::from_secs(24 * 3600);

/// All settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The app's directory, as given.
    pub app: PathBuf,
    /// Static files live below it; empty for the root, else without a slash at the end.
    pub base_path: String,
    /// Environment variables that the app may see; a `*` at the end is a wildcard.
    pub env: Vec<String>,
    /// What the app may reach beyond its own files.
    pub access: Access,
    /// Where clients connect.
    pub listen: Listen,
    /// Where metrics, health and status are served.
    pub admin: SocketAddr,
    /// How they may speak.
    pub protocols: Protocols,
    /// What is asked of clients.
    pub clients: Clients,
    /// The child processes.
    pub processes: Processes,
    /// The work that they do.
    pub jobs: Jobs,
    /// Workers on other machines.
    pub remote: Option<RemoteSettings>,
    /// What the edge does with requests and responses.
    pub edge: Arc<Edge>,
    /// The most bytes of static files held in memory.
    pub static_memory: u64,
    /// Ways to look inside.
    pub debugging: Debugging,
    /// How long running requests may take to finish after SIGTERM.
    pub drain_timeout: Duration,
    /// Which log lines are written.
    pub log_filter: String,
    /// How they are written.
    pub log_format: LogFormat,
    /// Lines of the access log in a second for requests that are turned away.
    pub access_log_refusals: u32,
    /// What looked like a mistake and need not be one.
    pub warnings: Vec<String>,
}

/// How clients may speak.
#[derive(Debug, Clone)]
pub struct Protocols {
    /// Certificates with their keys; empty without TLS.
    pub certificates: Vec<CertificateFiles>,
    /// How often they are looked at; zero never.
    pub tls_reload: Duration,
    /// Whether HTTP/2 is spoken without TLS too.
    pub h2c: bool,
    /// Requests of one HTTP/2 connection at a time.
    pub h2_max_streams: u32,
    /// Whether the address is shared with other gateways.
    pub reuse_port: bool,
}

/// Where a certificate chain and its private key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, PEM.
    pub chain: PathBuf,
    /// The key, PEM.
    pub key: PathBuf,
}

/// Limits towards clients and proxies.
#[derive(Debug, Clone)]
pub struct Clients {
    /// Connections open at a time.
    pub max_connections: usize,
    /// Connections of one address or network at a time; 0 sets no limit.
    pub max_connections_per_ip: usize,
    /// The longest head of a request, in bytes.
    pub head_limit: usize,
    /// The longest body of a request, in bytes.
    pub body_limit: u64,
    /// How long a head may take.
    pub head_timeout: Duration,
    /// How long a body may pause.
    pub body_timeout: Duration,
    /// How long a client may take no bytes of its response.
    pub write_timeout: Duration,
    /// Bytes of a body that must come in a second; 0 sets no rate.
    pub min_upload_rate: u64,
    /// Bytes of responses that must be taken in a second; 0 sets no rate.
    pub min_download_rate: u64,
    /// How long an idle connection stays open.
    pub keep_alive: Duration,
    /// Proxies whose word is taken.
    pub trusted_proxies: Vec<IpNet>,
    /// Which headers they write.
    pub forwarded: ForwardedStyle,
    /// Whose word is taken on traces.
    pub traces: TraceSettings,
}

/// Which headers trusted proxies write. The others are dropped even from them: a proxy passes on what it does
/// not know, and a client could have written it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForwardedStyle {
    /// `X-Forwarded-For`, `X-Forwarded-Proto`, `X-Forwarded-Host`.
    XForwarded,
    /// `Forwarded`, RFC 7239.
    Forwarded,
}

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

/// Ways to look inside.
#[derive(Debug, Clone, Copy)]
pub struct Debugging {
    /// Where Chrome's developer tools find an isolate; a loopback address.
    pub inspect: Option<SocketAddr>,
    /// Whether the admin port makes profiles and heap snapshots.
    pub endpoints: bool,
    /// The most bytes of one of them.
    pub max_result_bytes: u64,
}

/// The work of the child processes.
#[derive(Debug, Clone)]
pub struct Jobs {
    /// How long a request waits for an isolate.
    pub queue_wait: Duration,
    /// Requests that wait at a time.
    pub queue_limit: usize,
    /// Requests that one isolate answers at a time.
    pub max_jobs_per_isolate: usize,
    /// How far that number may fall by itself.
    pub min_jobs_per_isolate: usize,
    /// Streams of events that one isolate feeds beside them.
    pub max_event_streams_per_isolate: usize,
    /// Who gets how much while all classes wait.
    pub shares: Shares,
    /// When a route is given a rest.
    pub breaker: BreakerSettings,
    /// Whether links that pages need are sent before them.
    pub early_hints: bool,
    /// How long the app may take until its response begins.
    pub job_timeout: Duration,
    /// After so long a request's signal aborts; zero never does.
    pub abort_delay: Duration,
    /// So much later the job is closed.
    pub abort_grace: Duration,
    /// How long a native function may take.
    pub native_call_timeout: Duration,
    /// Whether the app is asked to add a `Link` field to its pages.
    pub response_link_header: bool,
    /// What finished requests may leave behind.
    pub background: BackgroundLimits,
}

/// Reads all settings; `None` when any was wrong, which the reader remembers.
pub fn read(reader: &mut Reader<'_>) -> Option<Settings> {
    let app = app(reader);
    let base_path = reader.base_path("base_path");
    let env = reader.env_patterns("env");
    let access = access(reader);
    let (listen, admin) = (reader.listen("listen"), reader.address("admin"));
    if let (Some(Listen::Tcp(listen)), Some(admin)) = (&listen, admin) {
        refuse_one_address_for_both(reader, *listen, admin);
    }
    let protocols = protocols(reader);
    let (clients, processes, jobs) = (clients(reader), processes(reader), jobs(reader));
    let remote = remote::read(reader);
    let edge = edge::read(reader);
    let static_memory = reader.size("static_memory");
    let debugging = debugging(reader);
    let drain_timeout = reader.time("drain_timeout");
    let log_filter =
        reader.parsed("log_filter", |text| logging::check_filter(text).ok().map(|()| text.to_owned()));
    let log_format = reader.parsed("log_format", |text| text.parse().ok());
    let access_log_refusals = reader.count("access_log_refusals");
    Some(Settings {
        app: app?,
        base_path: base_path?,
        env: env?,
        access: access?,
        listen: listen?,
        admin: admin?,
        protocols: protocols?,
        clients: clients?,
        processes: processes?,
        jobs: jobs?,
        remote: remote?,
        edge: edge?,
        static_memory: static_memory?,
        debugging: debugging?,
        drain_timeout: drain_timeout?,
        log_filter: log_filter?,
        log_format: log_format?,
        access_log_refusals: u32::try_from(access_log_refusals?).ok()?,
        warnings: reader.warnings(),
    })
}

fn app(reader: &mut Reader<'_>) -> Option<PathBuf> {
    if !reader.is_given("app") {
        let allowed = "the directory that `vite build` wrote, with client/ and server/server.js";
        let remedy = "say where it is, for example: gateway --app dist";
        reader.refuse("app", "nothing".into(), allowed.into(), remedy.into());
    }
    reader.path("app")
}

fn access(reader: &mut Reader<'_>) -> Option<Access> {
    let rules = reader.many("egress", |text| text.parse().ok());
    let egress = rules.and_then(|rules| match Egress::new(rules) {
        Ok(egress) => Some(egress),
        Err(error) => {
            let remedy = "leave out `none`, or the others";
            reader.refuse("egress", "none and other rules".into(), error.to_string(), remedy.into());
            None
        }
    });
    let directories = reader.paths("writable");
    let writable = directories.and_then(|directories| {
        let found: Vec<_> = directories.iter().map(|directory| writable(reader, directory)).collect();
        found.into_iter().collect()
    });
    Some(Access { egress: egress?, own: Vec::new(), writable: writable? })
}

/// A directory without symbolic links on its way; what is allowed cannot be led elsewhere later.
fn writable(reader: &mut Reader<'_>, directory: &Path) -> Option<PathBuf> {
    let allowed = "a directory that is there, other than /";
    let (given, remedy) = match directory.canonicalize() {
        Ok(real) if real.is_dir() && real.parent().is_some() => return Some(real),
        Ok(real) if real.is_dir() => ("/".to_owned(), "name the one directory that the app writes to"),
        Ok(real) => (format!("{}, which is no directory", real.display()), "name the directory around it"),
        Err(error) => (format!("{}: {error}", directory.display()), "create it, or correct the path"),
    };
    reader.refuse("writable", given, allowed.into(), remedy.into());
    None
}

fn refuse_one_address_for_both(reader: &mut Reader<'_>, listen: SocketAddr, admin: SocketAddr) {
    if listen == admin && listen.port() != 0 {
        let allowed = format!("another address than listen, which is {listen} as well");
        let remedy = "choose another port, for example --admin 127.0.0.1:9090";
        reader.refuse("admin", admin.to_string(), allowed, remedy.into());
    }
}

fn protocols(reader: &mut Reader<'_>) -> Option<Protocols> {
    let (chains, keys) = (reader.paths("tls_cert"), reader.paths("tls_key"));
    let (tls_reload, h2c) = (reader.time("tls_reload"), reader.switch("h2c"));
    let (h2_max_streams, reuse_port) = (reader.count("h2_max_streams"), reader.switch("reuse_port"));
    let (chains, keys) = (chains?, keys?);
    if chains.len() != keys.len() {
        let given = format!("{} for {} of tls_cert", keys.len(), chains.len());
        let remedy = "give --tls-cert FILE and --tls-key FILE once for each certificate, in the same order";
        reader.refuse("tls_key", given, "as many keys as certificates".into(), remedy.into());
    }
    let pairs = chains.into_iter().zip(keys);
    Some(Protocols {
        certificates: pairs.map(|(chain, key)| CertificateFiles { chain, key }).collect(),
        tls_reload: tls_reload?,
        h2c: h2c?,
        h2_max_streams: u32::try_from(h2_max_streams?).ok()?,
        reuse_port: reuse_port?,
    })
}

fn clients(reader: &mut Reader<'_>) -> Option<Clients> {
    let max_connections = reader.count("max_connections");
    let max_connections_per_ip = reader.count("max_connections_per_ip");
    let (min_upload_rate, min_download_rate) =
        (reader.size("min_upload_rate"), reader.size("min_download_rate"));
    let (head_limit, body_limit) = (reader.size("head_limit"), reader.size("body_limit"));
    let (head_timeout, body_timeout) = (reader.time("head_timeout"), reader.time("body_timeout"));
    let (write_timeout, keep_alive) = (reader.time("write_timeout"), reader.time("keep_alive"));
    let trusted_proxies = reader.networks("trusted_proxy");
    let forwarded = reader.parsed("forwarded_header", |text| match text {
        "x-forwarded" => Some(ForwardedStyle::XForwarded),
        "forwarded" => Some(ForwardedStyle::Forwarded),
        _ => None,
    });
    let traces = traces(reader);
    Some(Clients {
        max_connections: max_connections?,
        max_connections_per_ip: max_connections_per_ip?,
        head_limit: usize::try_from(head_limit?).ok()?,
        body_limit: body_limit?,
        head_timeout: head_timeout?,
        body_timeout: body_timeout?,
        write_timeout: write_timeout?,
        min_upload_rate: min_upload_rate?,
        min_download_rate: min_download_rate?,
        keep_alive: keep_alive?,
        trusted_proxies: trusted_proxies?,
        forwarded: forwarded?,
        traces: traces?,
    })
}

fn traces(reader: &mut Reader<'_>) -> Option<TraceSettings> {
    let trust = reader.parsed("trace_context", |text| match text {
        "trusted" => Some(TraceTrust::Trusted),
        "any" => Some(TraceTrust::Any),
        "off" => Some(TraceTrust::Off),
        _ => None,
    });
    let (sampled, in_response) = (reader.count("trace_sampled_percent"), reader.switch("trace_response"));
    let sampled_percent = u8::try_from(sampled?).ok()?;
    Some(TraceSettings { trust: trust?, sampled_percent, in_response: in_response? })
}

fn processes(reader: &mut Reader<'_>) -> Option<Processes> {
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

fn debugging(reader: &mut Reader<'_>) -> Option<Debugging> {
    let inspect = match reader.is_given("inspect") {
        true => Some(reader.address("inspect")?),
        false => None,
    };
    if let Some(address) = inspect.filter(|address| !address.ip().is_loopback()) {
        let remedy = "whoever reaches it runs code in the app: give --inspect 127.0.0.1:9229, and forward the port \
                      from elsewhere (ssh -L 9229:127.0.0.1:9229)";
        reader.refuse("inspect", address.to_string(), "a loopback address".into(), remedy.into());
    }
    let (endpoints, max_result_bytes) = (reader.switch("debug_endpoints"), reader.size("debug_limit"));
    Some(Debugging { inspect, endpoints: endpoints?, max_result_bytes: max_result_bytes? })
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

fn jobs(reader: &mut Reader<'_>) -> Option<Jobs> {
    let (queue_wait, queue_limit) = (reader.time("queue_wait"), reader.count("queue_limit"));
    let max_jobs_per_isolate = reader.count("max_jobs_per_isolate");
    let job_timeout = match reader.is_given("inspect") && !reader.is_given("job_timeout") {
        // A job that stands at a breakpoint is not late.
        true => Some(UNLIMITED),
        false => reader.time("job_timeout"),
    };
    let native_call_timeout = reader.time("native_call_timeout");
    let (background_limit, background_timeout) =
        (reader.count("background_limit"), reader.time("background_timeout"));
    let (min_jobs_per_isolate, max_event_streams_per_isolate) =
        (reader.count("min_jobs_per_isolate"), reader.count("max_event_streams_per_isolate"));
    let shares = ["share_document", "share_server_function", "share_prefetch"].map(|name| reader.count(name));
    let (breaker_failures, breaker_pause) = (reader.count("breaker_failures"), reader.time("breaker_pause"));
    let early_hints = reader.switch("early_hints");
    let response_link_header = reader.switch("response_link_header");
    let (abort_delay, abort_grace) = (reader.time("abort_delay"), reader.time("abort_grace"));
    Some(Jobs {
        queue_wait: queue_wait?,
        queue_limit: queue_limit?,
        max_jobs_per_isolate: max_jobs_per_isolate?,
        min_jobs_per_isolate: min_jobs_per_isolate?,
        max_event_streams_per_isolate: max_event_streams_per_isolate?,
        shares: shares_of(shares)?,
        breaker: BreakerSettings {
            failures: u32::try_from(breaker_failures?).ok()?,
            pause: breaker_pause?,
            ..BreakerSettings::default()
        },
        early_hints: early_hints?,
        job_timeout: job_timeout?,
        abort_delay: abort_delay?,
        abort_grace: abort_grace?,
        native_call_timeout: native_call_timeout?,
        response_link_header: response_link_header?,
        background: BackgroundLimits {
            max_pending: u32::try_from(background_limit?).ok()?,
            limit_ms: u32::try_from(background_timeout?.as_millis()).ok()?,
        },
    })
}

fn shares_of([document, server_function, prefetch]: [Option<usize>; 3]) -> Option<Shares> {
    let share = |count: Option<usize>| u32::try_from(count?).ok();
    Some(Shares::new([share(document)?, share(server_function)?, share(prefetch)?]))
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::problem::Problems;
    use crate::config::{Sources, load};

    /// With programs that exist, so that only what the test is about can be wrong.
    fn settings(pairs: &[(&'static str, &str)]) -> Result<Settings, Problems> {
        let mut flags = BTreeMap::from([
            ("app", vec!["dist".to_owned()]),
            ("renderer_bin", vec!["/bin/sh".to_owned()]),
            ("fn_worker_bin", vec!["/bin/sh".to_owned()]),
        ]);
        flags.extend(pairs.iter().map(|(name, text)| (*name, vec![(*text).to_owned()])));
        load(&Sources::gather(&flags, &BTreeMap::new(), None))
    }

    #[test]
    fn defaults_are_enough_beside_the_app() {
        let settings = settings(&[]).unwrap();
        assert_eq!(settings.app, Path::new("dist"));
        assert_eq!(settings.clients.body_limit, 10 << 20);
        assert_eq!(settings.jobs.queue_wait, Duration::from_millis(250));
        assert_eq!(settings.drain_timeout, Duration::from_secs(30));
        assert_eq!(settings.base_path, "");
    }

    #[test]
    fn problems_of_all_kinds_come_together() {
        let problems = settings(&[
            ("listen", "localhost"),
            ("threads", "0"),
            ("restart_backoff", "20s"),
            ("renderer_bin", "/nowhere/renderer-pool"),
            ("log_filter", "info,=="),
            ("log_format", "xml"),
        ])
        .unwrap_err();
        let keys: Vec<_> = problems.0.iter().map(|problem| problem.key.as_str()).collect();
        assert_eq!(
            keys,
            ["listen", "threads", "renderer_bin", "restart_backoff", "log_filter", "log_format"]
        );
    }

    #[test]
    fn an_app_must_be_named() {
        let problems = load(&Sources::default()).unwrap_err();
        assert!(
            problems.0.iter().any(|problem| problem.key == "app" && problem.remedy.contains("--app dist"))
        );
    }

    #[test]
    fn the_number_of_sockets_is_bounded() {
        let problems = settings(&[("threads", "64"), ("renderers", "64"), ("isolates", "2")]).unwrap_err();
        assert_eq!(problems.0.len(), 1);
        assert!(problems.to_string().contains("4096"), "{problems}");
    }

    #[test]
    fn the_inspector_is_for_this_machine_alone() {
        let problems = settings(&[("inspect", "0.0.0.0:9229")]).unwrap_err().to_string();
        assert!(problems.contains("loopback") && problems.contains("ssh -L"), "{problems}");
        let settings = settings(&[("inspect", "127.0.0.1:9229")]).unwrap();
        assert_eq!(settings.debugging.inspect.unwrap().port(), 9229);
    }

    #[test]
    fn flags_of_v8_are_flags() {
        let settings = |text| settings(&[("v8_flags", text)]);
        let given = settings("--max-lazy,--stack-size=512").unwrap();
        assert_eq!(given.processes.v8_flags, ["--max-lazy", "--stack-size=512"]);
        for bad in ["max-lazy", "--", "-x", "--a b"] {
            settings(bad).unwrap_err();
        }
    }

    #[test]
    fn both_servers_cannot_have_one_address() {
        assert!(settings(&[("listen", "127.0.0.1:9090")]).is_err());
        assert!(settings(&[("listen", "127.0.0.1:0"), ("admin", "127.0.0.1:0")]).is_ok());
    }

    #[test]
    fn what_an_app_may_reach_is_checked_before_anything_starts() {
        assert!(settings(&[]).unwrap().access.egress.is_all());
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_str().unwrap();
        let access = settings(&[("egress", "db.test:5432,10.0.0.0/8"), ("writable", path)]).unwrap().access;
        assert_eq!(access.egress.rules().len(), 2);
        assert_eq!(access.writable, [directory.path().canonicalize().unwrap()]);
        let problems =
            settings(&[("egress", "none,db.test"), ("writable", "/,/nowhere/at/all,/bin/sh")]).unwrap_err();
        let keys: Vec<_> = problems.0.iter().map(|problem| problem.key.as_str()).collect();
        assert_eq!(keys, ["egress", "writable", "writable", "writable"]);
        let problems = settings(&[("egress", "http://db.test")]).unwrap_err().to_string();
        assert!(problems.contains("http://db.test") && problems.contains("network"), "{problems}");
    }

    #[test]
    fn each_certificate_has_its_key() {
        let problems = settings(&[("tls_cert", "a.pem,b.pem"), ("tls_key", "a.key")]).unwrap_err();
        assert!(problems.to_string().contains("1 for 2 of tls_cert"), "{problems}");
        let settings = settings(&[("tls_cert", "a.pem,b.pem"), ("tls_key", "a.key,b.key")]).unwrap();
        let files = CertificateFiles { chain: "b.pem".into(), key: "b.key".into() };
        assert_eq!(settings.protocols.certificates[1], files);
    }

    #[test]
    fn no_fn_workers_need_no_program() {
        let flags = BTreeMap::from([
            ("app", vec!["dist".to_owned()]),
            ("renderer_bin", vec!["/bin/sh".to_owned()]),
            ("fn_workers", vec!["0".to_owned()]),
        ]);
        assert!(load(&Sources::gather(&flags, &BTreeMap::new(), None)).is_ok());
    }
}
