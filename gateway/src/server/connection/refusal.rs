//! Answers to what never becomes a request: counted, logged, and with a body, as every other refusal.
//!
//! actix-http answers a head that it cannot read with an empty 400 that no layer of ours sees. [`guarded`] knows those
//! bytes from others, as nothing is being answered when they come, and writes what is made here instead.
//!
//! [`guarded`]: super::guarded

use std::net::{IpAddr, SocketAddr};

use crate::error::Cause;
use crate::metrics::Metrics;

/// How much of a head is kept to say what was wrong with it, in bytes.
pub const KEPT_HEAD_BYTES: usize = 4096;

/// Counts and logs what is refused below the layers of requests.
#[derive(Debug, Clone)]
pub struct Refusals {
    metrics: Metrics,
}

impl Refusals {
    /// Counts in `metrics`.
    pub fn new(metrics: Metrics) -> Self {
        Self { metrics }
    }

    /// Notes a refusal.
    pub fn note(&self, cause: Cause, client: Option<IpAddr>) {
        let row = cause.row();
        self.metrics.refusals.with_label_values(&[row.reason]).inc();
        self.metrics.requests.with_label_values(&["none", "other", &row.status.to_string()]).inc();
        tracing::info!(
            target: "access",
            client = client.map(tracing::field::display),
            status = row.status,
            route = "none",
            outcome = "complete",
            reason = row.reason,
        );
    }

    /// Notes that a client is cut off because it takes its response too slowly.
    pub fn note_cut(&self, client: Option<IpAddr>) {
        self.metrics.refusals.with_label_values(&[READ_SLOW]).inc();
        tracing::info!(
            client = client.map(tracing::field::display),
            "a client takes its response too slowly"
        );
    }

    /// Notes that an HTTP/2 connection is ended because it makes more work than a client has use for.
    pub fn note_flood(&self, client: Option<SocketAddr>) {
        self.metrics.refusals.with_label_values(&[H2_FLOOD]).inc();
        tracing::warn!(
            client = client.map(tracing::field::display),
            "an HTTP/2 connection floods; it is ended"
        );
    }

    /// Notes that an HTTP/2 connection is ended because it breaks the protocol.
    pub fn note_violation(&self, client: Option<SocketAddr>, error: &h2::Error) {
        self.metrics.refusals.with_label_values(&[H2_VIOLATION]).inc();
        tracing::info!(client = client.map(tracing::field::display), %error, "an HTTP/2 connection breaks its rules");
    }
}

/// The reason label of a client that takes its response too slowly.
const READ_SLOW: &str = "read_slow";

/// The reason label of an HTTP/2 connection that makes more work than a client has use for.
const H2_FLOOD: &str = "h2_flood";

/// The reason label of an HTTP/2 connection that breaks its rules.
const H2_VIOLATION: &str = "h2_violation";

/// What an answer of actix-http's own stands for: bytes that it writes while no request is being answered. `head` is
/// what has come of the head.
pub fn cause_of(answer: &[u8], head: &[u8]) -> Option<Cause> {
    let status = answer.strip_prefix(b"HTTP/1.1 ").or_else(|| answer.strip_prefix(b"HTTP/1.0 "))?.get(..3)?;
    match status {
        b"400" => Some(fault_of(head)),
        b"431" => Some(Cause::HeadTooLarge),
        b"408" => Some(Cause::HeadSlow),
        _ => None,
    }
}

/// The value of the field `Accept`, as far as a head has one.
pub fn accept_of(head: &[u8]) -> &[u8] {
    fields(head).find(|(name, _)| name.eq_ignore_ascii_case(b"accept")).map_or(&[], |(_, value)| value)
}

/// What is wrong with a head that could not be read.
fn fault_of(head: &[u8]) -> Cause {
    let line =
        head.split(|byte| *byte == b'\n').find(|line| !line.trim_ascii().is_empty()).unwrap_or_default();
    let version = line.trim_ascii_end().rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    if version.starts_with(b"HTTP/") && !matches!(version, b"HTTP/1.1" | b"HTTP/1.0") {
        return Cause::Version;
    }
    let count = |name: &[u8]| fields(head).filter(|(own, _)| own.eq_ignore_ascii_case(name)).count();
    // actix-http reads a length as a number of 64 bits.
    let is_length = |value: &[u8]| {
        let digits = value.iter().all(u8::is_ascii_digit);
        digits && std::str::from_utf8(value).is_ok_and(|value| value.parse::<u64>().is_ok())
    };
    let (lengths, codings) = (count(b"content-length"), count(b"transfer-encoding"));
    let bad_length =
        fields(head).any(|(name, value)| name.eq_ignore_ascii_case(b"content-length") && !is_length(value));
    if lengths + codings > 1 || bad_length || codings > 0 {
        return Cause::BodyLength;
    }
    // Only of a head whose end was kept, and whose fields are some, can be said that its host is missing.
    let hosts = count(b"host");
    let names_none = hosts == 0 && version == b"HTTP/1.1" && is_whole(head);
    if hosts > 1 || names_none { Cause::Host } else { Cause::HeadMalformed }
}

/// Whether a head ends, and all behind its first line are fields (RFC 9110 section 5).
fn is_whole(head: &[u8]) -> bool {
    let is_token = |name: &[u8]| {
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        !name.is_empty() && name.iter().all(allowed)
    };
    let is_value = |value: &[u8]| value.iter().all(|byte| *byte == b'\t' || !byte.is_ascii_control());
    for line in head.split_inclusive(|byte| *byte == b'\n').skip(1) {
        let Some(line) = line.strip_suffix(b"\n") else { return false };
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return true;
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return false };
        if !is_token(&line[..colon]) || !is_value(&line[colon + 1..]) {
            return false;
        }
    }
    false
}

fn fields(head: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    head.split(|byte| *byte == b'\n').skip(1).take_while(|line| !line.trim_ascii().is_empty()).filter_map(
        |line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            Some((line[..colon].trim_ascii(), line[colon + 1..].trim_ascii()))
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_has_its_cause() {
        for (head, cause) in [
            ("GARBAGE\r\n\r\n", Cause::HeadMalformed),
            ("GET / HTTP/9.9\r\nhost: a\r\n\r\n", Cause::Version),
            ("GET / HTTP/1.1\r\nbad header: x\r\n\r\n", Cause::HeadMalformed),
            ("GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n", Cause::Host),
            ("GET / HTTP/1.1\r\naccept: */*\r\n\r\n", Cause::Host),
            ("GET / HTTP/1.1\r\nx: a\0b\r\n\r\n", Cause::HeadMalformed),
            ("GET / HTTP/1.1\r\naccept: */*\r\n", Cause::HeadMalformed),
            ("G\u{e9}T / HTTP/1.1\r\nhost: a\r\n\r\n", Cause::HeadMalformed),
            ("POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", Cause::BodyLength),
            ("POST / HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n\r\n", Cause::BodyLength),
            ("POST / HTTP/1.1\r\nContent-Length: 1\r\ncontent-length: 2\r\n\r\n", Cause::BodyLength),
            ("POST / HTTP/1.1\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n", Cause::BodyLength),
            ("POST / HTTP/1.1\r\ntransfer-encoding: chunked, gzip\r\n\r\n", Cause::BodyLength),
        ] {
            assert_eq!(cause_of(b"HTTP/1.1 400 Bad Request\r\n", head.as_bytes()), Some(cause), "{head}");
        }
    }

    #[test]
    fn only_refusals_are_taken_over() {
        assert_eq!(cause_of(b"HTTP/1.1 431 x\r\n", b""), Some(Cause::HeadTooLarge));
        assert_eq!(cause_of(b"HTTP/1.1 500 Internal Server Error\r\n", b""), None);
        assert_eq!(cause_of(b"HTTP/1.1 100 Continue\r\n", b""), None);
        assert_eq!(cause_of(b"", b""), None);
    }

    #[test]
    fn the_form_that_the_client_wants_is_found() {
        assert_eq!(accept_of(b"GET / HTTP/9\r\nAccept:  text/html \r\n\r\naccept: x"), b"text/html");
        assert_eq!(accept_of(b"GET / HTTP/9\r\n\r\naccept: x"), b"");
    }
}
