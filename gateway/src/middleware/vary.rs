//! `Vary`: what a response depends on (RFC 9110 section 12.5.5).

use actix_web::http::header::{self, HeaderMap, HeaderValue};

/// The name of a request's field as a value, made by the compiler.
pub const ACCEPT_ENCODING: HeaderValue = HeaderValue::from_static("accept-encoding");
/// See [`ACCEPT_ENCODING`].
pub const ORIGIN: HeaderValue = HeaderValue::from_static("origin");
/// See [`ACCEPT_ENCODING`].
pub const REQUESTED_FIELDS: HeaderValue = HeaderValue::from_static("access-control-request-headers");

/// Says that the response depends on the request's field `name`, unless it says so already.
pub fn on(headers: &mut HeaderMap, name: HeaderValue) {
    let says = |value: &HeaderValue| {
        let text = value.to_str().unwrap_or_default();
        text.split(',')
            .map(str::trim)
            .any(|part| part == "*" || part.as_bytes().eq_ignore_ascii_case(name.as_bytes()))
    };
    if !headers.get_all(header::VARY).any(says) {
        headers.append(header::VARY, name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_said_twice() {
        let mut headers = HeaderMap::new();
        headers.insert(header::VARY, HeaderValue::from_static("Cookie, Accept-Encoding"));
        on(&mut headers, ACCEPT_ENCODING);
        on(&mut headers, ORIGIN);
        let values: Vec<_> = headers.get_all(header::VARY).collect();
        assert_eq!(values, ["Cookie, Accept-Encoding", "origin"]);
        headers.insert(header::VARY, HeaderValue::from_static("*"));
        on(&mut headers, ORIGIN);
        assert_eq!(headers.get_all(header::VARY).count(), 1);
    }
}
