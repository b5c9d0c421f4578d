//! Everything that is neither a file nor a native function: the app's own code answers, in an isolate.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use futures_core::Stream;
use shared::head::{HandlerOptions, RequestHeadRef};

use super::Rules;
use super::backend::{Answer, Backend};
use super::body::{Headless, LimitedBody};
use super::headers::{strip_request, take_response};
use crate::admission::RefusalReason;
use crate::error::Cause;
use crate::middleware::exchange::Exchange;
use crate::pool::{RenderError, RenderJob, RequestBody};

/// Lets an isolate answer the request.
pub async fn answer<B: Backend>(
    backend: &B,
    rules: &Rules,
    exchange: &Exchange,
    mut request: ServiceRequest,
) -> ServiceResponse {
    strip_request(request.headers_mut(), exchange.believed);
    let (request, payload) = request.into_parts();
    let body = body(payload, rules);
    let has_body = body.is_some();
    let method = request.method();
    let client_ip = exchange.client_ip.to_string();
    let url = url(exchange, &request);
    let context = exchange.context();
    let head = RequestHeadRef {
        method: method.as_str(),
        url: &url,
        client_ip: &client_ip,
        request_id: exchange.id.as_str(),
        has_body,
        options: HandlerOptions {
            context: context.as_ref(),
            response_link_header: rules.response_link_header,
            ..HandlerOptions::default()
        },
    };
    let retry_safe = !has_body && (*method == Method::GET || *method == Method::HEAD);
    let job = RenderJob { head, headers: request.headers(), body, retry_safe, on_early_hints: None };
    let response = match backend.render(job, rules.job_timeout).await {
        Ok(answer) => respond(answer, &request, exchange),
        Err(error) => cause(error).response(request.headers()),
    };
    ServiceResponse::new(request, response)
}

pub(super) fn body(payload: Payload, rules: &Rules) -> Option<RequestBody> {
    match payload {
        Payload::None => None,
        payload => Some(Box::pin(LimitedBody::new(payload, rules.body_limit, rules.body_timeout))),
    }
}

/// The URL as the client sees it, path and query exactly as sent.
pub(super) fn url(exchange: &Exchange, request: &HttpRequest) -> String {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    [exchange.scheme(), "://", exchange.host(), target].concat()
}

fn cause(error: RenderError) -> Cause {
    match error {
        RenderError::Refused(RefusalReason::QueueFull) => Cause::QueueFull,
        RenderError::Refused(RefusalReason::QueueTimeout) => Cause::QueueTimeout,
        RenderError::Refused(RefusalReason::Draining) => Cause::Draining,
        RenderError::Refused(RefusalReason::NoIsolate) => Cause::NoIsolate,
        RenderError::Lost => Cause::IsolateLost,
        RenderError::Threw => Cause::Threw,
        RenderError::TurnLimit => Cause::TurnLimit,
        RenderError::HeapLimit => Cause::HeapLimit,
        RenderError::BodyTooLarge => Cause::BodyTooLarge,
        RenderError::BodyBroken => Cause::BodyBroken,
        RenderError::BodyTimeout => Cause::BodySlow,
        RenderError::Timeout => Cause::Timeout,
        RenderError::Protocol => Cause::Protocol,
    }
}

pub(super) fn respond<S>(answer: Answer<S>, request: &HttpRequest, exchange: &Exchange) -> HttpResponse
where
    S: Stream<Item = Result<Bytes, RenderError>> + 'static,
{
    let status = StatusCode::from_u16(answer.status).ok().filter(|status| status.as_u16() >= 200);
    let mut headers = HeaderMap::with_capacity(answer.headers.len());
    let (Some(status), Ok(length)) = (status, take_response(answer.headers, &mut headers)) else {
        let (request_id, path) = (exchange.id.as_str(), request.path());
        let status = answer.status;
        tracing::error!(request_id, path, status, "the app's response cannot be sent: its head is not valid");
        return Cause::BadResponse.response(request.headers());
    };
    if status == StatusCode::NOT_MODIFIED
        && let Some(length) = length
    {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    let is_head = *request.method() == Method::HEAD;
    let body = sent_body(status, is_head, length, answer.whole, answer.body);
    let mut response = HttpResponse::with_body(status, body);
    response.head_mut().headers = headers;
    response
}

/// The body to send. Where none may be sent, the bundle's is dropped, which cancels the rest of its job.
fn sent_body<S>(
    status: StatusCode,
    is_head: bool,
    length: Option<u64>,
    whole: Option<usize>,
    stream: S,
) -> BoxBody
where
    S: Stream<Item = Result<Bytes, RenderError>> + 'static,
{
    let announced = length.map(BodySize::Sized);
    match status {
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => BoxBody::new(Headless(BodySize::None)),
        StatusCode::RESET_CONTENT => BoxBody::new(Headless(BodySize::Sized(0))),
        // How long the answer to a GET would be is unknown unless the bundle said so.
        _ if is_head => BoxBody::new(Headless(announced.unwrap_or(BodySize::None))),
        _ => {
            let come = whole.map(|bytes| BodySize::Sized(bytes as u64));
            BoxBody::new(BundleBody { stream, size: announced.or(come).unwrap_or(BodySize::Stream) })
        }
    }
}

pin_project_lite::pin_project! {
    /// The bundle's body, sent as it comes. An error cuts the connection: it never ends as if it were whole.
    struct BundleBody<S> {
        #[pin]
        stream: S,
        size: BodySize,
    }
}

impl<S> MessageBody for BundleBody<S>
where
    S: Stream<Item = Result<Bytes, RenderError>>,
{
    type Error = RenderError;

    fn size(&self) -> BodySize {
        self.size
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, RenderError>>> {
        self.project().stream.poll_next(cx)
    }
}
