//! Access log and metrics, from a request's head to its response's last byte.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{Payload, Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::http::{Method, Uri, Version};
use actix_web::{Error, HttpResponse};
use bytes::Bytes;
use prometheus::{Histogram, IntCounter, IntGauge};

use super::exchange::{Exchange, RouteClass};
use super::log_budget::LogBudget;
use crate::error::Cause;
use crate::metrics::Metrics;
use crate::server::connection::ConnectionState;

/// The layer.
#[derive(Debug, Clone)]
pub struct Observe {
    counters: Rc<Counters>,
}

impl Observe {
    /// Counts in `metrics`, and the app's routes by these patterns. Lines about refusals come out of `lines`.
    pub fn new(metrics: Metrics, patterns: &[String], lines: Arc<LogBudget>) -> Self {
        Self { counters: Rc::new(Counters::new(metrics, patterns, lines)) }
    }
}

/// This thread's handles into the metrics: looking labels up would take a lock each time.
#[derive(Debug)]
struct Counters {
    metrics: Metrics,
    requests: RefCell<HashMap<(RouteClass, &'static str, u16), IntCounter>>,
    seconds: [Histogram; RouteClass::ALL.len()],
    patterns: Vec<PatternCounters>,
    in_flight: IntGauge,
    lines: Arc<LogBudget>,
}

/// Of one of the app's routes: by class of status, from 1xx on.
#[derive(Debug)]
struct PatternCounters {
    requests: [IntCounter; 5],
    seconds: Histogram,
}

impl PatternCounters {
    fn new(metrics: &Metrics, pattern: &str) -> Self {
        let classes = ["1xx", "2xx", "3xx", "4xx", "5xx"];
        Self {
            requests: classes.map(|class| metrics.route_requests.with_label_values(&[pattern, class])),
            seconds: metrics.route_seconds.with_label_values(&[pattern]),
        }
    }

    fn count(&self, status: u16, seconds: f64) {
        if let Some(counter) = self.requests.get(usize::from(status / 100).wrapping_sub(1)) {
            counter.inc();
        }
        self.seconds.observe(seconds);
    }
}

impl Counters {
    fn new(metrics: Metrics, patterns: &[String], lines: Arc<LogBudget>) -> Self {
        let seconds =
            RouteClass::ALL.map(|class| metrics.request_seconds.with_label_values(&[class.label()]));
        let in_flight = metrics.requests_in_flight.clone();
        let patterns = patterns.iter().map(|pattern| PatternCounters::new(&metrics, pattern)).collect();
        Self { metrics, requests: RefCell::default(), seconds, patterns, in_flight, lines }
    }

    fn count(&self, class: RouteClass, method: &'static str, status: u16, seconds: f64) {
        let mut requests = self.requests.borrow_mut();
        let counter = requests.entry((class, method, status)).or_insert_with(|| {
            let status = status.to_string();
            self.metrics.requests.with_label_values(&[class.label(), method, &status])
        });
        counter.inc();
        self.seconds[class as usize].observe(seconds);
    }
}

impl Counters {
    /// Whether a request that was turned away gets a line of its own.
    fn grants_a_line(&self) -> bool {
        let line = self.lines.take(Instant::now());
        if !line.is_written {
            self.metrics.access_lines_skipped.inc();
        }
        if line.skipped > 0 {
            let skipped = line.skipped;
            tracing::warn!(target: "access", skipped, "more requests were turned away, without lines of their own");
        }
        line.is_written
    }
}

/// The `method` label: names that clients invent are one value.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// How a response ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Its last byte was handed over.
    Complete,
    /// It was cut on this side.
    Cut,
    /// The client did not wait for its end.
    ClientGone,
}

impl Outcome {
    fn label(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Cut => "cut",
            Self::ClientGone => "client_gone",
        }
    }
}

/// The status of a request whose client went away before there was one.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// One request under observation; counted and logged when dropped.
#[derive(Debug)]
struct Observation {
    counters: Rc<Counters>,
    exchange: Option<Rc<Exchange>>,
    connection: Option<Rc<ConnectionState>>,
    started: Instant,
    method: Method,
    uri: Uri,
    version: Version,
    status: u16,
    reason: &'static str,
    /// It was turned away for the sake of others.
    is_turned_away: bool,
    bytes: u64,
    outcome: Outcome,
}

impl Observation {
    fn begin(counters: &Rc<Counters>, request: &ServiceRequest) -> Self {
        let connection = ConnectionState::of(request);
        if let Some(connection) = &connection {
            connection.begin(!matches!(request.parts().1, Payload::None));
        }
        counters.in_flight.inc();
        Self {
            counters: Rc::clone(counters),
            exchange: Exchange::of(request),
            connection,
            started: Instant::now(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            status: CLIENT_CLOSED_REQUEST,
            reason: "",
            is_turned_away: false,
            bytes: 0,
            outcome: Outcome::ClientGone,
        }
    }

    /// The rest of the response will not come. HTTP/1.0 has no other mark for that than an abrupt end.
    fn cut(&mut self) {
        self.outcome = Outcome::Cut;
        if self.version < Version::HTTP_11
            && let Some(connection) = &self.connection
        {
            connection.cut();
        }
    }

    fn answered<B>(&mut self, response: &HttpResponse<B>) {
        self.status = response.status().as_u16();
        if self.status < 400 {
            return;
        }
        if let Some(cause) = response.extensions().get::<Cause>() {
            self.reason = cause.row().reason;
            self.is_turned_away = cause.turns_away();
            if let Some(reason) = cause.refusal() {
                self.counters.metrics.refusals.with_label_values(&[reason]).inc();
            }
        }
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        if let Some(connection) = &self.connection {
            connection.end();
        }
        let elapsed = self.started.elapsed();
        let class = self.exchange.as_ref().map_or(RouteClass::None, |exchange| exchange.class());
        self.counters.in_flight.dec();
        self.counters.count(class, method_label(&self.method), self.status, elapsed.as_secs_f64());
        let pattern = self.exchange.as_ref().and_then(|exchange| exchange.pattern());
        if let Some(counters) = pattern.and_then(|pattern| self.counters.patterns.get(pattern as usize)) {
            counters.count(self.status, elapsed.as_secs_f64());
        }
        if self.is_turned_away && !self.counters.grants_a_line() {
            return;
        }
        let trace = self.exchange.as_ref().and_then(|exchange| exchange.trace);
        macro_rules! line {
            ($level:ident) => {
                tracing::event!(
                    target: "access",
                    tracing::Level::$level,
                    request_id = self.exchange.as_ref().map_or("", |exchange| exchange.id.as_str()),
                    trace_id = trace.map(|trace| tracing::field::display(trace.id())),
                    span_id = trace.map(|trace| tracing::field::display(trace.span())),
                    parent_span_id = trace.and_then(|trace| trace.parent()).map(tracing::field::display),
                    client = self.exchange.as_ref().map(|exchange| tracing::field::display(exchange.client_ip)),
                    method = self.method.as_str(),
                    path = self.uri.path(),
                    status = self.status,
                    route = class.label(),
                    bytes = self.bytes,
                    micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
                    outcome = self.outcome.label(),
                    reason = self.reason,
                )
            };
        }
        if self.status >= 500 || self.outcome == Outcome::Cut {
            line!(WARN);
        } else {
            line!(INFO);
        }
    }
}

impl<S, B> Transform<S, ServiceRequest> for Observe
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    type Response = ServiceResponse<Observed<B>>;
    type Error = Error;
    type Transform = ObserveService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        ready(Ok(ObserveService { inner, counters: Rc::clone(&self.counters) }))
    }
}

/// [`Observe`] around the next layer.
#[derive(Debug)]
pub struct ObserveService<S> {
    inner: S,
    counters: Rc<Counters>,
}

impl<S, B> Service<ServiceRequest> for ObserveService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    type Response = ServiceResponse<Observed<B>>;
    type Error = Error;
    type Future = ObserveFuture<S::Future>;

    forward_ready!(inner);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let observation = Observation::begin(&self.counters, &request);
        ObserveFuture { inner: self.inner.call(request), observation: Some(observation) }
    }
}

pin_project_lite::pin_project! {
    /// Hands the observation over to the response's body.
    #[derive(Debug)]
    pub struct ObserveFuture<F> {
        #[pin]
        inner: F,
        observation: Option<Observation>,
    }
}

impl<F, B> Future for ObserveFuture<F>
where
    F: Future<Output = Result<ServiceResponse<B>, Error>>,
    B: MessageBody,
{
    type Output = Result<ServiceResponse<Observed<B>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = std::task::ready!(this.inner.poll(cx));
        let Some(mut observation) = this.observation.take() else { return Poll::Pending };
        match result {
            Ok(response) => {
                observation.answered(response.response());
                if matches!(response.response().body().size(), BodySize::None | BodySize::Sized(0)) {
                    observation.outcome = Outcome::Complete;
                }
                Poll::Ready(Ok(response.map_body(|_, body| Observed { body, observation })))
            }
            Err(error) => {
                // What an error holds of a response can be taken out only once, and not here.
                observation.status = error.as_response_error().status_code().as_u16();
                observation.reason = Cause::Panic.row().reason;
                observation.outcome = Outcome::Complete;
                Poll::Ready(Err(error))
            }
        }
    }
}

pin_project_lite::pin_project! {
    /// A response's body under observation.
    #[derive(Debug)]
    pub struct Observed<B> {
        #[pin]
        body: B,
        observation: Observation,
    }
}

impl<B: MessageBody> MessageBody for Observed<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.project();
        let item = std::task::ready!(this.body.poll_next(cx));
        match &item {
            Some(Ok(bytes)) => this.observation.bytes += bytes.len() as u64,
            Some(Err(_)) => this.observation.cut(),
            None => this.observation.outcome = Outcome::Complete,
        }
        Poll::Ready(item)
    }
}

#[cfg(test)]
mod tests {
    use actix_web::App;
    use actix_web::body::{BodyStream, to_bytes};
    use actix_web::dev::fn_service;
    use actix_web::test::{TestRequest, init_service, try_call_service};
    use futures_util::stream;

    use super::*;

    type Chunk = Result<Bytes, std::io::Error>;

    async fn observed(body: Vec<Chunk>, read: bool) -> Metrics {
        let metrics = Metrics::new().unwrap();
        let body = Rc::new(RefCell::new(body));
        let service = fn_service(move |request: ServiceRequest| {
            let body = BodyStream::new(stream::iter(body.take()));
            ready(Ok::<_, Error>(request.into_response(HttpResponse::Ok().body(body))))
        });
        let app = App::new()
            .wrap(Observe::new(metrics.clone(), &[], Arc::new(LogBudget::new(10))))
            .default_service(service);
        let app = init_service(app).await;
        let response = try_call_service(&app, TestRequest::get().to_request()).await.unwrap();
        assert_eq!(metrics.requests_in_flight.get(), 1);
        if read {
            let _ = to_bytes(response.into_body()).await;
        }
        metrics
    }

    #[actix_web::test]
    async fn a_request_counts_once_its_last_byte_is_out() {
        for (body, read) in [
            (vec![Ok("a".into()), Ok("b".into())], true),
            (vec![Ok("a".into()), Err(std::io::Error::other("lost"))], true),
            (vec![Ok("a".into())], false),
        ] {
            let metrics = observed(body, read).await;
            assert_eq!(metrics.requests_in_flight.get(), 0);
            assert_eq!(metrics.requests.with_label_values(&["none", "GET", "200"]).get(), 1);
            assert_eq!(metrics.request_seconds.with_label_values(&["none"]).get_sample_count(), 1);
        }
    }
}
