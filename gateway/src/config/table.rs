//! The table of keys: what can be set, in which unit, with which default, and what it does.

use std::time::Duration;

use super::keys::Fallback::{Cores, Text, Unset};
use super::keys::{Fallback, Key, Kind};
use super::tables::TABLES;

const fn key(name: &'static str, kind: Kind, fallback: Fallback, doc: &'static str) -> Key {
    Key { name, kind, fallback, doc }
}

const fn count(min: usize, max: usize) -> Kind {
    Kind::Count { min, max }
}

const fn time(min_ms: u64, max_ms: u64) -> Kind {
    Kind::Time { min: Duration::from_millis(min_ms), max: Duration::from_millis(max_ms) }
}

const fn size(min: u64, max: u64) -> Kind {
    Kind::Size { min, max }
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const SECOND: u64 = 1000;
const HOUR: u64 = 3600 * SECOND;

/// Keys that belong together.
#[derive(Debug, Clone, Copy)]
pub struct Section {
    /// Its heading.
    pub title: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
}

/// Every key, in the order of help and file.
pub const SECTIONS: &[Section] = &[
    Section {
        title: "The app",
        keys: &[
            key(
                "app",
                Kind::Path,
                Unset("none, it must be given"),
                "The app: the directory that `vite build` wrote, with client/ and server/server.js.",
            ),
            key(
                "base_path",
                Kind::BasePath,
                Text("/"),
                "Static files live below this path; the bundle sees the whole path of a request.",
            ),
            key(
                "static_memory",
                size(0, 16 * GIB),
                Text("64MiB"),
                "Static files up to 1MiB are held in memory, up to this total; others are streamed from disk.",
            ),
            key(
                "env",
                Kind::EnvPatterns,
                Unset("NODE_ENV=production alone"),
                "Environment variables that the app may see, by name; a * at the end is a wildcard.",
            ),
            key(
                "egress",
                Kind::EgressRules,
                Unset("all"),
                "Where the app may connect to and listen. Link-local addresses and metadata services are refused \
                 unless a rule names them. A host's rule allows the addresses that DNS gives it, a network's rule \
                 allows addresses and no names.",
            ),
            key(
                "writable",
                Kind::Paths,
                Unset("none"),
                "Directories that the app may read and write, beside its private temporary one.",
            ),
        ],
    },
    Section {
        title: "Isolation",
        keys: &[
            key(
                "sandbox",
                Kind::Choice(&["auto", "required", "off"]),
                Text("auto"),
                "Whether renderers give up what the app does not need before they load it: auto does what the kernel \
                 can, required starts only where it can do all.",
            ),
            key(
                "v8_flags",
                Kind::V8Flags,
                Unset("none"),
                "Flags of V8, for all isolates. Unknown ones are refused at the start.",
            ),
        ],
    },
    Section {
        title: "Debugging",
        keys: &[
            key(
                "inspect",
                Kind::Address,
                Unset("off"),
                "Where Chrome's developer tools find the first isolate of the first renderer; a loopback address. \
                 Turns the time limits of jobs off unless they are set. For development alone.",
            ),
            key(
                "debug_endpoints",
                Kind::Switch,
                Text("false"),
                "Whether POST /debug/profile and /debug/heapsnapshot on the admin port look into an isolate.",
            ),
            key(
                "debug_limit",
                size(MIB, 64 * GIB),
                Text("1GiB"),
                "The longest profile or heap snapshot; it is kept in the temporary folder until it is sent.",
            ),
        ],
    },
    Section {
        title: "Addresses",
        keys: &[
            key(
                "listen",
                Kind::Listen,
                Text("127.0.0.1:3000"),
                "Where clients connect. Port 0 picks a free port. Who comes over a Unix socket counts as 127.0.0.1.",
            ),
            key(
                "admin",
                Kind::Address,
                Text("127.0.0.1:9090"),
                "Where metrics, health and status are served. Keep it away from clients. Port 0 picks a free port.",
            ),
        ],
    },
    Section {
        title: "Protocols",
        keys: &[
            key(
                "tls_cert",
                Kind::Paths,
                Unset("none: without TLS"),
                "Certificate chains in PEM, the own certificate first. With several, the one whose names match what \
                 the client asks for is shown, the first one to others.",
            ),
            key(
                "tls_key",
                Kind::Paths,
                Unset("none"),
                "The private keys in PEM, in the order of the certificates.",
            ),
            key(
                "tls_reload",
                time(0, HOUR),
                Text("10s"),
                "How often certificates and keys are looked at, and taken over when they have changed; 0ms never. Those \
                 in use stay while new ones are not right.",
            ),
            key(
                "h2c",
                Kind::Switch,
                Text("false"),
                "HTTP/2 without TLS, for clients that begin with it (prior knowledge). With TLS, HTTP/2 is always there.",
            ),
            key(
                "h2_max_streams",
                count(1, 10_000),
                Text("128"),
                "Requests of one HTTP/2 connection at a time; the client holds back more.",
            ),
            key(
                "reuse_port",
                Kind::Switch,
                Text("false"),
                "Share the address with other gateways (SO_REUSEPORT): the kernel spreads connections over them.",
            ),
        ],
    },
    Section {
        title: "Processes",
        keys: &[
            key("renderers", count(1, 256), Cores { most: 256 }, "Renderer processes."),
            key(
                "spares",
                count(0, 64),
                Text("1"),
                "Renderer processes beside them that are loaded and warm, and take the place of one that is lost or \
                 replaced at once; 0 keeps none, and the place is empty for as long as a start takes.",
            ),
            key(
                "isolates",
                count(1, 64),
                Text("1"),
                "V8 isolates in each renderer, each on a thread of its own.",
            ),
            key("fn_workers", count(0, 64), Text("1"), "Processes that run native functions; 0 runs none."),
            key("threads", count(1, 256), Cores { most: 8 }, "Threads of the gateway that serve clients."),
            key(
                "renderer_bin",
                Kind::Path,
                Unset("renderer-pool beside the gateway"),
                "The renderer program.",
            ),
            key(
                "fn_worker_bin",
                Kind::Path,
                Unset("fn-workers beside the gateway"),
                "The program that runs native functions: yours, built with the fn-workers SDK, or the one that comes along.",
            ),
            key(
                "fn_worker_threads",
                count(1, 256),
                Text("2"),
                "Threads in each fn worker that run functions.",
            ),
            key(
                "fn_worker_mailbox",
                count(1, 100_000),
                Text("64"),
                "Calls that wait for one function; 503 for more.",
            ),
            key(
                "form_limit",
                size(KIB, 16 * GIB),
                Text("32MiB"),
                "The longest form that a native function takes; 413 beyond it. body_limit holds as well.",
            ),
            key(
                "form_parts",
                count(1, 100_000),
                Text("200"),
                "Parts of such a form, texts and files; 413 for more.",
            ),
            key(
                "form_fields",
                count(0, 100_000),
                Text("100"),
                "Fields of text of such a form; 413 for more.",
            ),
            key(
                "form_field_limit",
                size(1, 16 * MIB),
                Text("64KiB"),
                "The longest field of text of such a form, and the longest name of a field; 413 beyond it.",
            ),
            key(
                "form_file_limit",
                size(0, 16 * GIB),
                Text("32MiB"),
                "The longest file of such a form; 413 beyond it.",
            ),
            key(
                "form_memory",
                size(0, 64 * MIB),
                Text("256KiB"),
                "A longer file of such a form lies in a temporary file until the function is done with it.",
            ),
            key(
                "value_depth",
                count(1, 500),
                Text("100"),
                "How deep values that a native function is sent may lie in each other; 413 beyond it.",
            ),
            key(
                "value_nodes",
                count(16, 100_000_000),
                Text("2000000"),
                "Parts of such a value: each object, array, string, number, word and name counts one; 413 for more.",
            ),
            key(
                "value_references",
                count(0, 100_000_000),
                Text("10000"),
                "References in such a value to others that stand elsewhere in it; 413 for more.",
            ),
            key(
                "value_limit",
                size(KIB, 16 * GIB),
                Text("64MiB"),
                "Bytes of text and binary data in such a value, where references repeat them; 413 for more.",
            ),
            key(
                "max_heap",
                size(32 * MIB, 64 * GIB),
                Text("512MiB"),
                "The most memory on V8's heap for an isolate.",
            ),
            key(
                "max_external",
                size(MIB, 64 * GIB),
                Text("512MiB"),
                "The most memory in ArrayBuffers for an isolate: JavaScript sees a RangeError beyond it, and the \
                 isolate is replaced when it holds three quarters of it.",
            ),
            key(
                "max_rss",
                size(64 * MIB, 1024 * GIB),
                Unset("what max_heap and max_external allow all isolates of a process, and 256MiB"),
                "The most resident memory of a renderer: beyond it the process is replaced, at one and a half times \
                 it the process ends at once.",
            ),
            key(
                "max_jobs_before_recycle",
                count(0, 1_000_000_000),
                Text("0"),
                "Requests after which an isolate is replaced, for apps that leak; 0 sets no limit.",
            ),
            key(
                "max_turn",
                time(10, HOUR),
                Text("1s"),
                "The CPU time that the app may take for a request without a pause. Beyond it the request is ended, \
                 with 500 or by a cut, and its isolate is replaced; the log names the place.",
            ),
            key(
                "max_load_turn",
                time(100, HOUR),
                Text("10s"),
                "The same while the app loads and warms up, where it ends the start.",
            ),
            key(
                "load_timeout",
                time(SECOND, HOUR),
                Text("60s"),
                "How long an isolate may take to load the app.",
            ),
            key(
                "code_cache",
                Kind::DirectoryOrOff,
                Unset("isopod/ in CACHE_DIRECTORY, XDG_CACHE_HOME or ~/.cache, whichever is set first"),
                "Where renderers keep compiled code between starts, so that the next one is quicker; off keeps none. \
                 The directory must be this user's alone: what lies there is run.",
            ),
            key(
                "code_cache_limit",
                size(MIB, 64 * GIB),
                Text("256MiB"),
                "The most compiled code on disk; what was used least recently goes first.",
            ),
            key(
                "hook_timeout",
                time(1, HOUR),
                Text("5s"),
                "How long a hook of a render pipeline may take; what follows is said in docs/pipeline.md.",
            ),
            key(
                "max_app_metrics",
                count(1, 10_000),
                Text("64"),
                "The most metrics that the app may register with app.metrics; registering more fails.",
            ),
            key(
                "max_app_metric_series",
                count(2, 100_000),
                Text("100"),
                "The most label sets of one such metric; what has others is counted under the label value other.",
            ),
            key(
                "warmup_path",
                Kind::RequestPath,
                Text("/"),
                "The page that an isolate renders for nobody before it is ready, so that the first visitor finds \
                 everything loaded. The request has the header x-isopod-warmup; its failure is logged.",
            ),
        ],
    },
    Section {
        title: "Clients",
        keys: &[
            key(
                "max_connections",
                count(1, 1_000_000),
                Text("10000"),
                "Connections open at a time; more wait to be accepted.",
            ),
            key(
                "max_connections_per_ip",
                count(0, 1_000_000),
                Text("1024"),
                "Connections of one IPv4 address, or one IPv6 /64 network, at a time; 429 for more. Trusted proxies and \
                 Unix sockets are not counted. 0 sets no limit.",
            ),
            key(
                "head_limit",
                size(KIB, 128 * KIB),
                Text("64KiB"),
                "The longest head of a request; a longer one is answered 431. At most 96 header fields in any case.",
            ),
            key(
                "body_limit",
                size(0, 16 * GIB),
                Text("10MiB"),
                "The longest body of a request; a longer one is answered 413.",
            ),
            key(
                "head_timeout",
                time(100, HOUR),
                Text("10s"),
                "How long a client may take to send a request's head; 408 afterwards.",
            ),
            key(
                "body_timeout",
                time(100, HOUR),
                Text("30s"),
                "How long a client may pause while it sends a request's body; 408 afterwards.",
            ),
            key(
                "write_timeout",
                time(100, HOUR),
                Text("30s"),
                "How long a client may take no bytes of its response; the connection is cut afterwards.",
            ),
            key(
                "min_upload_rate",
                size(0, GIB),
                Text("500B"),
                "The least that a client must send of a body in a second, on average over the time that it is waited \
                 for, once that is longer than body_timeout; 408 else. 0B sets no rate.",
            ),
            key(
                "min_download_rate",
                size(0, GIB),
                Text("500B"),
                "The least that a client must take of responses in a second, on average over the time that it is waited \
                 for, once that is longer than write_timeout; it is cut else. 0B sets no rate.",
            ),
            key(
                "keep_alive",
                time(0, HOUR),
                Text("75s"),
                "How long an idle connection stays open; 0ms closes at once.",
            ),
        ],
    },
    Section {
        title: "Proxies",
        keys: &[
            key(
                "trusted_proxy",
                Kind::Networks,
                Unset("none"),
                "Proxies whose word on the client's address, scheme and host is taken. From others it is dropped.",
            ),
            key(
                "forwarded_header",
                Kind::Choice(&["x-forwarded", "forwarded"]),
                Text("x-forwarded"),
                "Which headers the trusted proxies write: X-Forwarded-For, -Proto and -Host, or Forwarded (RFC 7239).",
            ),
            key(
                "trace_context",
                Kind::Choice(&["trusted", "any", "off"]),
                Text("trusted"),
                "Whose traceparent and tracestate (W3C Trace Context) are continued: those of trusted proxies or of any \
                 client; for others a trace begins here. The app and the functions get it, the access log names it. off \
                 lets the headers pass as they came and begins none.",
            ),
            key(
                "trace_sampled_percent",
                count(0, 100),
                Text("100"),
                "How many of a hundred traces that begin here are marked as sampled: tracing in the app follows that.",
            ),
            key(
                "trace_response",
                Kind::Switch,
                Text("false"),
                "Whether responses name their trace, in a traceresponse header.",
            ),
        ],
    },
    Section {
        title: "Access",
        keys: &[
            key(
                "ip_allow",
                Kind::Networks,
                Unset("everybody"),
                "Who may come in; all others are answered 403.",
            ),
            key(
                "ip_deny",
                Kind::Networks,
                Unset("nobody"),
                "Who may not come in, even if ip_allow names them.",
            ),
            key(
                "maintenance",
                Kind::Switch,
                Text("false"),
                "Whether the site is closed at first: every request is answered 503. PUT and DELETE of /maintenance on the \
                 admin port close and open it while it runs.",
            ),
            key(
                "maintenance_allow",
                Kind::Networks,
                Unset("nobody"),
                "Who may come in while the site is closed.",
            ),
            key(
                "maintenance_retry_after",
                time(SECOND, 24 * HOUR),
                Text("5m"),
                "When the others are told to try again.",
            ),
            key(
                "maintenance_page",
                Kind::Path,
                Unset("a plain page"),
                "A file of HTML that they see, at most 1MiB.",
            ),
            key(
                "csrf",
                Kind::Switch,
                Text("true"),
                "Whether requests that change state (all but GET, HEAD and OPTIONS) are refused 403 when another site \
                 causes them, by Sec-Fetch-Site, else Origin, else Referer.",
            ),
            key(
                "csrf_unknown",
                Kind::Choice(&["app", "refuse"]),
                Text("app"),
                "What becomes of such a request without any of these headers. TanStack Start refuses it for server \
                 functions and lets server routes decide: app leaves that to the app.",
            ),
            key(
                "csrf_trusted_origin",
                Kind::Origins,
                Unset("none"),
                "Other sites whose requests count as those of this one.",
            ),
            key(
                "csrf_exempt",
                Kind::Patterns,
                Unset("none"),
                "Paths that take requests from anywhere, such as those of webhooks and of single sign-on.",
            ),
        ],
    },
    Section {
        title: "Responses",
        keys: &[
            key(
                "security_headers",
                Kind::Choice(&["off", "basic", "strict"]),
                Text("basic"),
                "Header fields that responses get which lack them. basic: X-Content-Type-Options and Referrer-Policy; \
                 strict adds X-Frame-Options, Cross-Origin-Opener-Policy and X-Permitted-Cross-Domain-Policies.",
            ),
            key(
                "hsts",
                time(0, 24 * 731 * HOUR),
                Text("0ms"),
                "How long browsers must use TLS (Strict-Transport-Security, with subdomains); sent over TLS alone. \
                 0ms sends none.",
            ),
            key(
                "compression",
                Kind::Choice(&["on", "static", "off"]),
                Text("on"),
                "What is compressed for clients that take it, with zstd, brotli or gzip. static: files that the build \
                 has compressed (app.js.br, .zst, .gz); on: other responses too.",
            ),
            key(
                "compression_min_size",
                size(0, MIB),
                Text("1KiB"),
                "Shorter responses are not compressed, where their length is known.",
            ),
        ],
    },
    Section {
        title: "Workers on other machines",
        keys: &[
            key(
                "nats",
                Kind::NatsServers,
                Unset("none, functions run on this machine alone"),
                "The NATS servers over which `fn-workers --nats` on other machines are reached.",
            ),
            key(
                "nats_prefix",
                Kind::SubjectPrefix,
                Text("isopod"),
                "What all subjects begin with; as at the workers. Clusters that share a server differ in it.",
            ),
            key(
                "nats_credentials",
                Kind::Path,
                Unset("none"),
                "A file with a JWT and its seed, as nsc writes it.",
            ),
            key("nats_nkey", Kind::Path, Unset("none"), "A file with the seed of an nkey."),
            key("nats_user", Kind::Text, Unset("none"), "A user's name; nats_password holds its password."),
            key("nats_password", Kind::Path, Unset("none"), "The file with the password of nats_user."),
            key("nats_token", Kind::Path, Unset("none"), "A file with a token."),
            key("nats_tls", Kind::Switch, Text("false"), "Whether a NATS server without TLS is refused."),
            key(
                "nats_ca",
                Kind::Path,
                Unset("the system's"),
                "A file with the certificates that the NATS server's may be signed by.",
            ),
            key("nats_cert", Kind::Path, Unset("none"), "A file with the gateway's certificate for NATS."),
            key("nats_key", Kind::Path, Unset("none"), "The file with the key of nats_cert."),
            key(
                "nats_max_calls",
                count(1, 1024),
                Text("512"),
                "Calls of one gateway thread that run on other machines; 503 for more.",
            ),
            key(
                "nats_accept_timeout",
                time(10, 60 * SECOND),
                Text("2s"),
                "How long until a worker must have taken a call; then it is lost: 502, or once more elsewhere.",
            ),
            key(
                "nats_worker_timeout",
                time(100, 60 * SECOND),
                Text("2s"),
                "How long a worker that runs calls may be silent; then they are lost. It is asked four times meanwhile.",
            ),
        ],
    },
    Section {
        title: "Rates",
        keys: &[
            key(
                "rate_limit_keys",
                count(1, 100_000_000),
                Text("100000"),
                "Clients that [[rate_limits]] tells apart in memory; all beyond share one bucket for each rule.",
            ),
            key(
                "rate_limit_redis",
                Kind::RedisUrl,
                Unset("none, each gateway counts for itself"),
                "The Redis server on which several gateways count together. While it is gone, each counts for itself.",
            ),
            key(
                "rate_limit_redis_timeout",
                time(1, 10 * SECOND),
                Text("50ms"),
                "How long a request waits for it; then it counts as gone, and is looked for again each second.",
            ),
        ],
    },
    Section {
        title: "Paths",
        keys: &[
            key(
                "path_case",
                Kind::Choice(&["insensitive", "sensitive"]),
                Text("insensitive"),
                "Whether /A and /a are one in the paths of this file. The app's own router decides for itself.",
            ),
            key(
                "path_trailing_slash",
                Kind::Choice(&["ignore", "strict"]),
                Text("ignore"),
                "Whether /a/ and /a are one in the paths of this file.",
            ),
        ],
    },
    Section {
        title: "Jobs",
        keys: &[
            key(
                "queue_wait",
                time(0, 60 * SECOND),
                Text("250ms"),
                "How long a request waits for a free isolate; 503 afterwards.",
            ),
            key(
                "queue_limit",
                count(0, 1_000_000),
                Text("1024"),
                "Requests that wait at a time; 503 for more.",
            ),
            key(
                "max_jobs_per_isolate",
                count(1, 10_000),
                Text("64"),
                "Requests that one isolate answers at a time.",
            ),
            key(
                "min_jobs_per_isolate",
                count(1, 10_000),
                Text("2"),
                "How far the limit of an isolate may fall that adapts to how long pages take; at most \
                 max_jobs_per_isolate. The same number in both keeps it fixed.",
            ),
            key(
                "max_event_streams_per_isolate",
                count(0, 100_000),
                Text("256"),
                "Server-sent events that one isolate feeds at a time beside its other requests; more of them count as \
                 such.",
            ),
            key(
                "share_document",
                count(1, 1000),
                Text("70"),
                "The part of free isolates that pages get while server functions and prefetches wait as well.",
            ),
            key("share_server_function", count(1, 1000), Text("25"), "The part that server functions get."),
            key("share_prefetch", count(1, 1000), Text("5"), "The part that prefetches get."),
            key(
                "breaker_failures",
                count(0, 10_000),
                Text("5"),
                "A route that so often within a minute takes all of its time, or an isolate with it, is answered 503 for a \
                 while; 0 never.",
            ),
            key(
                "breaker_pause",
                time(100, HOUR),
                Text("5s"),
                "How long that is at first. Then one request tries; if it fails, the next time is twice as long, at most \
                 16 times.",
            ),
            key(
                "early_hints",
                Kind::Switch,
                Text("true"),
                "Whether browsers get the links that a page is known to need as 103 (Early Hints) before the page is \
                 rendered, or as Link on its response where that cannot be.",
            ),
            key(
                "job_timeout",
                time(100, 24 * HOUR),
                Text("20s"),
                "How long the app may take until its response begins; 504 afterwards.",
            ),
            key(
                "abort_delay",
                time(0, 24 * HOUR),
                Text("15s"),
                "How long the app may take for a response until request.signal aborts with a TimeoutError. Time in which \
                 it waits for a slow client does not count, and a text/event-stream has no end; 0ms is never.",
            ),
            key(
                "abort_grace",
                time(0, HOUR),
                Text("5s"),
                "How long after that a request is closed whatever the app does: 504, or a cut once its response has begun.",
            ),
            key(
                "native_call_timeout",
                time(10, HOUR),
                Text("10s"),
                "How long a native function may take; 504 afterwards.",
            ),
            key(
                "background_limit",
                count(0, 100_000),
                Text("256"),
                "Promises handed to waitUntil that one isolate waits for at a time; more run on unwatched.",
            ),
            key(
                "background_timeout",
                time(1, HOUR),
                Text("30s"),
                "How long each of them is waited for, by a drain as well.",
            ),
            key(
                "response_link_header",
                Kind::Switch,
                Text("false"),
                "Whether the app adds a Link header with what a page needs to its response, as TanStack Start's \
                 handler does when its option responseLinkHeader is true.",
            ),
        ],
    },
    Section {
        title: "Restarts and shutdown",
        keys: &[
            key(
                "drain_timeout",
                time(0, HOUR),
                Text("30s"),
                "How long running requests may take to finish after SIGTERM.",
            ),
            key(
                "restart_backoff",
                time(1, HOUR),
                Text("100ms"),
                "The pause before a lost process is started again; doubles.",
            ),
            key("restart_backoff_max", time(1, HOUR), Text("10s"), "The longest such pause."),
            key(
                "restarts_per_minute",
                count(1, 10_000),
                Text("30"),
                "Restarts of one process slot within a minute, at most.",
            ),
            key(
                "restart_stable_after",
                time(1, HOUR),
                Text("10s"),
                "How long a process must run until its next loss counts as a first one.",
            ),
        ],
    },
    Section {
        title: "Log",
        keys: &[
            key(
                "log_filter",
                Kind::LogFilter,
                Text("info,access=warn,actix_server=warn,actix_http=off"),
                "Which log lines are written. access=info writes one line for each request, access=warn for failed ones.",
            ),
            key(
                "access_log_refusals",
                count(0, 1_000_000),
                Text("10"),
                "Lines of the access log in a second for requests that are turned away for the sake of others (overload, \
                 rates, maintenance). Of the others one line tells how many they are.",
            ),
            key(
                "log_format",
                Kind::Choice(&["text", "json"]),
                Text("text"),
                "How log lines are written, on standard error.",
            ),
        ],
    },
];

/// Every key.
pub fn all() -> impl Iterator<Item = &'static Key> {
    SECTIONS.iter().flat_map(|section| section.keys)
}

/// The key of this name.
pub fn find(name: &str) -> Option<&'static Key> {
    all().find(|key| key.name == name)
}

/// The known key that `name` most likely means.
pub fn nearest(name: &str) -> Option<&'static str> {
    let wanted = name.replace('-', "_");
    let distance = |name: &&'static str| strsim::damerau_levenshtein(name, &wanted);
    let names = all().map(|key| key.name).chain(TABLES.iter().map(|table| table.name));
    names.min_by_key(distance).filter(|name| distance(name) <= name.len().div_ceil(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_plain() {
        let keys: Vec<_> = all().collect();
        for (index, key) in keys.iter().enumerate() {
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            assert!(key.name.bytes().all(plain), "{}", key.name);
            assert!(keys[..index].iter().all(|other| other.name != key.name), "{} twice", key.name);
        }
    }

    #[test]
    fn a_misspelt_key_finds_its_neighbour() {
        assert_eq!(nearest("rendrers"), Some("renderers"));
        assert_eq!(nearest("trusted-proxies"), Some("trusted_proxy"));
        assert_eq!(nearest("zzzzzzzzzzzz"), None);
    }
}
