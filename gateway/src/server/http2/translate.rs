//! Heads between the types of `http` 1, which h2 speaks, and those of actix.

use std::cell::RefCell;
use std::time::SystemTime;

use actix_http::{Request, RequestHead, ResponseHead};
use actix_web::body::BodySize;
use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, Uri, Version};
use http::response::Parts;

use crate::error::Cause;

/// A response's head that has no counterpart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the response's head cannot be sent")]
pub struct BadHead;

/// The request as the layers above know it, without its body.
///
/// Cookies come in several fields and are joined (RFC 9113 section 8.2.3). The authority is also the field `Host`; where
/// the client sent another one, both are there, which the identity layer refuses (section 8.3.1).
///
/// # Errors
/// The cause to refuse it for, when a part of it has no counterpart.
pub fn request(parts: &http::request::Parts, payload: Payload) -> Result<Request, Cause> {
    let mut request = Request::with_payload(payload);
    let head = request.head_mut();
    head.version = Version::HTTP_2;
    head.uri = target(&parts.uri).ok_or(Cause::Target)?;
    fill(head, parts).ok_or(Cause::HeadMalformed)?;
    Ok(request)
}

/// What a request that is refused says of the form of its answer.
pub fn accepted(parts: &http::request::Parts) -> HeaderMap {
    let accept = parts.headers.get(http::header::ACCEPT);
    let accept = accept.and_then(|accept| HeaderValue::from_bytes(accept.as_bytes()).ok());
    accept.map(|accept| (header::ACCEPT, accept)).into_iter().collect()
}

fn target(uri: &http::Uri) -> Option<Uri> {
    let path = uri.path_and_query().map(http::uri::PathAndQuery::as_str);
    let authority = uri.authority().map(http::uri::Authority::as_str);
    match (uri.scheme_str(), authority, path) {
        (Some(scheme), Some(authority), Some(path)) if path != "*" => {
            Uri::try_from([scheme, "://", authority, path].concat()).ok()
        }
        (_, _, Some(path)) => Uri::try_from(path).ok(),
        (_, Some(authority), None) => Uri::try_from(authority).ok(),
        (_, None, None) => None,
    }
}

fn fill(head: &mut RequestHead, parts: &http::request::Parts) -> Option<()> {
    head.method = Method::from_bytes(parts.method.as_str().as_bytes()).ok()?;
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    let mut cookies: Vec<u8> = Vec::new();
    for (name, value) in &parts.headers {
        if *name == http::header::COOKIE {
            if !cookies.is_empty() {
                cookies.extend_from_slice(b"; ");
            }
            cookies.extend_from_slice(value.as_bytes());
            continue;
        }
        let name = HeaderName::from_bytes(name.as_str().as_bytes()).ok()?;
        head.headers.append(name, HeaderValue::from_bytes(value.as_bytes()).ok()?);
    }
    if !cookies.is_empty() {
        head.headers
            .insert(header::COOKIE, HeaderValue::from_maybe_shared(bytes::Bytes::from(cookies)).ok()?);
    }
    if let Some(authority) = authority {
        let named = head.headers.get(header::HOST).map(HeaderValue::as_bytes);
        if named != Some(authority.as_bytes()) {
            head.headers.append(header::HOST, HeaderValue::from_str(authority).ok()?);
        }
    }
    Some(())
}

/// The response's head as it goes to the client: without what HTTP/2 does not have, with the length and the date.
///
/// # Errors
/// [`BadHead`] when a part of it has no counterpart.
pub fn response(head: &ResponseHead, size: BodySize) -> Result<http::Response<()>, BadHead> {
    let mut parts: Parts = http::Response::new(()).into_parts().0;
    parts.status = http::StatusCode::from_u16(head.status.as_u16()).map_err(|_| BadHead)?;
    parts.version = http::Version::HTTP_2;
    for (name, value) in head.headers() {
        let is_length = *name == header::CONTENT_LENGTH;
        if is_of_http1(name) || (is_length && matches!(size, BodySize::Sized(_))) {
            continue;
        }
        let name = http::HeaderName::from_bytes(name.as_str().as_bytes()).map_err(|_| BadHead)?;
        parts.headers.append(name, http::HeaderValue::from_bytes(value.as_bytes()).map_err(|_| BadHead)?);
    }
    if let BodySize::Sized(length) = size {
        parts.headers.insert(http::header::CONTENT_LENGTH, length.into());
    }
    if !parts.headers.contains_key(http::header::DATE) {
        parts.headers.insert(http::header::DATE, date());
    }
    Ok(http::Response::from_parts(parts, ()))
}

/// RFC 9113 section 8.2.2.
fn is_of_http1(name: &HeaderName) -> bool {
    *name == header::CONNECTION
        || *name == header::TRANSFER_ENCODING
        || *name == header::UPGRADE
        || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

/// The time as the field `Date` has it; made once a second.
fn date() -> http::HeaderValue {
    thread_local! {
        static MADE: RefCell<(u64, http::HeaderValue)> = const { RefCell::new((0, http::HeaderValue::from_static(""))) };
    }
    let now = SystemTime::now();
    let second = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    MADE.with_borrow_mut(|(made, value)| {
        if *made != second
            && let Ok(fresh) = http::HeaderValue::from_str(&httpdate::fmt_http_date(now))
        {
            (*made, *value) = (second, fresh);
        }
        value.clone()
    })
}

#[cfg(test)]
mod tests {
    use actix_web::HttpMessage;
    use actix_web::http::StatusCode;

    use super::*;

    fn translated(uri: &str, fields: &[(&str, &str)]) -> Request {
        let mut given = http::Request::builder().method("GET").uri(uri);
        for (name, value) in fields {
            given = given.header(*name, *value);
        }
        request(&given.body(()).unwrap().into_parts().0, Payload::None).unwrap()
    }

    #[test]
    fn a_request_keeps_what_it_says() {
        let request = translated("https://shop.example/a%20b?q=1", &[("x", "1"), ("x", "2")]);
        assert_eq!(request.uri().to_string(), "https://shop.example/a%20b?q=1");
        assert_eq!(request.version(), Version::HTTP_2);
        let host: Vec<_> = request.headers().get_all(header::HOST).collect();
        assert_eq!(host, ["shop.example"]);
        assert_eq!(request.headers().get_all("x").count(), 2);
    }

    #[test]
    fn cookies_are_one_field_again() {
        let request = translated("https://a/", &[("cookie", "a=1"), ("cookie", "b=2")]);
        assert_eq!(request.headers().get(header::COOKIE).unwrap(), "a=1; b=2");
    }

    #[test]
    fn two_hosts_stay_two() {
        assert_eq!(translated("https://a/", &[("host", "b")]).headers().get_all(header::HOST).count(), 2);
        assert_eq!(translated("https://a/", &[("host", "a")]).headers().get_all(header::HOST).count(), 1);
    }

    #[test]
    fn a_response_loses_what_is_of_http1() {
        let mut head = ResponseHead::new(StatusCode::OK);
        for (name, value) in [
            ("connection", "close"),
            ("keep-alive", "5"),
            ("content-length", "9"),
            ("set-cookie", "a"),
            ("set-cookie", "b"),
        ] {
            head.headers.append(name.parse().unwrap(), HeaderValue::from_static(value));
        }
        let sent = response(&head, BodySize::Sized(3)).unwrap();
        let mut names: Vec<_> = sent.headers().iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["content-length", "date", "set-cookie", "set-cookie"]);
        assert_eq!(sent.headers()["content-length"], "3");
        assert_eq!(response(&head, BodySize::None).unwrap().headers()["content-length"], "9");
    }
}
