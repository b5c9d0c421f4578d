//! Requests that an fn worker answers without V8: server functions that the build marked as direct, and routes.
//!
//! The gateway passes head and body on as they came; the worker knows TanStack Start's protocol.

use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header;
use shared::head::{HandlerOptions, RequestHeadRef};
use shared::message::Target;

use super::Rules;
use super::backend::Backend;
use super::bundle::{body, respond, url};
use super::headers::{passed_on, prepare_request};
use crate::error::Cause;
use crate::middleware::address::AddressText;
use crate::middleware::csrf;
use crate::middleware::exchange::Exchange;
use crate::pool::{NativeError, NativeRequest, RequestBodyError};

/// Lets an fn worker answer.
pub async fn answer<B: Backend>(
    backend: &B,
    rules: &Rules,
    exchange: &Exchange,
    target: Target,
    mut request: ServiceRequest,
) -> ServiceResponse {
    // A function is called by the app's own pages alone, as TanStack Start has it; what changes state was looked at
    // before. What a route takes is its own affair as long as it only reads.
    if matches!(target, Target::Function(_)) && is_cross_site(rules, &request, exchange) {
        let response = Cause::CrossSite.response(request.headers());
        return request.into_response(response);
    }
    let traceparent = prepare_request(request.headers_mut(), exchange);
    let (request, payload) = request.into_parts();
    let body = body(payload, rules);
    let client_ip = AddressText::of(exchange.client_ip);
    let url = url(exchange, &request);
    let context = exchange.context();
    let head = RequestHeadRef {
        method: request.method().as_str(),
        url: &url,
        client_ip: client_ip.as_str(),
        request_id: exchange.id.as_str(),
        has_body: body.is_some(),
        options: HandlerOptions { context: context.as_ref(), ..HandlerOptions::default() },
    };
    let timeout = rules.native_call_timeout;
    let headers = request.headers();
    let body_length =
        headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let headers = passed_on(headers, traceparent.as_ref());
    let native = NativeRequest { target, head, headers, body, body_length, timeout };
    let response = match backend.answer_natively(native).await {
        Ok(answer) => respond(answer, &request, exchange),
        Err(error) => cause(error).response(request.headers()),
    };
    ServiceResponse::new(request, response)
}

fn is_cross_site(rules: &Rules, request: &ServiceRequest, exchange: &Exchange) -> bool {
    let path = request.uri().path();
    let cors = rules.edge.cors.find(path).map(|found| found.value);
    csrf::refuses_function(&rules.edge.csrf, request.headers(), path, exchange, cors)
}

fn cause(error: NativeError) -> Cause {
    match error {
        NativeError::Unavailable => Cause::NoWorker,
        NativeError::Busy => Cause::WorkersBusy,
        NativeError::Lost | NativeError::Failed => Cause::WorkerLost,
        NativeError::Timeout => Cause::WorkerTimeout,
        NativeError::Body(RequestBodyError::TooLarge) => Cause::BodyTooLarge,
        NativeError::Body(RequestBodyError::Broken) => Cause::BodyBroken,
        NativeError::Body(RequestBodyError::Timeout) => Cause::BodySlow,
    }
}
