//! What the configuration and the user's own middleware do with each request, around the router.
//!
//! ```text
//!      request                                         response
//!         |                                               ^
//!   +-----v-----------------------------------------------+-----+
//!   | compression                           zstd, br, gzip      |
//!   | headers                               security, [[headers]]
//!   | addresses       403                                       |
//!   | cors            preflights            Access-Control-*    |
//!   | access          closed site, passwords                    |
//!   | csrf            403 for what another site causes          |
//!   | rate_limit      429                   RateLimit           |
//!   | hooks           before: context       after               |
//!   | router          static -> redirects -> native -> bundle   |
//!   +-----------------------------------------------------------+
//! ```
//!
//! Refusals of the chain carry `Access-Control-*` and the configured fields too: another site's page can read why.
//!
//! A layer that has nothing to do costs a branch, and what need not wait makes no future.

use std::rc::Rc;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::HeaderMap;
use futures_util::future::LocalBoxFuture;

use super::exchange::{Exchange, RouteClass};
use super::rate_limit::{Limiter, Verdict};
use super::response_headers::{Matching, secure};
use super::{access, compression, cors, csrf};
use crate::config::edge::Edge;
use crate::error::Cause;
use crate::hooks::Hooks;
use crate::router::backend::Backend;
use crate::router::headers::drop_claims;
use crate::router::path::RequestPath;
use crate::router::{Destination, Router, Step};

/// The chain of one gateway thread.
#[derive(Debug)]
pub struct Chain<B> {
    edge: Arc<Edge>,
    limiter: Limiter,
    hooks: Option<Arc<dyn Hooks>>,
    router: Router<B>,
}

/// What a request has come to.
#[expect(missing_debug_implementations, reason = "what is made is a boxed future")]
pub enum Begun {
    /// A response.
    Answered(ServiceResponse),
    /// Something that makes one.
    Making(Making),
}

/// What makes a response.
pub type Making = LocalBoxFuture<'static, ServiceResponse>;

/// What a request waits for first, where the router is asked later.
enum Wait {
    Rates(ServiceRequest),
    Hooks(ServiceRequest),
}

/// What the response will need to know of the request.
#[derive(Debug)]
struct Departure<'a> {
    is_secure: bool,
    matching: Matching,
    cors: Option<cors::Fields>,
    rate: Option<Verdict<'a>>,
}

impl<B: Backend> Chain<B> {
    /// The chain around `router`.
    pub fn new(
        edge: Arc<Edge>,
        limiter: Limiter,
        hooks: Option<Arc<dyn Hooks>>,
        router: Router<B>,
    ) -> Rc<Self> {
        Rc::new(Self { edge, limiter, hooks, router })
    }

    /// Answers a request at once, if nothing is to be waited for.
    pub fn begin(self: &Rc<Self>, mut request: ServiceRequest, exchange: &Rc<Exchange>) -> Begun {
        // What only the app and workers see is dropped on the way to them.
        if !self.edge.rate_limits.is_empty() || self.hooks.is_some() {
            drop_claims(request.headers_mut(), exchange);
        }
        let mut departure = Departure {
            is_secure: exchange.is_secure,
            matching: Matching::of(&self.edge.headers, request.uri().path()),
            cors: None,
            rate: None,
        };
        let wait = if let Some(refusal) = self.admit(&request, exchange, &mut departure) {
            let response = request.into_response(refusal);
            return Begun::Answered(self.finish(response, exchange, departure));
        } else if !self.edge.rate_limits.is_empty() {
            Wait::Rates(request)
        } else if self.hooks.is_some() {
            Wait::Hooks(request)
        } else {
            match self.router.begin(request, exchange) {
                Step::Answer(response) => {
                    return Begun::Answered(self.finish(response, exchange, departure));
                }
                Step::On(request, destination) => {
                    let make = Rc::clone(self).make(request, destination, Rc::clone(exchange), departure);
                    return Begun::Making(Box::pin(make));
                }
            }
        };
        Begun::Making(Box::pin(Rc::clone(self).make_later(wait, Rc::clone(exchange), departure)))
    }

    /// Answers a request.
    pub async fn answer(
        self: &Rc<Self>,
        request: ServiceRequest,
        exchange: &Rc<Exchange>,
    ) -> ServiceResponse {
        match self.begin(request, exchange) {
            Begun::Answered(response) => response,
            Begun::Making(making) => making.await,
        }
    }

    /// By far the most common way, and so a future of its own, no longer than it needs.
    async fn make(
        self: Rc<Self>,
        request: ServiceRequest,
        destination: Destination,
        exchange: Rc<Exchange>,
        departure: Departure<'static>,
    ) -> ServiceResponse {
        let response = self.router.answer(request, &exchange, destination).await;
        self.finish(response, &exchange, departure)
    }

    async fn make_later(
        self: Rc<Self>,
        wait: Wait,
        exchange: Rc<Exchange>,
        departure: Departure<'static>,
    ) -> ServiceResponse {
        // What counts the rates lives here.
        let mut departure: Departure<'_> = departure;
        let response = match wait {
            Wait::Rates(request) => match self.count(&request, &exchange, &mut departure).await {
                Some(refusal) => request.into_response(refusal),
                None => self.pass(request, &exchange).await,
            },
            Wait::Hooks(request) => self.pass(request, &exchange).await,
        };
        self.finish(response, &exchange, departure)
    }

    /// The answer to a request that does not get as far as the user's own middleware.
    fn admit(
        &self,
        request: &ServiceRequest,
        exchange: &Exchange,
        departure: &mut Departure<'_>,
    ) -> Option<HttpResponse> {
        let (edge, headers, method) = (&*self.edge, request.headers(), request.method());
        let path = request.uri().path();
        let cors = edge.cors.find(path).map(|found| found.value);
        let grant = cors.map(|rule| cors::Grant::of(rule, headers));
        departure.cors = grant.map(cors::Grant::fields);
        if let Some(refusal) = access::denied(&edge.access, exchange.client_ip, headers) {
            return Some(refusal);
        }
        // Browsers send no password with a preflight, and show a page no answer that its preflight did not allow.
        if let Some(answer) = grant.and_then(|grant| grant.preflight(method, headers)) {
            return Some(answer);
        }
        if let Some(refusal) = access::refusal(&edge.access, exchange.client_ip, path, headers) {
            return Some(refusal);
        }
        let is_foreign = csrf::refuses(&edge.csrf, method, headers, path, exchange, cors);
        is_foreign.then(|| Cause::CrossSite.response(headers))
    }

    /// The answer to a request that comes too soon.
    async fn count<'a>(
        &'a self,
        request: &ServiceRequest,
        exchange: &Exchange,
        departure: &mut Departure<'a>,
    ) -> Option<HttpResponse> {
        let (rules, headers) = (&self.edge.rate_limits, request.headers());
        let path = request.uri().path();
        departure.rate = self.limiter.count(rules, exchange.client_ip, request.method(), path, headers).await;
        departure.rate.as_ref()?.refusal(headers)
    }

    /// The user's hooks, and the router between them. Hooks see no path that can be read in two ways.
    async fn pass(&self, mut request: ServiceRequest, exchange: &Exchange) -> ServiceResponse {
        let Some(hooks) = &self.hooks else { return self.router.route(request, exchange).await };
        if let Err(error) = RequestPath::parse(request.uri().path()) {
            let refusal = Cause::Path(error).response(request.headers());
            return request.into_response(refusal);
        }
        let response = match hooks.before(&mut request, exchange).await {
            Some(answer) => request.into_response(answer),
            None => self.router.route(request, exchange).await,
        };
        hooks.after(response, exchange).await
    }

    /// The fields of an answer that is none of the chain's own.
    pub fn dress(&self, exchange: &Exchange, headers: &mut HeaderMap) {
        secure(&self.edge.security, exchange.is_secure, headers);
    }

    fn finish(
        &self,
        response: ServiceResponse,
        exchange: &Exchange,
        departure: Departure<'_>,
    ) -> ServiceResponse {
        let edge = &*self.edge;
        let (request, mut response) = response.into_parts();
        let headers = response.headers_mut();
        if let Some(rate) = departure.rate {
            rate.add_to(headers);
        }
        if let Some(cors) = departure.cors {
            cors.add_to(headers);
        }
        secure(&edge.security, departure.is_secure, headers);
        departure.matching.apply(&edge.headers, headers);
        // Last, so that it sees what the rows say of the type and of no-transform. Files have encodings of their own.
        if exchange.class() != RouteClass::Static {
            response = compression::compress(edge.compression, request.method(), request.headers(), response);
        }
        ServiceResponse::new(request, response)
    }
}
