//! A panic answers 500 and hurts no other request.
//!
//! The answer travels as an error: the layers outside turn it into the response, since the request itself went
//! down with the panic.

use std::any::Any;
use std::future::{Ready, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::error::InternalError;
use actix_web::http::header::HeaderMap;

use crate::error::Cause;

/// The layer.
#[derive(Debug, Clone, Copy)]
pub struct PanicBarrier;

impl<S, B> Transform<S, ServiceRequest> for PanicBarrier
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Transform = PanicBarrierService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        ready(Ok(PanicBarrierService { inner }))
    }
}

/// [`PanicBarrier`] around the next layer.
#[derive(Debug)]
pub struct PanicBarrierService<S> {
    inner: S,
}

impl<S, B> Service<ServiceRequest> for PanicBarrierService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Future = PanicBarrierFuture<S::Future>;

    forward_ready!(inner);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let inner = catch_unwind(AssertUnwindSafe(|| self.inner.call(request)));
        match inner {
            Ok(inner) => PanicBarrierFuture { inner: Some(inner), panicked: None },
            Err(panic) => PanicBarrierFuture { inner: None, panicked: Some(answer(&*panic)) },
        }
    }
}

pin_project_lite::pin_project! {
    /// Polls the next layer behind the barrier.
    #[derive(Debug)]
    pub struct PanicBarrierFuture<F> {
        #[pin]
        inner: Option<F>,
        panicked: Option<Error>,
    }
}

impl<F, B> Future for PanicBarrierFuture<F>
where
    F: Future<Output = Result<ServiceResponse<B>, Error>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return this.panicked.take().map_or(Poll::Pending, |error| Poll::Ready(Err(error)));
        };
        match catch_unwind(AssertUnwindSafe(|| inner.poll(cx))) {
            Ok(poll) => poll,
            Err(panic) => {
                this.inner.set(None);
                Poll::Ready(Err(answer(&*panic)))
            }
        }
    }
}

fn answer(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
    tracing::error!(panic = text, "a request panicked");
    InternalError::from_response("panic", Cause::Panic.response(&HeaderMap::new())).into()
}

#[cfg(test)]
mod tests {
    use actix_web::App;
    use actix_web::dev::fn_service;
    use actix_web::test::{TestRequest, init_service, try_call_service};

    use super::*;

    #[actix_web::test]
    async fn a_panic_is_an_answer_and_the_next_request_is_served() {
        let service = fn_service(|request: ServiceRequest| async move {
            assert!(request.path() != "/boom", "boom");
            Ok(request.into_response(actix_web::HttpResponse::Ok()))
        });
        let app = init_service(App::new().wrap(PanicBarrier).default_service(service)).await;
        let call = |path| try_call_service(&app, TestRequest::with_uri(path).to_request());
        let error = call("/boom").await.unwrap_err();
        assert_eq!(error.as_response_error().error_response().status(), 500);
        assert_eq!(call("/").await.unwrap().status(), 200);
    }
}
