//! Hooks and routes at work: what [`Server`](super::Server) gathers, for each request.

use std::any::Any;
use std::fmt;

use actix_web::HttpResponse;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use futures_util::future::LocalBoxFuture;
use serde::Serialize;
use shared::head::JobContext;
use shared::route::Tree;

use super::{After, Call, Flow, Guard, Leave, Methods, Visit};
use crate::error::Cause;
use crate::middleware::exchange::Exchange;

/// Hooks whose context's type is nobody else's business.
pub trait Hooks: Send + Sync + fmt::Debug {
    /// Runs the hooks for a request, and leaves its context in the exchange. The answer, if one gave it.
    fn before<'a>(
        &'a self,
        request: &'a mut ServiceRequest,
        exchange: &'a Exchange,
    ) -> LocalBoxFuture<'a, Option<HttpResponse>>;

    /// Runs the hooks for a response.
    fn after<'a>(
        &'a self,
        response: ServiceResponse,
        exchange: &'a Exchange,
    ) -> LocalBoxFuture<'a, ServiceResponse>;

    /// Whether a route answers this method and path.
    fn has_route(&self, method: &Method, path: &str) -> bool;

    /// Lets the route answer that [`Self::has_route`] has found.
    fn route<'a>(
        &'a self,
        request: ServiceRequest,
        exchange: &'a Exchange,
    ) -> LocalBoxFuture<'a, ServiceResponse>;
}

/// Hooks and routes, ready to be run.
pub(super) struct Typed<C> {
    pub before: Vec<Guard<Tree<()>, C>>,
    pub after: Vec<Box<dyn After<C>>>,
    pub routes: Tree<Methods<C>>,
}

impl<C> fmt::Debug for Typed<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after, routes) = (self.before.len(), self.after.len(), self.routes.len());
        write!(f, "Hooks({before} before, {after} after, {routes} routes)")
    }
}

/// The context that the exchange holds; a new one when it was lost with a panic.
fn context_of<C: Default + 'static>(exchange: &Exchange) -> Box<C> {
    exchange.take_visit().and_then(|context| context.downcast::<C>().ok()).unwrap_or_default()
}

impl<C: Default + Serialize + 'static> Hooks for Typed<C> {
    fn before<'a>(
        &'a self,
        request: &'a mut ServiceRequest,
        exchange: &'a Exchange,
    ) -> LocalBoxFuture<'a, Option<HttpResponse>> {
        Box::pin(async move {
            let mut context = Box::<C>::default();
            let mut answer = None;
            for (paths, hook) in &self.before {
                if paths.as_ref().is_some_and(|paths| paths.find(request.uri().path()).is_none()) {
                    continue;
                }
                let visit = Visit { request: &mut *request, context: &mut *context, exchange };
                if let Flow::Answer(response) = hook.run(visit).await {
                    answer = Some(response);
                    break;
                }
            }
            if answer.is_none() {
                match as_job_context(&*context) {
                    Ok(context) => exchange.set_context(context),
                    Err(error) => {
                        tracing::error!(
                            request_id = exchange.id.as_str(),
                            error,
                            "the hooks' context cannot be sent"
                        );
                        answer = Some(Cause::Panic.response(request.headers()));
                    }
                }
            }
            exchange.keep_visit(context as Box<dyn Any>);
            answer
        })
    }

    fn after<'a>(
        &'a self,
        mut response: ServiceResponse,
        exchange: &'a Exchange,
    ) -> LocalBoxFuture<'a, ServiceResponse> {
        Box::pin(async move {
            let context = context_of::<C>(exchange);
            for hook in &self.after {
                hook.run(Leave { response: &mut response, context: &*context }).await;
            }
            response
        })
    }

    fn has_route(&self, method: &Method, path: &str) -> bool {
        self.routes.find(path).is_some_and(|found| found.value.iter().any(|(known, _)| known == method))
    }

    fn route<'a>(
        &'a self,
        mut request: ServiceRequest,
        exchange: &'a Exchange,
    ) -> LocalBoxFuture<'a, ServiceResponse> {
        Box::pin(async move {
            let path = request.uri().path().to_owned();
            let method = request.method().clone();
            let found = self.routes.find(&path).and_then(|found| {
                let (_, handler) = found.value.iter().find(|(known, _)| *known == method)?;
                Some((found.params(&path), handler))
            });
            let Some((params, handler)) = found else {
                debug_assert!(false, "a route was asked for that is not there");
                let response = Cause::NoFunction.response(request.headers());
                return request.into_response(response);
            };
            let mut context = context_of::<C>(exchange);
            let call = Call { request: &mut request, context: &mut *context, params };
            let response = handler.run(call).await;
            exchange.keep_visit(context as Box<dyn Any>);
            // With the error that it was made of, which `into_response` would lose.
            ServiceResponse::new(request.into_parts().0, response)
        })
    }
}

/// The context as the app gets it; `None` for one that says nothing.
fn as_job_context<C: Serialize>(context: &C) -> Result<Option<JobContext>, String> {
    let json = serde_json::to_vec(context).map_err(|error| error.to_string())?;
    match json.first() {
        // `()`, the context of hooks that need none.
        Some(b'n') => Ok(None),
        Some(b'{') => JobContext::from_json(json.into()).map(Some).map_err(|error| error.to_string()),
        _ => Err("it is not a JSON object: make it a struct or a map".into()),
    }
}
