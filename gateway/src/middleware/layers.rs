//! All layers of a request as one service, in the order that [`crate::server::assembly`] draws.
//!
//! What can be answered at once is: most static files and all refusals cost no future and no allocation for one. The rest
//! is one future in one box.

use std::future::{Ready, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::Error;
use actix_web::body::BoxBody;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::error::InternalError;
use actix_web::http::header::HeaderMap;

use super::chain::{Begun, Chain, Making};
use super::exchange::Exchange;
use super::identity::Identity;
use super::limits::Limits;
use super::observe::{Counters, Observation, Observed};
use super::panic_barrier::{Panicked, behind};
use crate::error::Cause;
use crate::router::backend::Backend;

/// The layers of one gateway thread.
#[derive(Debug)]
pub struct Layers<B> {
    stack: Rc<Stack<B>>,
}

#[derive(Debug)]
struct Stack<B> {
    identity: Identity,
    counters: Rc<Counters>,
    limits: Limits,
    chain: Rc<Chain<B>>,
}

impl<B: Backend> Layers<B> {
    /// The layers around `chain`.
    pub fn new(identity: Identity, counters: Counters, limits: Limits, chain: Rc<Chain<B>>) -> Self {
        Self { stack: Rc::new(Stack { identity, counters: Rc::new(counters), limits, chain }) }
    }
}

impl<B: Backend> Stack<B> {
    fn begin(&self, request: ServiceRequest, exchange: &Rc<Exchange>) -> Begun {
        match self.limits.answer(&request, exchange) {
            Some(answer) => Begun::Answered(request.into_response(answer)),
            None => self.chain.begin(request, exchange),
        }
    }

    fn end(&self, mut response: ServiceResponse, observation: Observation) -> Answer {
        self.identity.tell(observation.exchange(), response.headers_mut());
        Ok(observation.of(response))
    }

    /// The answer to a request that has gone down with a panic: an error, since there is no request to answer.
    fn end_panicked(&self, observation: Observation) -> Answer {
        let exchange = observation.exchange();
        let mut response = Cause::Panic.response(&HeaderMap::new());
        self.chain.dress(exchange, response.headers_mut());
        self.identity.tell(exchange, response.headers_mut());
        observation.failed(Cause::Panic);
        Err(InternalError::from_response("panic", response).into())
    }
}

/// What a request comes to.
type Answer = Result<ServiceResponse<Observed<BoxBody>>, Error>;

/// actix-web's own routing, `S`, is not asked: the chain ends in a router of ours.
impl<S, B: Backend> Transform<S, ServiceRequest> for Layers<B> {
    type Response = ServiceResponse<Observed<BoxBody>>;
    type Error = Error;
    type Transform = LayersService<B>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, _: S) -> Self::Future {
        ready(Ok(LayersService { stack: Rc::clone(&self.stack) }))
    }
}

/// See [`Layers`].
#[derive(Debug)]
pub struct LayersService<B> {
    stack: Rc<Stack<B>>,
}

impl<B: Backend> Service<ServiceRequest> for LayersService<B> {
    type Response = ServiceResponse<Observed<BoxBody>>;
    type Error = Error;
    type Future = LayersFuture<B>;

    fn poll_ready(&self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let exchange = Rc::new(self.stack.identity.exchange(&request));
        let observation = Observation::begin(&self.stack.counters, &request, &exchange);
        LayersFuture(match behind(&exchange, || self.stack.begin(request, &exchange)) {
            Ok(Begun::Answered(response)) => State::Answered(Some(self.stack.end(response, observation))),
            Ok(Begun::Making(making)) => State::Making(making, Some((Rc::clone(&self.stack), observation))),
            Err(Panicked) => State::Answered(Some(self.stack.end_panicked(observation))),
        })
    }
}

/// A request on its way through the layers. Dropping it ends the request.
#[expect(missing_debug_implementations, reason = "what is made is a boxed future")]
pub struct LayersFuture<B>(State<B>);

enum State<B> {
    /// It has an answer; `None` once that was taken.
    Answered(Option<Answer>),
    /// It waits; `None` once it has been answered.
    Making(Making, Option<(Rc<Stack<B>>, Observation)>),
}

impl<B: Backend> Future for LayersFuture<B> {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        match &mut self.0 {
            State::Answered(answer) => answer.take().map_or(Poll::Pending, Poll::Ready),
            State::Making(making, rest) => {
                let Some((_, observation)) = rest else { return Poll::Pending };
                let made = match behind(observation.exchange(), || making.as_mut().poll(cx)) {
                    Ok(made) => Ok(std::task::ready!(made)),
                    Err(panicked) => Err(panicked),
                };
                let Some((stack, observation)) = rest.take() else { return Poll::Pending };
                Poll::Ready(match made {
                    Ok(response) => stack.end(response, observation),
                    Err(Panicked) => stack.end_panicked(observation),
                })
            }
        }
    }
}
