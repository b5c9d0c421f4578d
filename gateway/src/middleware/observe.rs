//! Access log and metrics, from a request's head to its response's last byte.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::{JsonPayloadError, PayloadError, UrlencodedError};
use actix_web::http::{Method, Uri, Version};
use actix_web::{Error, HttpResponse};
use bytes::Bytes;
use prometheus::{Histogram, IntCounter, IntGauge};

use super::exchange::{Exchange, RouteClass};
use super::log_budget::LogBudget;
use crate::error::Cause;
use crate::metrics::Metrics;

/// One gateway thread's handles into the metrics: looking labels up would take a lock each time.
#[derive(Debug)]
pub struct Counters {
    metrics: Metrics,
    /// By what [`key`] makes of the labels. There are few, and a thread meets fewer.
    requests: RefCell<Vec<(u32, IntCounter)>>,
    refusals: RefCell<Vec<(&'static str, IntCounter)>>,
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
    /// Counts in `metrics`, and the app's routes by these patterns. Lines about refusals come out of `lines`.
    pub fn new(metrics: Metrics, patterns: &[String], lines: Arc<LogBudget>) -> Self {
        let seconds =
            RouteClass::ALL.map(|class| metrics.request_seconds.with_label_values(&[class.label()]));
        let in_flight = metrics.requests_in_flight.clone();
        let patterns = patterns.iter().map(|pattern| PatternCounters::new(&metrics, pattern)).collect();
        let (requests, refusals) = (RefCell::default(), RefCell::default());
        Self { metrics, requests, refusals, seconds, patterns, in_flight, lines }
    }

    fn count(&self, class: RouteClass, method: &Method, status: u16, seconds: f64) {
        let method = MethodLabel::of(method);
        let find = || {
            let status = status.to_string();
            self.metrics.requests.with_label_values(&[class.label(), method.label(), &status])
        };
        known(&self.requests, key(class, method, status), find);
        self.seconds[class as usize].observe(seconds);
    }

    fn count_refusal(&self, reason: &'static str) {
        known(&self.refusals, reason, || self.metrics.refusals.with_label_values(&[reason]));
    }

    /// Whether a request that was turned away gets a line of its own.
    fn grants_a_line(&self, now: Instant) -> bool {
        let line = self.lines.take(now);
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

/// Counts one more of this key; where the thread has not met it yet, its handle is looked up.
fn known<K: PartialEq>(counters: &RefCell<Vec<(K, IntCounter)>>, key: K, find: impl FnOnce() -> IntCounter) {
    let mut counters = counters.borrow_mut();
    match counters.iter().find(|(known, _)| *known == key) {
        Some((_, counter)) => counter.inc(),
        None => {
            let counter = find();
            counter.inc();
            counters.push((key, counter));
        }
    }
}

/// The labels of a request as one number.
fn key(class: RouteClass, method: MethodLabel, status: u16) -> u32 {
    u32::from(status) | (method as u32) << 16 | (class as u32) << 24
}

/// The `method` label: names that clients invent are one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MethodLabel {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
    Other,
}

impl MethodLabel {
    fn of(method: &Method) -> Self {
        match *method {
            Method::GET => Self::Get,
            Method::HEAD => Self::Head,
            Method::POST => Self::Post,
            Method::PUT => Self::Put,
            Method::PATCH => Self::Patch,
            Method::DELETE => Self::Delete,
            Method::OPTIONS => Self::Options,
            _ => Self::Other,
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Other => "other",
        }
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
pub struct Observation {
    counters: Rc<Counters>,
    exchange: Rc<Exchange>,
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
    /// The observation of a request that has just come.
    pub fn begin(counters: &Rc<Counters>, request: &ServiceRequest, exchange: &Rc<Exchange>) -> Self {
        let has_body = !matches!(request.parts().1, Payload::None);
        let started = exchange.connection.as_ref().map(|connection| connection.begin(has_body).into_std());
        counters.in_flight.inc();
        Self {
            counters: Rc::clone(counters),
            exchange: Rc::clone(exchange),
            started: started.unwrap_or_else(Instant::now),
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

    /// The exchange of the request.
    pub fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// The response, whose body is observed to its last byte.
    pub fn of<B: MessageBody>(mut self, response: ServiceResponse<B>) -> ServiceResponse<Observed<B>> {
        self.answered(response.response());
        self.responds();
        if matches!(response.response().body().size(), BodySize::None | BodySize::Sized(0)) {
            self.outcome = Outcome::Complete;
        }
        response.map_body(|_, body| Observed { body, observation: self })
    }

    /// Notes that the request was answered with an error, past all layers.
    pub fn failed(mut self, cause: Cause) {
        let row = cause.row();
        (self.status, self.reason, self.outcome) = (row.status, row.reason, Outcome::Complete);
        if let Some(reason) = cause.refusal() {
            self.counters.count_refusal(reason);
        }
    }

    fn responds(&self) {
        if let Some(connection) = &self.exchange.connection {
            connection.respond();
        }
    }

    /// Notes that the request ends because its body is none. Where nothing has been answered, the guarded connection
    /// does so over HTTP/1; over HTTP/2 the stream has been reset.
    fn break_off(&mut self) {
        let row = Cause::BodyBroken.row();
        let is_answered = self.status == CLIENT_CLOSED_REQUEST && self.version <= Version::HTTP_11;
        self.outcome = if is_answered { Outcome::Complete } else { Outcome::Cut };
        if self.status == CLIENT_CLOSED_REQUEST {
            self.status = row.status;
        }
        self.reason = row.reason;
        self.counters.count_refusal(row.reason);
    }

    /// The rest of the response will not come. HTTP/1.0 has no other mark for that than an abrupt end.
    fn cut(&mut self) {
        self.outcome = Outcome::Cut;
        if self.version < Version::HTTP_11
            && let Some(connection) = &self.exchange.connection
        {
            connection.cut();
        }
    }

    fn answered<B>(&mut self, response: &HttpResponse<B>) {
        self.status = response.status().as_u16();
        if self.status < 400 {
            return;
        }
        let cause = self.exchange.cause().or_else(|| response.extensions().get::<Cause>().copied());
        let cause = cause.or_else(|| is_of_broken_body(response.error()?).then_some(Cause::BodyBroken));
        if let Some(cause) = cause {
            self.reason = cause.row().reason;
            self.is_turned_away = cause.turns_away();
            if let Some(reason) = cause.refusal() {
                self.counters.count_refusal(reason);
            }
        }
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        let now = tokio::time::Instant::now();
        if let Some(connection) = &self.exchange.connection {
            connection.end(now);
            if self.outcome == Outcome::ClientGone && connection.is_body_broken() {
                self.break_off();
            }
        }
        let now = now.into_std();
        let elapsed = now.saturating_duration_since(self.started);
        let (class, seconds) = (self.exchange.class(), elapsed.as_secs_f64());
        self.counters.in_flight.dec();
        if self.exchange.has_forged() {
            self.counters.metrics.forged_forwards.inc();
        }
        self.counters.count(class, &self.method, self.status, seconds);
        let pattern = self.exchange.pattern();
        if let Some(counters) = pattern.and_then(|pattern| self.counters.patterns.get(pattern as usize)) {
            counters.count(self.status, seconds);
        }
        if self.is_turned_away && !self.counters.grants_a_line(now) {
            return;
        }
        let trace = self.exchange.trace;
        macro_rules! line {
            ($level:ident) => {
                tracing::event!(
                    target: "access",
                    tracing::Level::$level,
                    request_id = self.exchange.id.as_str(),
                    trace_id = trace.map(|trace| tracing::field::display(trace.id())),
                    span_id = trace.map(|trace| tracing::field::display(trace.span())),
                    parent_span_id = trace.and_then(|trace| trace.parent()).map(tracing::field::display),
                    client = tracing::field::display(self.exchange.client_ip),
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

/// Whether an extractor of an embedder's own route says that the request's body is none.
fn is_of_broken_body(error: &Error) -> bool {
    let broken = |error: &PayloadError| {
        matches!(error, PayloadError::EncodingCorrupted | PayloadError::Incomplete(_) | PayloadError::Io(_))
    };
    if let Some(error) = error.as_error::<PayloadError>() {
        return broken(error);
    }
    if let Some(JsonPayloadError::Payload(error)) = error.as_error::<JsonPayloadError>() {
        return broken(error);
    }
    matches!(error.as_error::<UrlencodedError>(), Some(UrlencodedError::Payload(error)) if broken(error))
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
    use actix_web::body::{BodyStream, to_bytes};
    use actix_web::test::TestRequest;
    use futures_util::stream;

    use super::*;
    use crate::middleware::exchange::RequestId;

    type Chunk = Result<Bytes, std::io::Error>;

    async fn observed(body: Vec<Chunk>, read: bool) -> Metrics {
        let metrics = Metrics::new().unwrap();
        let counters = Rc::new(Counters::new(metrics.clone(), &[], Arc::new(LogBudget::new(10))));
        let exchange = Rc::new(Exchange::new(RequestId::fresh(), [127, 0, 0, 1].into(), false, None, None));
        let request = TestRequest::get().to_srv_request();
        let observation = Observation::begin(&counters, &request, &exchange);
        let body = BodyStream::new(stream::iter(body));
        let response = observation.of(request.into_response(HttpResponse::Ok().body(body)));
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

    #[actix_web::test]
    async fn an_extractors_word_on_a_broken_body_is_a_refusal() {
        let json: fn(PayloadError) -> Error = |error| JsonPayloadError::Payload(error).into();
        let form: fn(PayloadError) -> Error = |error| UrlencodedError::Payload(error).into();
        for (error, counted) in [
            (Error::from(PayloadError::EncodingCorrupted), 1),
            (json(PayloadError::Incomplete(None)), 1),
            (form(PayloadError::EncodingCorrupted), 1),
            (Error::from(PayloadError::Overflow), 0),
            (actix_web::error::ErrorBadRequest("the route's own"), 0),
        ] {
            let metrics = Metrics::new().unwrap();
            let counters = Rc::new(Counters::new(metrics.clone(), &[], Arc::new(LogBudget::new(10))));
            let exchange =
                Rc::new(Exchange::new(RequestId::fresh(), [127, 0, 0, 1].into(), false, None, None));
            let request = TestRequest::post().to_srv_request();
            let observation = Observation::begin(&counters, &request, &exchange);
            let shown = error.to_string();
            let response = ServiceResponse::new(request.into_parts().0, HttpResponse::from_error(error));
            drop(observation.of(response));
            assert_eq!(metrics.refusals.with_label_values(&["body_broken"]).get(), counted, "{shown}");
        }
    }

    #[test]
    fn labels_that_differ_are_counted_apart() {
        let metrics = Metrics::new().unwrap();
        let counters = Counters::new(metrics.clone(), &[], Arc::new(LogBudget::new(10)));
        let brew = Method::from_bytes(b"BREW").unwrap();
        for (class, method, status) in [
            (RouteClass::Bundle, &Method::GET, 200),
            (RouteClass::Bundle, &Method::GET, 200),
            (RouteClass::Static, &Method::GET, 200),
            (RouteClass::Bundle, &Method::HEAD, 200),
            (RouteClass::Bundle, &Method::GET, 503),
            (RouteClass::None, &brew, 501),
        ] {
            counters.count(class, method, status, 0.001);
        }
        let counted = |labels: [&str; 3]| metrics.requests.with_label_values(&labels).get();
        assert_eq!(counted(["bundle", "GET", "200"]), 2);
        assert_eq!(counted(["static", "GET", "200"]), 1);
        assert_eq!(counted(["bundle", "HEAD", "200"]), 1);
        assert_eq!(counted(["bundle", "GET", "503"]), 1);
        assert_eq!(counted(["none", "other", "501"]), 1);
    }
}
