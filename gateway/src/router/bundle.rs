//! Everything that is neither a file nor a native function: the app's own code answers, in an isolate.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use futures_core::Stream;
use shared::head::{HandlerOptions, RequestHeadRef};

use super::Rules;
use super::backend::{Answer, Backend};
use super::body::{Headless, LimitedBody};
use super::headers::{passed_on, prepare_request, take_response};
use super::hints::{Hinting, Learnt};
use super::rests::{Route, Watch, Watched, verdict};
use super::shape::shape;
use crate::admission::breaker::Verdict;
use crate::admission::class::Class;
use crate::admission::places;
use crate::admission::respite::Respite;
use crate::admission::{RefusalReason, Turn, Wish};
use crate::error::Cause;
use crate::middleware::address::AddressText;
use crate::middleware::exchange::Exchange;
use crate::pool::{OnEarlyHints, RenderError, RenderJob, RequestBody, RouteTerms, is_event_stream};
use crate::server::connection::interim::Interim;

/// A request that may be run.
#[derive(Debug)]
pub struct Entered {
    terms: RouteTerms,
    /// It finds out whether its route is well again.
    trial: Option<Watch>,
    turn: Option<Turn>,
    wish: Wish,
}

/// Asks whether the request may run or wait, before anything is made for it: under an overload most requests end here.
///
/// # Errors
/// Why it may not.
pub fn enter<B: Backend>(
    backend: &B,
    rules: &Rules,
    respite: &Respite,
    exchange: &Exchange,
    request: &ServiceRequest,
) -> Result<Entered, Cause> {
    let path = request.uri().path();
    let trial = rules.rests.enter(|| route(rules, exchange, path));
    let trial = trial.map_err(|resting| Cause::RouteResting(resting.seconds))?;
    let limit = rules.route_limit(path);
    let place = places::take(limit).map_err(|_| Cause::RouteBusy)?;
    let wish =
        Wish { class: class(request, &rules.base_path), wait: limit.and_then(|limit| limit.queue_wait) };
    let turn = backend.enter(wish).map_err(|reason| {
        if reason.is_overload() {
            respite.is_due();
        }
        cause(RenderError::Refused(reason))
    })?;
    let terms = RouteTerms { place, timeout: limit.and_then(|limit| limit.timeout) };
    Ok(Entered { terms, trial, turn, wish })
}

/// Lets an isolate answer the request. `over_file`: its path is a file's, its method not one to read it.
pub async fn answer<B: Backend>(
    backend: &B,
    rules: &Rules,
    learnt: &Learnt,
    exchange: &Exchange,
    mut request: ServiceRequest,
    entered: Entered,
    over_file: bool,
) -> ServiceResponse {
    let Entered { terms, trial, turn, wish } = entered;
    let timeout = terms.timeout.unwrap_or(rules.job_timeout);
    let interim = Interim::of(&request, exchange);
    let traceparent = prepare_request(request.headers_mut(), exchange);
    let (request, payload) = request.into_parts();
    let hinting = rules.early_hints.as_ref().and_then(|counts| {
        Hinting::begin(learnt, counts, &request, interim, || route_name(rules, exchange, request.path()))
    });
    let body = body(payload, rules);
    let has_body = body.is_some();
    let method = request.method();
    let client_ip = AddressText::of(exchange.client_ip);
    let url = url(exchange, &request);
    let context = exchange.context();
    let head = RequestHeadRef {
        method: method.as_str(),
        url: &url,
        client_ip: client_ip.as_str(),
        request_id: exchange.id.as_str(),
        has_body,
        options: HandlerOptions {
            context: context.as_ref(),
            response_link_header: rules.response_link_header,
            ..HandlerOptions::default()
        },
    };
    let retry_safe = !has_body && (*method == Method::GET || *method == Method::HEAD);
    let hear = |hints| {
        if let Some(hinting) = &hinting {
            hinting.hear(&hints);
        }
    };
    let asks = hinting.as_ref().is_some_and(Hinting::asks);
    let on_early_hints: Option<OnEarlyHints<'_>> = if asks { Some(&hear) } else { None };
    let headers = passed_on(request.headers(), traceparent.as_ref());
    let job = RenderJob { head, headers, body, retry_safe, wish, turn, terms, on_early_hints };
    let rendered = backend.render(job, timeout).await;
    let watch = judge(rules, trial, || route(rules, exchange, request.path()), &rendered);
    let mut response = match rendered {
        Ok(Answer { status, headers, whole, body }) => {
            let body = Watched::new(body, watch);
            respond(Answer { status, headers, whole, body }, &request, exchange)
        }
        Err(RenderError::Skipped) if over_file => Cause::SkippedFile.response(request.headers()),
        Err(error) => cause(error).response(request.headers()),
    };
    if let Some(hinting) = hinting {
        hinting.finish(&mut response);
    }
    ServiceResponse::new(request, response)
}

/// Tells the route what is known of the job now. Where its end is still to come, what is to hear of it.
fn judge<S>(
    rules: &Rules,
    trial: Option<Watch>,
    route: impl FnOnce() -> Route,
    rendered: &Result<Answer<S>, RenderError>,
) -> Option<Watch> {
    let verdict = match rendered {
        // Events come for as long as somebody listens.
        Ok(answer) if answer.whole.is_none() && !is_event_stream(&answer.headers) => {
            let watch = trial.or_else(|| rules.rests.watch(route));
            watch.iter().for_each(Watch::begun);
            return watch;
        }
        Ok(_) => Verdict::Good,
        Err(error) => verdict(error),
    };
    match trial {
        Some(trial) => trial.ended(verdict),
        None => rules.rests.ended(route, verdict),
    }
    None
}

/// The route that a path belongs to: its pattern where the manifest tells of one, else its shape.
fn route(rules: &Rules, exchange: &Exchange, path: &str) -> Route {
    let pattern = exchange.pattern().filter(|number| rules.classes.pattern(*number).is_some());
    pattern.map_or_else(|| Route::Shape(shape(path)), Route::Pattern)
}

/// The same as text.
fn route_name(rules: &Rules, exchange: &Exchange, path: &str) -> String {
    let pattern = exchange.pattern().and_then(|number| rules.classes.pattern(number));
    pattern.map_or_else(|| shape(path), str::to_owned)
}

/// What kind of work it is.
fn class(request: &ServiceRequest, base_path: &str) -> Class {
    let path = request.path();
    Class::of(path.strip_prefix(base_path).unwrap_or(path), request.headers())
}

pub(super) fn body(payload: Payload, rules: &Rules) -> Option<RequestBody> {
    match payload {
        Payload::None => None,
        payload => Some(Box::pin(LimitedBody::new(payload, rules.body_limit, rules.body_rate))),
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
        RenderError::Refused(RefusalReason::WouldWait) => Cause::WouldWait,
        RenderError::Refused(RefusalReason::Shed) => Cause::Shed,
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
        RenderError::Skipped => Cause::Skipped,
        RenderError::Dropped => Cause::Dropped,
        RenderError::Protocol => Cause::Protocol,
    }
}

pub(super) fn respond<S>(answer: Answer<S>, request: &HttpRequest, exchange: &Exchange) -> HttpResponse
where
    S: Stream<Item = Result<Bytes, RenderError>> + 'static,
{
    let status = StatusCode::from_u16(answer.status).ok().filter(|status| status.as_u16() >= 200);
    // Responses come out of a pool, with room for their fields.
    let mut response =
        HttpResponse::with_body(status.unwrap_or_default(), BoxBody::new(Headless(BodySize::None)));
    let (Some(status), Ok(length)) = (status, take_response(answer.headers, response.headers_mut())) else {
        let (request_id, path) = (exchange.id.as_str(), request.path());
        let status = answer.status;
        tracing::error!(request_id, path, status, "the app's response cannot be sent: its head is not valid");
        return Cause::BadResponse.response(request.headers());
    };
    if status == StatusCode::NOT_MODIFIED
        && let Some(length) = length
    {
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    let is_head = *request.method() == Method::HEAD;
    response.set_body(sent_body(status, is_head, length, answer.whole, answer.body))
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
