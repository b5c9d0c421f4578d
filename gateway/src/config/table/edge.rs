//! Keys of the middleware: who may come in, what responses carry, rates, paths.

use super::{HOUR, MIB, SECOND, Section, count, key, size, time};
use crate::config::keys::Fallback::{Text, Unset};
use crate::config::keys::Kind;

pub const ACCESS: Section = Section {
    title: "Access",
    keys: &[
        key("ip_allow", Kind::Networks, Unset("everybody"), "Who may come in; all others are answered 403."),
        key("ip_deny", Kind::Networks, Unset("nobody"), "Who may not come in, even if ip_allow names them."),
        key(
            "maintenance",
            Kind::Switch,
            Text("false"),
            "Whether the site is closed at first: every request but preflights of [[cors]] is answered 503. PUT and \
             DELETE of /maintenance on the admin port close and open it while it runs.",
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
};

pub const RESPONSES: Section = Section {
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
};

pub const RATES: Section = Section {
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
            "rate_limit_redis_ca",
            Kind::Path,
            Unset("the system's"),
            "The authorities, in PEM, of which one must have signed the server's certificate; for rediss:// URLs.",
        ),
        key(
            "rate_limit_redis_timeout",
            time(1, 10 * SECOND),
            Text("50ms"),
            "How long a request waits for it; then it counts as gone, and is looked for again each second.",
        ),
    ],
};

pub const PATHS: Section = Section {
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
};
