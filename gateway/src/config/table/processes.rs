//! Keys of the child processes and of the gateway's own: how many, how large, when they start again, what they log.

use super::{GIB, HOUR, KIB, MIB, SECOND, Section, count, key, size, time};
use crate::config::keys::Fallback::{Cores, Text, Unset};
use crate::config::keys::Kind;

pub const PROCESSES: Section = Section {
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
        key("renderer_bin", Kind::Path, Unset("renderer-pool beside the gateway"), "The renderer program."),
        key(
            "fn_worker_bin",
            Kind::Path,
            Unset("fn-workers beside the gateway"),
            "The program that runs native functions: yours, built with the fn-workers SDK, or the one that comes along.",
        ),
        key("fn_worker_threads", count(1, 256), Text("2"), "Threads in each fn worker that run functions."),
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
        key("form_fields", count(0, 100_000), Text("100"), "Fields of text of such a form; 413 for more."),
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
        key("load_timeout", time(SECOND, HOUR), Text("60s"), "How long an isolate may take to load the app."),
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
};

pub const REMOTE: Section = Section {
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
};

pub const RESTARTS: Section = Section {
    title: "Restarts and shutdown",
    keys: &[
        key(
            "drain_timeout",
            time(0, HOUR),
            Text("30s"),
            "How long running requests may take to finish after SIGTERM, and in a renderer that is replaced.",
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
};

pub const LOG: Section = Section {
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
};
