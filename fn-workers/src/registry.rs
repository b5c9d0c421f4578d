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
            let signature = self.services.functions[name].signature();
            let (idempotent, registered_at) = (signature.idempotent, signature.registered_at.to_string());
            FunctionInfo { name: name.to_owned(), idempotent, registered_at }
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
mod tests;
