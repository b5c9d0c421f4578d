//! Which header fields cross from the client's connection to the bundle and back.
//!
//! RFC 9110 section 7.6.1: fields that concern one connection end here, and so do those that `Connection` names.

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use shared::head::HeaderField;

use crate::config::settings::ForwardedStyle;
use crate::middleware::exchange::Exchange;
use crate::middleware::trace_context::{TRACEPARENT_NAME, Trace, TraceParent};
use crate::pool::Fields;

/// Whether the field concerns one connection alone.
fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Whether the field says what only a trusted proxy may say.
fn is_claim(name: &str, believed: Option<ForwardedStyle>) -> bool {
    match name {
        "forwarded" => believed != Some(ForwardedStyle::Forwarded),
        "x-request-id" | "x-real-ip" => believed.is_none(),
        name => name.starts_with("x-forwarded-") && believed != Some(ForwardedStyle::XForwarded),
    }
}

/// The fields that values of `Connection` name, beside those that are dropped anyway.
fn named<'a>(values: impl Iterator<Item = &'a [u8]>) -> Vec<HeaderName> {
    let options = values.flat_map(|value| value.split(|byte| *byte == b','));
    options
        .map(<[u8]>::trim_ascii)
        .filter(|option| {
            !option.eq_ignore_ascii_case(b"close") && !option.eq_ignore_ascii_case(b"keep-alive")
        })
        .filter_map(|option| HeaderName::from_bytes(option).ok())
        .collect()
}

/// Drops what only a trusted proxy may say, where the request's sender is none.
pub fn drop_claims(headers: &mut HeaderMap, exchange: &Exchange) {
    let before = headers.len();
    headers.retain(|name, _| !is_claim(name.as_str(), exchange.believed));
    if headers.len() < before {
        exchange.drops_claims();
    }
}

/// Leaves of a request's fields those that are the bundle's to see. Returns the `traceparent` that goes beside them.
pub fn prepare_request(headers: &mut HeaderMap, exchange: &Exchange) -> Option<TraceParent> {
    if strip_request(headers, exchange.believed, exchange.trace.as_ref()) {
        exchange.drops_claims();
    }
    exchange.trace.as_ref().map(Trace::traceparent)
}

/// The fields of a prepared request as they go on.
pub fn passed_on<'a>(headers: &'a HeaderMap, traceparent: Option<&'a TraceParent>) -> Fields<'a> {
    Fields::with(headers, traceparent.map(|value| (TRACEPARENT_NAME, &value[..])))
}

/// Says whether something was dropped that only a trusted proxy may say.
fn strip_request(headers: &mut HeaderMap, believed: Option<ForwardedStyle>, trace: Option<&Trace>) -> bool {
    let mut claimed = false;
    let named = named(headers.get_all(header::CONNECTION).map(HeaderValue::as_bytes));
    headers.retain(|name, _| {
        let text = name.as_str();
        let is_claim = is_claim(text, believed);
        claimed |= is_claim;
        !(is_claim
            || is_hop_by_hop(text)
            || matches!(text, "expect" | "http2-settings")
            || trace.is_some_and(|trace| trace.replaces(text))
            || named.contains(name))
    });
    claimed
}

/// A response that cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadHead {
    /// A field's name or value is none.
    #[error("a header field is not valid")]
    Field,
    /// The length is not a number, or there are two.
    #[error("the content-length is not valid")]
    Length,
}

/// Takes the fields of the bundle's response over, in order; fields of one name stay several. Returns the body's
/// length, if one is given.
///
/// # Errors
/// [`BadHead`] when a field cannot be sent.
pub fn take_response(fields: Vec<HeaderField>, headers: &mut HeaderMap) -> Result<Option<u64>, BadHead> {
    let is = |name: &[u8], wanted: &[u8]| name.eq_ignore_ascii_case(wanted);
    let named = named(fields.iter().filter(|(name, _)| is(name, b"connection")).map(|(_, value)| &value[..]));
    let mut length = None;
    for (name, value) in fields {
        let name = HeaderName::from_bytes(&name).map_err(|_| BadHead::Field)?;
        if is_hop_by_hop(name.as_str()) || named.contains(&name) {
            continue;
        }
        let value = HeaderValue::from_maybe_shared(value).map_err(|_| BadHead::Field)?;
        if name == header::CONTENT_LENGTH {
            let given = number(value.as_bytes()).ok_or(BadHead::Length)?;
            if length.is_some_and(|length| length != given) {
                return Err(BadHead::Length);
            }
            length = Some(given);
            continue;
        }
        headers.append(name, value);
    }
    Ok(length)
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn stripped(fields: &[(&str, &str)], believed: Option<ForwardedStyle>) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name.parse().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        let claims = fields.iter().any(|(name, _)| is_claim(&name.to_ascii_lowercase(), believed));
        assert_eq!(strip_request(&mut headers, believed, None), claims);
        let mut names: Vec<_> = headers.iter().map(|(name, _)| name.to_string()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_concerns_the_connection_ends_here() {
        let fields = [
            ("Accept", "*/*"),
            ("Connection", "keep-alive, X-Secret"),
            ("Connection", "Upgrade"),
            ("Upgrade", "h2c"),
            ("X-Secret", "1"),
            ("TE", "trailers"),
            ("Expect", "100-continue"),
            ("Keep-Alive", "5"),
            ("Transfer-Encoding", "chunked"),
            ("Cookie", "a=1"),
            ("Content-Length", "3"),
        ];
        assert_eq!(stripped(&fields, None), ["accept", "content-length", "cookie"]);
    }

    #[test]
    fn claims_of_strangers_are_dropped() {
        let fields = [
            ("X-Forwarded-For", "1.2.3.4"),
            ("X-Forwarded-Whatever", "1"),
            ("Forwarded", "for=1.2.3.4"),
            ("X-Real-IP", "1.2.3.4"),
            ("X-Request-Id", "mine"),
            ("X-Other", "1"),
        ];
        assert_eq!(stripped(&fields, None), ["x-other"]);
        assert_eq!(
            stripped(&fields, Some(ForwardedStyle::XForwarded)),
            ["x-forwarded-for", "x-forwarded-whatever", "x-other", "x-real-ip", "x-request-id"]
        );
        let believed = Some(ForwardedStyle::Forwarded);
        assert_eq!(stripped(&fields, believed), ["forwarded", "x-other", "x-real-ip", "x-request-id"]);
    }

    fn taken(fields: &[(&'static str, &'static str)]) -> Result<(Option<u64>, Vec<String>), BadHead> {
        let fields = fields.iter().map(|(name, value)| (Bytes::from(*name), Bytes::from(*value))).collect();
        let mut headers = HeaderMap::new();
        let length = take_response(fields, &mut headers)?;
        let shown =
            |(name, value): (&HeaderName, &HeaderValue)| format!("{name}={}", value.to_str().unwrap());
        Ok((length, headers.iter().map(shown).collect()))
    }

    #[test]
    fn cookies_stay_several_and_connections_stay_here() {
        let (length, mut fields) = taken(&[
            ("set-cookie", "a=1"),
            ("content-length", "12"),
            ("set-cookie", "b=2"),
            ("connection", "x-own"),
            ("x-own", "1"),
            ("transfer-encoding", "chunked"),
        ])
        .unwrap();
        fields.sort();
        assert_eq!(length, Some(12));
        assert_eq!(fields, ["set-cookie=a=1", "set-cookie=b=2"]);
    }

    #[test]
    fn a_head_that_cannot_be_sent_is_refused() {
        assert_eq!(taken(&[("a b", "1")]), Err(BadHead::Field));
        assert_eq!(taken(&[("a", "1\r\nb: 2")]), Err(BadHead::Field));
        assert_eq!(taken(&[("content-length", "+1")]), Err(BadHead::Length));
        assert_eq!(taken(&[("content-length", "1"), ("content-length", "2")]), Err(BadHead::Length));
        assert_eq!(taken(&[("content-length", "1"), ("content-length", "1")]).unwrap().0, Some(1));
    }
}
