//! Requests that an fn worker answers without V8: server functions that the build marked as direct, and routes.
//!
//! The gateway passes head and body on as they came; the worker knows TanStack Start's protocol.

use actix_web::dev::{ServiceRequest, ServiceResponse};
use shared::head::{HandlerOptions, RequestHeadRef};
use shared::message::Target;

use super::Rules;
use super::backend::Backend;
use super::bundle::{body, respond, url};
use super::headers::prepare_request;
use crate::error::Cause;
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
    prepare_request(request.headers_mut(), exchange);
    let (request, payload) = request.into_parts();
    let body = body(payload, rules);
    let client_ip = exchange.client_ip.to_string();
    let url = url(exchange, &request);
    let context = exchange.context();
    let head = RequestHeadRef {
        method: request.method().as_str(),
        url: &url,
        client_ip: &client_ip,
        request_id: exchange.id.as_str(),
        has_body: body.is_some(),
        options: HandlerOptions { context: context.as_ref(), ..HandlerOptions::default() },
    };
    let timeout = rules.native_call_timeout;
    let native = NativeRequest { target, head, headers: request.headers(), body, timeout };
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
