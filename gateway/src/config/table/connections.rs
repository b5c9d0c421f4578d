//! Keys of the public side: addresses, protocols, limits of clients, proxies.

use super::{GIB, HOUR, KIB, Section, count, key, size, time};
use crate::config::keys::Fallback::{Text, Unset};
use crate::config::keys::Kind;

pub const ADDRESSES: Section = Section {
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
};

pub const PROTOCOLS: Section = Section {
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
};

pub const CLIENTS: Section = Section {
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
};

pub const PROXIES: Section = Section {
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
};
