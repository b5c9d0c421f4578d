//! Keys of the work: queues, times, priorities.

use super::{HOUR, SECOND, Section, count, key, time};
use crate::config::keys::Fallback::Text;
use crate::config::keys::Kind;

pub const JOBS: Section = Section {
    title: "Jobs",
    keys: &[
        key(
            "queue_wait",
            time(0, 60 * SECOND),
            Text("250ms"),
            "How long a request waits for a free isolate; 503 afterwards.",
        ),
        key("queue_limit", count(0, 1_000_000), Text("1024"), "Requests that wait at a time; 503 for more."),
        key(
            "refusal_pause",
            time(0, 20),
            Text("1ms"),
            "How long a gateway thread rests after it has refused requests for want of room. Meanwhile the next ones \
             gather, and the core is the isolates'. What clients send waits so long; what a child answers does not. 0ms never \
             rests.",
        ),
        key(
            "max_jobs_per_isolate",
            count(1, 10_000),
            Text("512"),
            "Requests that one isolate answers at a time at most: so many only while they wait for something else than \
             the isolate. It begins with 64.",
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
            "max_slow_clients_per_isolate",
            count(0, 100_000),
            Text("1024"),
            "Requests that wait for clients who read or send less than 256 KiB a second, and count as none of those that \
             one isolate answers at a time; more of them do.",
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
};
