//! All functions of a process, by name.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, HeaderValue};
use remote::announcement::Offer;
use shared::head::RequestHead;
use shared::message::control::{FunctionInfo, RouteInfo};
use shared::message::{CallInput, Caller, NativeCall, Outcome, Target};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::answer::{Answer, IntoAnswer, Response};
use crate::context::{Additions, Beside, CallInfo, Context, Services};
use crate::error::FunctionError;
use crate::exchange::{Exchange, RequestBody, Streams};
use crate::form;
use crate::function::{Method, Registered, Signature};
use crate::input::Payload;
use crate::isolate;
use crate::outward::Outward;
use crate::request::Request;
use crate::router::{Found, Router};
use crate::start;

/// The functions that a process answers for.
pub struct Registry {
    router: Router,
    services: Arc<Services>,
}

impl Registry {
    pub(crate) fn new(router: Router, services: Arc<Services>) -> Self {
        Self { router, services }
    }

    /// What the gateway must know of the routes.
    pub(crate) fn routes(&self) -> Vec<RouteInfo> {
        self.router.infos()
    }

    /// The functions' names, in alphabetical order.
    pub fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.services.functions.keys().copied().collect();
        names.sort_unstable();
        names
    }

    /// What the gateway must know of the functions, by name.
    pub(crate) fn functions(&self) -> Vec<FunctionInfo> {
        let info = |name: &str| {
            let idempotent = self.services.functions[name].signature().idempotent;
            FunctionInfo { name: name.to_owned(), idempotent }
        };
        self.names().into_iter().map(info).collect()
    }

    /// What gateways of other machines are told of the functions.
    pub(crate) fn offers(&self) -> Vec<Offer> {
        let offer = |name: &str| {
            let signature = self.services.functions[name].signature();
            Offer {
                name: name.to_owned(),
                method: signature.method.as_str().to_owned(),
                idempotent: signature.idempotent,
                registered_at: signature.registered_at.to_string(),
            }
        };
        self.names().into_iter().map(offer).collect()
    }

    /// Whether the function reads or writes; `None` when there is none of this name.
    pub fn method(&self, name: &str) -> Option<Method> {
        self.services.functions.get(name).map(|function| function.signature().method)
    }

    /// Counts what calls have left running.
    pub(crate) fn background(&self) -> &TaskTracker {
        &self.services.background
    }

    /// How long a call of `name` may take: what the caller grants, or less where the function says so.
    pub(crate) fn time_for(&self, name: &str, granted_ms: u32) -> Duration {
        let granted = Duration::from_millis(granted_ms.into());
        let own = self.services.functions.get(name).and_then(|function| function.signature().deadline);
        own.map_or(granted, |own| own.min(granted))
    }

    /// Runs a call to its end; `None` when its answer has gone out by the streams. Failures are logged here; dropping
    /// the future cancels the call.
    pub(crate) async fn call(
        &self,
        call: NativeCall,
        streams: Option<Streams>,
        deadline: Instant,
        cancellation: CancellationToken,
        outward: Option<Outward>,
    ) -> Option<Outcome> {
        let NativeCall { name, caller, request_id, head, input, .. } = call;
        let terms = Terms { caller, request_id, deadline, cancellation, outward };
        // A head that does not decode is none: the gateway passes on what an isolate said.
        let request = RequestHead::decode(head).map_or_else(|_| Request::default(), Request::new);
        name_trace(&request);
        let outcome = match (self.find(&name), streams) {
            (Ok(function), None) => {
                let context = self.context(function, terms, request, Payload::Json(input), None);
                isolate::plain(Arc::clone(function).call(context).await).map(Some)
            }
            (Ok(function), Some(Streams { body, mut responder })) => {
                match self.read_input(function.signature(), input, body).await {
                    Ok(payload) => {
                        let context = self.context(function, terms, request, payload, None);
                        let answer = Arc::clone(function).call(context.clone()).await;
                        isolate::outcome(answer, context.take_beside().fields, &mut responder).await
                    }
                    Err(error) => Err(error),
                }
            }
            (Err(error), _) => Err(error),
        };
        outcome.unwrap_or_else(|error| {
            error.log();
            Some(error.into())
        })
    }

    /// What JavaScript on the server has sent.
    async fn read_input(
        &self,
        signature: &Signature,
        input: Bytes,
        mut body: RequestBody,
    ) -> Result<Payload, FunctionError> {
        match CallInput::decode(input) {
            CallInput::Json(json) => Ok(Payload::Json(json)),
            CallInput::Serialized(document) => Ok(Payload::Serialized(document)),
            CallInput::Body { content_type } => {
                let limits = signature.form_limits(&self.services.form_limits);
                let form = form::read(&content_type, &mut body, &limits).await?;
                Ok(Payload::Form(form.into()))
            }
        }
    }

    /// Answers a client's request to its end. Failures are logged here; dropping the future cancels the call.
    pub(crate) async fn exchange(
        &self,
        exchange: Exchange,
        deadline: Instant,
        cancellation: CancellationToken,
        outward: Option<Outward>,
    ) {
        let Exchange { target, head, mut body, mut responder } = exchange;
        let request_id = String::from_utf8_lossy(&head.request_id).into_owned();
        let request = Request::new(head);
        name_trace(&request);
        let terms = Terms { caller: Caller::Client, request_id, deadline, cancellation, outward };
        let mut added = Beside::default();
        let Target::Function(name) = target else {
            let outcome = self.route(terms, &request, body, &mut added).await;
            if let Err(error) = &outcome {
                error.log();
            }
            return start::write(&request, outcome, added, &mut responder).await;
        };
        let outcome = match self.find(&name) {
            Ok(function) if function.signature().method.as_str() != request.method() => {
                let method = function.signature().method.as_str();
                added.fields.push((ALLOW, HeaderValue::from_static(method)));
                Err(FunctionError::new(405, format!("expected {method} method. Got {}", request.method())))
            }
            Ok(function) => match self.read(function.signature(), &request, &mut body).await {
                Ok(payload) => {
                    let context = self.context(function, terms, request.clone(), payload, None);
                    let outcome = Arc::clone(function).call(context.clone()).await;
                    added = context.take_beside();
                    outcome
                }
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        if let Err(error) = &outcome {
            error.log();
        }
        start::write(&request, outcome, added, &mut responder).await;
    }

    async fn read(
        &self,
        signature: &Signature,
        request: &Request,
        body: &mut RequestBody,
    ) -> Result<Payload, FunctionError> {
        let forms = signature.form_limits(&self.services.form_limits);
        start::read(request, body, signature.body_limit(), &forms).await
    }

    async fn route(
        &self,
        terms: Terms,
        request: &Request,
        body: RequestBody,
        added: &mut Beside,
    ) -> Result<Answer, FunctionError> {
        match self.router.find(request.method(), request.path()) {
            Found::Handler(handler, params) => {
                let context = self.context(
                    handler,
                    terms,
                    request.clone(),
                    Payload::Strings(params.into()),
                    Some(body),
                );
                let outcome = Arc::clone(handler).call(context.clone()).await;
                *added = context.take_beside();
                outcome
            }
            Found::Methods(methods) => {
                let allow = HeaderValue::from_str(methods)?;
                if request.method() == "OPTIONS" {
                    return Ok(Response::new(204).header(ALLOW, allow).into_answer());
                }
                added.fields.push((ALLOW, allow));
                Err(FunctionError::new(405, format!("this route takes {methods}")))
            }
            Found::Nothing => Err(FunctionError::not_found("there is no such route")),
        }
    }

    fn find(&self, name: &str) -> Result<&Arc<dyn Registered>, FunctionError> {
        let missing = || FunctionError::not_found(format!("there is no native function `{name}`"));
        self.services.functions.get(name).ok_or_else(missing)
    }

    fn context(
        &self,
        function: &Arc<dyn Registered>,
        terms: Terms,
        request: Request,
        sent: Payload,
        body: Option<RequestBody>,
    ) -> Context {
        let Terms { caller, request_id, deadline, cancellation, outward } = terms;
        let depth = match caller {
            Caller::Client | Caller::Isolate => 0,
            Caller::Function { depth } => depth,
        };
        let form_limits = function.signature().form_limits(&self.services.form_limits);
        let info = CallInfo {
            function: function.signature().name,
            caller,
            request_id,
            deadline,
            cancellation,
            request,
            form_limits,
            sent,
            added: Additions::default(),
            body: Mutex::new(body),
            depth,
            outward,
        };
        Context::new(info, Arc::clone(&self.services))
    }
}

/// Lines of the log that are written from here on name the trace.
fn name_trace(request: &Request) {
    if let Some(trace) = request.trace_id() {
        tracing::Span::current().record("trace_id", trace);
    }
}

/// What a caller grants, and who it is.
struct Terms {
    caller: Caller,
    request_id: String,
    deadline: Instant,
    cancellation: CancellationToken,
    outward: Option<Outward>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};
    use ts_rs::TS;

    use super::*;
    use crate::error::Invalid;
    use crate::function::Function;
    use crate::handler::State;
    use crate::worker::Worker;

    #[derive(Debug, Default, Deserialize, Serialize, TS)]
    struct Point {
        #[serde(default)]
        x: i32,
        #[serde(default)]
        y: i32,
    }

    async fn same(point: Point) -> Result<Point, FunctionError> {
        Ok(point)
    }

    async fn scaled(point: Point, factor: State<i32>, context: Context) -> Result<String, FunctionError> {
        Ok(format!("{} by {}", point.x * *factor, context.function()))
    }

    async fn seen(_: (), context: Context) -> Result<(Option<Point>, Option<String>), FunctionError> {
        let trace = context.trace_id().map(str::to_owned);
        Ok((context.request().gateway_context()?, trace))
    }

    async fn huge(_: ()) -> Result<Vec<u64>, FunctionError> {
        Ok(vec![u64::MAX; 100_000])
    }

    async fn lost(_: ()) -> Result<(), FunctionError> {
        Err(FunctionError::new(409, "somebody was quicker").because("row 7 of table `secret`"))
    }

    fn registry() -> Registry {
        let no_negative_x = |point: &Point| match point.x {
            0.. => Ok(()),
            _ => Err(Invalid::field("x", "must not be negative")),
        };
        let no_negative_y = |point: &Point| match point.y {
            0.. => Ok(()),
            _ => Err(Invalid::field("y", "must not be negative")),
        };
        let same = Function::read("same", same).validate(no_negative_x).validate(no_negative_y);
        Worker::new()
            .state(Arc::new(3))
            .blocking_threads(1)
            .function(same.body_limit(100).deadline(Duration::from_secs(1)))
            .function(Function::write("scaled", scaled))
            .function(Function::read("seen", seen))
            .function(Function::read("huge", huge))
            .function(Function::write("lost", lost))
            .build()
            .unwrap()
    }

    fn call(name: &str, input: &str) -> NativeCall {
        NativeCall {
            name: name.into(),
            caller: Caller::Client,
            deadline_ms: 5000,
            request_id: "r".into(),
            head: Bytes::new(),
            input: input.to_owned().into(),
        }
    }

    async fn answer(name: &str, input: &str) -> Outcome {
        let (deadline, cancellation) = (Instant::now(), CancellationToken::new());
        registry().call(call(name, input), None, deadline, cancellation, None).await.unwrap()
    }

    async fn failure(name: &str, input: &str) -> (u16, String) {
        match answer(name, input).await {
            Outcome::Failed { status, message } => (status, message),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_handler_gets_what_the_gateways_hooks_know_and_the_trace() {
        for caller in [Caller::Isolate, Caller::Client] {
            let context = shared::head::JobContext::from_json(r#"{"x":1,"y":2}"#.into()).unwrap();
            let head = RequestHead {
                method: "GET".into(),
                url: "http://example.com/".into(),
                client_ip: "::1".into(),
                request_id: "r".into(),
                has_body: false,
                options: shared::head::HandlerOptions { context: Some(context), ..Default::default() },
                headers: vec![(
                    "traceparent".into(),
                    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into(),
                )],
            };
            let mut encoded = bytes::BytesMut::new();
            head.encode(&mut encoded);
            let call = NativeCall { caller, head: encoded.freeze(), ..call("seen", "null") };
            let (deadline, cancellation) = (Instant::now(), CancellationToken::new());
            let outcome = registry().call(call, None, deadline, cancellation, None).await.unwrap();
            let told = r#"[{"x":1,"y":2},"0af7651916cd43dd8448eb211c80319c"]"#;
            assert_eq!(outcome, Outcome::Value(told.into()), "{caller:?}");
        }
        assert_eq!(answer("seen", "null").await, Outcome::Value("[null,null]".into()));
    }

    #[tokio::test]
    async fn a_handler_gets_its_input_its_state_and_its_context() {
        assert_eq!(answer("scaled", r#"{"x":2}"#).await, Outcome::Value(r#""6 by scaled""#.into()));
    }

    #[tokio::test]
    async fn an_absent_input_is_null_or_an_empty_object() {
        for input in ["", " ", "null", "{}"] {
            assert_eq!(answer("same", input).await, Outcome::Value(r#"{"x":0,"y":0}"#.into()));
        }
    }

    #[tokio::test]
    async fn what_is_no_json_is_400_with_the_position() {
        for (input, position) in [
            (r#"{"x": }"#, "line 1 column 7"),
            (r#"{"x": 1"#, "line 1 column 7"),
            (r#"{"x": 1} {}"#, "line 1 column 10"),
            ("{\"x\":\n\"\u{1}\"}", "line 2 column"),
        ] {
            let (status, message) = failure("same", input).await;
            assert_eq!(status, 400, "{message}");
            assert!(message.contains(position), "{message}");
        }
    }

    #[tokio::test]
    async fn a_field_of_another_type_is_422_with_its_path() {
        let (status, message) = failure("same", r#"{"x": "two"}"#).await;
        assert_eq!(status, 422);
        assert!(message.starts_with("x: invalid type: string \"two\", expected i32"), "{message}");
        assert!(failure("same", "[[]]").await.1.starts_with("[0]: "));
    }

    #[tokio::test]
    async fn validators_report_together() {
        let refused = failure("same", r#"{"x":-1,"y":-1}"#).await;
        assert_eq!(refused, (422, "x: must not be negative; y: must not be negative".into()));
    }

    #[tokio::test]
    async fn limits_hold_in_both_directions() {
        let (status, message) = failure("same", &" ".repeat(101)).await;
        assert_eq!((status, message.as_str()), (413, "the input has 101 bytes, the limit is 100"));
        assert_eq!(failure("huge", "").await, (500, "the function failed".into()));
    }

    #[tokio::test]
    async fn a_handlers_error_shows_its_public_half() {
        assert_eq!(failure("lost", "").await, (409, "somebody was quicker".into()));
        assert_eq!(failure("none", "").await, (404, "there is no native function `none`".into()));
    }

    #[test]
    fn the_nearer_deadline_counts() {
        let registry = registry();
        assert_eq!(registry.time_for("same", 5000), Duration::from_secs(1));
        assert_eq!(registry.time_for("lost", 5000), Duration::from_secs(5));
        assert_eq!(registry.time_for("same", 10), Duration::from_millis(10));
    }

    #[test]
    fn names_and_methods_are_known() {
        let registry = registry();
        assert_eq!(registry.names(), ["huge", "lost", "same", "scaled", "seen"]);
        assert_eq!(registry.method("same"), Some(Method::Read));
        assert_eq!(registry.method("lost"), Some(Method::Write));
        assert_eq!(registry.method("none"), None);
    }
}
