//! What the store holds at start.

use super::Thread;

/// Id, title, number of messages, and when each was last written to.
const THREADS: &[(&str, &str, u32, &str)] = &[
    ("t001", "Backpressure from socket to stream", 7, "2026-04-10T23:25:30Z"),
    ("t002", "Why hydration mismatches happen", 5, "2026-03-03T00:25:35Z"),
    ("t003", "Streaming a page before its data is there", 4, "2026-05-26T07:33:34Z"),
    ("t004", "Deferred loaders and the shell", 12, "2026-06-09T03:16:13Z"),
    ("t005", "Warm isolates before they take traffic", 42, "2026-01-27T08:51:17Z"),
    ("t006", "Draining without a dropped request", 20, "2026-04-06T09:40:55Z"),
    ("t007", "A snapshot that starts in milliseconds", 39, "2026-06-03T10:42:24Z"),
    ("t008", "Bounded queues everywhere", 12, "2026-09-08T07:30:17Z"),
    ("t009", "Mailbox sizes for function actors", 36, "2026-02-27T09:00:58Z"),
    ("t010", "Reading cookies in a loader", 46, "2026-05-19T09:54:48Z"),
    ("t011", "Set-Cookie headers must stay separate", 27, "2026-09-07T13:38:18Z"),
    ("t012", "Cancelling a fetch when the client leaves", 11, "2026-07-15T07:19:16Z"),
    ("t013", "Abort signals in server functions", 3, "2026-01-03T14:40:17Z"),
    ("t014", "Where to validate input", 42, "2026-09-18T15:44:21Z"),
    ("t015", "Errors that say what to do", 13, "2026-03-22T02:26:58Z"),
    ("t016", "Retry only what is safe to repeat", 41, "2026-04-21T14:17:11Z"),
    ("t017", "Caching hashed assets for a year", 48, "2026-06-14T18:20:40Z"),
    ("t018", "ETag or Last-Modified for static files", 21, "2026-09-07T03:53:03Z"),
    ("t019", "Range requests for video", 38, "2026-04-09T19:55:15Z"),
    ("t020", "Compression and streaming together", 12, "2026-02-11T09:29:01Z"),
    ("t021", "The cost of JSON between processes", 45, "2026-01-12T02:57:18Z"),
    ("t022", "Unix sockets compared with loopback TCP", 21, "2026-06-01T09:20:09Z"),
    ("t023", "Measuring latency without lying", 40, "2026-07-28T21:52:04Z"),
    ("t024", "Memory after fifty thousand requests", 13, "2026-05-20T14:18:08Z"),
    ("t025", "Finding a leak in a heap snapshot", 39, "2026-05-13T05:21:36Z"),
    ("t026", "Rendering markdown without script injection", 3, "2026-01-12T14:10:23Z"),
    ("t027", "Searching titles by word and prefix", 37, "2026-06-10T03:28:13Z"),
    ("t028", "Paging with a cursor or an offset", 8, "2026-07-07T01:03:03Z"),
    ("t029", "Time zones in rendered dates", 44, "2026-03-20T04:38:02Z"),
    ("t030", "Forms that work before hydration", 38, "2026-09-16T07:20:02Z"),
    ("t031", "Redirects in beforeLoad", 34, "2026-02-27T09:49:26Z"),
    ("t032", "A not-found page per route", 13, "2026-04-16T07:28:26Z"),
    ("t033", "Session cookies that rotate", 15, "2026-08-02T13:28:15Z"),
    ("t034", "Cross-site requests and state changes", 14, "2026-07-27T15:12:02Z"),
    ("t035", "Rate limits that people understand", 17, "2026-01-09T07:33:13Z"),
    ("t036", "Logs with one line per event", 17, "2026-04-14T04:20:03Z"),
    ("t037", "Metrics with few labels", 8, "2026-06-19T18:25:57Z"),
    ("t038", "Trace context through three processes", 25, "2026-01-16T02:27:13Z"),
    ("t039", "Deploying a new build without downtime", 22, "2026-10-06T09:42:30Z"),
    ("t040", "Killing a renderer in production", 27, "2026-06-27T16:13:41Z"),
    ("t041", "Shutting down in the right order", 26, "2026-05-11T15:04:54Z"),
    ("t042", "Running as an unprivileged user", 43, "2026-05-21T06:02:25Z"),
];

/// The threads, in no order.
pub(super) fn threads() -> impl Iterator<Item = Thread> {
    THREADS.iter().map(|&(id, title, messages, updated_at)| Thread { id, title, messages, updated_at })
}
