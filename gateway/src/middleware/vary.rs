//! `Vary`: what a response depends on (RFC 9110 section 12.5.5).

use actix_web::http::header::{self, HeaderMap, HeaderValue};

/// Says that the response depends on the request's field `name`, unless it says so already.
pub fn on(headers: &mut HeaderMap, name: &'static str) {
    let says = |value: &HeaderValue| {
        let text = value.to_str().unwrap_or_default();
        text.split(',').map(str::trim).any(|part| part == "*" || part.eq_ignore_ascii_case(name))
    };
    if !headers.get_all(header::VARY).any(says) {
        headers.append(header::VARY, HeaderValue::from_static(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_said_twice() {
        let mut headers = HeaderMap::new();
        headers.insert(header::VARY, HeaderValue::from_static("Cookie, Accept-Encoding"));
        on(&mut headers, "accept-encoding");
        on(&mut headers, "origin");
        let values: Vec<_> = headers.get_all(header::VARY).collect();
        assert_eq!(values, ["Cookie, Accept-Encoding", "origin"]);
        headers.insert(header::VARY, HeaderValue::from_static("*"));
        on(&mut headers, "origin");
        assert_eq!(headers.get_all(header::VARY).count(), 1);
    }
}
