//! `POST /_native/<name>`: a client calls a native function, without V8.

use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse};
use bytes::{Bytes, BytesMut};
use shared::head::{HandlerOptions, RequestHeadRef};
use shared::message::{Caller, MAX_CALL_BYTES, NativeCall, Outcome};

use super::Rules;
use super::backend::Backend;
use super::body::LimitedBody;
use super::bundle::url;
use super::headers::{passed_on, prepare_request};
use crate::error::Cause;
use crate::middleware::exchange::Exchange;
use crate::pool::{Fields, RequestBodyError};

/// The longest name of a function, in bytes.
const MAX_NAME_BYTES: usize = 128;

/// Calls the function `name` with the request's body.
pub async fn answer<B: Backend>(
    backend: &B,
    rules: &Rules,
    exchange: &Exchange,
    name: String,
    mut request: ServiceRequest,
) -> ServiceResponse {
    let traceparent = prepare_request(request.headers_mut(), exchange);
    let (request, payload) = request.into_parts();
    let response = match refusal(&name, request.method(), request.headers()) {
        Some(cause) => cause.json(),
        None => {
            let limit = rules.body_limit.min(MAX_CALL_BYTES as u64);
            match LimitedBody::new(payload, limit, rules.body_rate).collect().await {
                Ok(input) => {
                    let fields = passed_on(request.headers(), traceparent.as_ref());
                    outcome(backend.call(call(name, input, rules, exchange, &request, fields)).await)
                }
                Err(RequestBodyError::TooLarge) => Cause::BodyTooLarge.json(),
                Err(RequestBodyError::Broken) => Cause::BodyBroken.json(),
                Err(RequestBodyError::Timeout) => Cause::BodySlow.json(),
            }
        }
    };
    ServiceResponse::new(request, response)
}

fn call(
    name: String,
    input: Bytes,
    rules: &Rules,
    exchange: &Exchange,
    request: &HttpRequest,
    fields: Fields<'_>,
) -> NativeCall {
    let (url, client_ip, context) =
        (url(exchange, request), exchange.client_ip.to_string(), exchange.context());
    let told = RequestHeadRef {
        method: request.method().as_str(),
        url: &url,
        client_ip: &client_ip,
        request_id: exchange.id.as_str(),
        // The body is the call's input.
        has_body: false,
        options: HandlerOptions { context: context.as_ref(), ..HandlerOptions::default() },
    };
    let mut head = BytesMut::new();
    told.encode(&mut head, fields.iter());
    NativeCall {
        name,
        caller: Caller::Client,
        deadline_ms: u32::try_from(rules.native_call_timeout.as_millis()).unwrap_or(u32::MAX),
        request_id: exchange.id.as_str().to_owned(),
        head: head.freeze(),
        input,
    }
}

/// Why the function is not called, if so. What costs nothing is checked before the body is read.
fn refusal(name: &str, method: &Method, headers: &HeaderMap) -> Option<Cause> {
    if !is_name(name) {
        return Some(Cause::NoFunction);
    }
    if *method != Method::POST {
        return Some(Cause::NativeMethod);
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

fn outcome(outcome: Outcome) -> HttpResponse {
    let (status, body) = match outcome {
        Outcome::Value(json) | Outcome::Answer { body: json, .. } => (StatusCode::OK, json),
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

    fn refused(method: Method, name: &str, fields: &[(&'static str, &'static str)]) -> Option<Cause> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.insert(name.parse().unwrap(), HeaderValue::from_static(value));
        }
        refusal(name, &method, &headers)
    }

    const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");

    #[test]
    fn each_mistake_has_its_answer() {
        assert_eq!(refused(Method::POST, "threads.list", &[JSON]), None);
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
