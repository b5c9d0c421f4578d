//! `POST /_native/<name>`: a client calls a native function, without V8.

use actix_web::HttpResponse;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode};
use bytes::Bytes;
use shared::message::worker::Caller;
use shared::message::{MAX_CALL_BYTES, NativeCall, Outcome};

use super::Rules;
use super::backend::Backend;
use super::body::LimitedBody;
use crate::error::Cause;
use crate::middleware::exchange::Exchange;
use crate::pool::RequestBodyError;

/// The longest name of a function, in bytes.
const MAX_NAME_BYTES: usize = 128;

/// Calls the function `name` with the request's body.
pub async fn answer<B: Backend>(
    backend: &B,
    rules: &Rules,
    exchange: &Exchange,
    name: String,
    request: ServiceRequest,
) -> ServiceResponse {
    let (request, payload) = request.into_parts();
    let response = match refusal(&name, request.method(), request.headers(), exchange) {
        Some(cause) => cause.json(),
        None => {
            let limit = rules.body_limit.min(MAX_CALL_BYTES as u64);
            match LimitedBody::new(payload, limit, rules.body_timeout).collect().await {
                Ok(input) => outcome(backend.call(call(name, input, rules, exchange)).await),
                Err(RequestBodyError::TooLarge) => Cause::BodyTooLarge.json(),
                Err(RequestBodyError::Broken) => Cause::BodyBroken.json(),
                Err(RequestBodyError::Timeout) => Cause::BodySlow.json(),
            }
        }
    };
    ServiceResponse::new(request, response)
}

fn call(name: String, input: Bytes, rules: &Rules, exchange: &Exchange) -> NativeCall {
    NativeCall {
        name,
        caller: Caller::Client,
        deadline_ms: u32::try_from(rules.native_call_timeout.as_millis()).unwrap_or(u32::MAX),
        request_id: exchange.id.as_str().to_owned(),
        input,
    }
}

/// Why the function is not called, if so. What costs nothing is checked before the body is read.
fn refusal(name: &str, method: &Method, headers: &HeaderMap, exchange: &Exchange) -> Option<Cause> {
    if !is_name(name) {
        return Some(Cause::NoFunction);
    }
    if *method != Method::POST {
        return Some(Cause::NativeMethod);
    }
    if is_cross_site(headers, exchange) {
        return Some(Cause::CrossSite);
    }
    if !is_json(headers) {
        return Some(Cause::MediaType);
    }
    let length =
        headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    length.is_some_and(|length| length > MAX_CALL_BYTES).then_some(Cause::BodyTooLarge)
}

fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(plain)
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// Whether a page of another origin sends this. Browsers say so by `Sec-Fetch-Site`, older ones by `Origin`;
/// what sends neither is no browser and carries no cookies of a user.
pub(super) fn is_cross_site(headers: &HeaderMap, exchange: &Exchange) -> bool {
    match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
        Some(b"same-origin" | b"none") => return false,
        Some(b"cross-site") => return true,
        _ => {}
    }
    let Some(origin) = headers.get(header::ORIGIN) else {
        return headers.contains_key("sec-fetch-site");
    };
    let host =
        origin.to_str().ok().and_then(|origin| origin.strip_prefix(exchange.scheme())?.strip_prefix("://"));
    host.is_none_or(|host| !host.eq_ignore_ascii_case(exchange.host()))
}

fn outcome(outcome: Outcome) -> HttpResponse {
    let (status, body) = match outcome {
        Outcome::Value(json) => (StatusCode::OK, json),
        Outcome::Failed { status, message } => {
            let status = StatusCode::from_u16(status).ok().filter(|status| status.as_u16() >= 400);
            let body = serde_json::json!({ "error": message }).to_string();
            (status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), body.into())
        }
    };
    let mut response = HttpResponse::with_body(status, actix_web::body::BoxBody::new(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::middleware::exchange::RequestId;

    fn refused(method: Method, name: &str, fields: &[(&'static str, &'static str)]) -> Option<Cause> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.insert(name.parse().unwrap(), HeaderValue::from_static(value));
        }
        let host = Some(HeaderValue::from_static("example.com:8080"));
        let exchange = Exchange::new(RequestId::fresh(), [127, 0, 0, 1].into(), true, host, None);
        refusal(name, &method, &headers, &exchange)
    }

    const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");

    #[test]
    fn the_own_page_and_programs_may_call() {
        for fields in [
            &[JSON][..],
            &[JSON, ("sec-fetch-site", "same-origin")],
            &[JSON, ("sec-fetch-site", "none")],
            &[JSON, ("origin", "https://example.com:8080")],
            &[JSON, ("origin", "https://EXAMPLE.com:8080"), ("sec-fetch-site", "same-site")],
        ] {
            assert_eq!(refused(Method::POST, "threads.list", fields), None, "{fields:?}");
        }
    }

    #[test]
    fn other_sites_may_not() {
        for fields in [
            &[JSON, ("sec-fetch-site", "cross-site")][..],
            &[JSON, ("sec-fetch-site", "same-site")],
            &[JSON, ("sec-fetch-site", "same-site"), ("origin", "https://other.example.com")],
            &[JSON, ("sec-fetch-site", "whatever")],
            &[JSON, ("origin", "null")],
            &[JSON, ("origin", "http://example.com:8080")],
            &[JSON, ("origin", "https://example.com:8080.evil.example")],
        ] {
            assert_eq!(refused(Method::POST, "threads.list", fields), Some(Cause::CrossSite), "{fields:?}");
        }
    }

    #[test]
    fn each_mistake_has_its_answer() {
        assert_eq!(refused(Method::GET, "threads.list", &[JSON]), Some(Cause::NativeMethod));
        assert_eq!(refused(Method::POST, "threads.list", &[]), Some(Cause::MediaType));
        let form = ("content-type", "application/x-www-form-urlencoded");
        assert_eq!(refused(Method::POST, "threads.list", &[form]), Some(Cause::MediaType));
        let long = [JSON, ("content-length", "99999999")];
        assert_eq!(refused(Method::POST, "threads.list", &long), Some(Cause::BodyTooLarge));
        let too_long = "a".repeat(129);
        for name in ["", "a/b", "a b", "caf\u{e9}", &too_long] {
            assert_eq!(refused(Method::POST, name, &[JSON]), Some(Cause::NoFunction), "{name}");
        }
    }

    #[test]
    fn an_outcome_keeps_its_status_unless_it_is_none() {
        assert_eq!(outcome(Outcome::Value("1".into())).status(), 200);
        assert_eq!(outcome(Outcome::failed(404, "gone")).status(), 404);
        assert_eq!(outcome(Outcome::failed(200, "odd")).status(), 500);
        let busy = outcome(Outcome::failed(503, "busy"));
        assert!(busy.headers().contains_key(header::RETRY_AFTER));
    }
}
