//! What the configuration and the user's own middleware do with each request, around the router.
//!
//! ```text
//!      request                                         response
//!         |                                               ^
//!   +-----v-----------------------------------------------+-----+
//!   | access          addresses, closed site, passwords         |
//!   | csrf            403 for what another site causes          |
//!   | cors            preflights            Access-Control-*    |
//!   | headers                               security, [[headers]]
//!   | rate_limit      429                   RateLimit           |
//!   | compression                           zstd, br, gzip      |
//!   | hooks           before: context       after               |
//!   | router          static -> redirects -> native -> bundle   |
//!   +-----------------------------------------------------------+
//! ```
//!
//! One future for all of it: a layer that has nothing to do costs a branch.

use std::rc::Rc;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::dev::{ServiceRequest, ServiceResponse};

use super::exchange::{Exchange, RouteClass};
use super::rate_limit::{Limiter, Verdict};
use super::response_headers::{Matching, secure};
use super::{access, compression, cors, csrf};
use crate::config::edge::Edge;
use crate::error::Cause;
use crate::hooks::Hooks;
use crate::router::Router;
use crate::router::backend::Backend;

/// The chain of one gateway thread.
#[derive(Debug)]
pub struct Chain<B> {
    edge: Arc<Edge>,
    limiter: Limiter,
    hooks: Option<Arc<dyn Hooks>>,
    router: Router<B>,
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

    /// Answers a request.
    pub async fn answer(self: Rc<Self>, mut request: ServiceRequest) -> ServiceResponse {
        let Some(exchange) = Exchange::of(&request) else {
            debug_assert!(false, "the identity layer is missing");
            let response = Cause::Host.response(request.headers());
            return request.into_response(response);
        };
        let mut departure = Departure {
            is_secure: exchange.is_secure,
            matching: Matching::of(&self.edge.headers, request.uri().path()),
            cors: None,
            rate: None,
        };
        let response = match self.admit(&request, &exchange, &mut departure).await {
            Some(refusal) => request.into_response(refusal),
            None => match &self.hooks {
                None => self.router.route(request, &exchange).await,
                Some(hooks) => match hooks.before(&mut request, &exchange).await {
                    Some(answer) => hooks.after(request.into_response(answer), &exchange).await,
                    None => hooks.after(self.router.route(request, &exchange).await, &exchange).await,
                },
            },
        };
        self.finish(response, &exchange, departure)
    }

    /// The answer to a request that does not get as far as the user's own middleware.
    async fn admit<'a>(
        &'a self,
        request: &ServiceRequest,
        exchange: &Exchange,
        departure: &mut Departure<'a>,
    ) -> Option<HttpResponse> {
        let (edge, headers, method) = (&*self.edge, request.headers(), request.method());
        let path = request.uri().path();
        if let Some(refusal) = access::refusal(&edge.access, exchange.client_ip, path, headers) {
            return Some(refusal);
        }
        let cors = edge.cors.find(path).map(|found| found.value);
        if csrf::refuses(&edge.csrf, method, headers, path, exchange, cors) {
            return Some(Cause::CrossSite.response(headers));
        }
        if let Some(rule) = cors {
            let grant = cors::Grant::of(rule, headers);
            departure.cors = Some(grant.fields());
            if let Some(answer) = grant.preflight(method, headers) {
                return Some(answer);
            }
        }
        if edge.rate_limits.is_empty() {
            return None;
        }
        let rules = &edge.rate_limits;
        departure.rate = self.limiter.count(rules, exchange.client_ip, method, path, headers).await;
        departure.rate.as_ref()?.refusal(headers)
    }

    fn finish(
        &self,
        response: ServiceResponse,
        exchange: &Exchange,
        departure: Departure<'_>,
    ) -> ServiceResponse {
        let edge = &*self.edge;
        let (request, mut response) = response.into_parts();
        // Files have encodings of their own.
        if exchange.class() != RouteClass::Static {
            response = compression::compress(edge.compression, request.method(), request.headers(), response);
        }
        let headers = response.headers_mut();
        if let Some(rate) = departure.rate {
            rate.add_to(headers);
        }
        if let Some(cors) = departure.cors {
            cors.add_to(headers);
        }
        secure(&edge.security, departure.is_secure, headers);
        departure.matching.apply(&edge.headers, headers);
        ServiceResponse::new(request, response)
    }
}
