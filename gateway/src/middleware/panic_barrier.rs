//! A panic answers 500 and hurts no other request.
//!
//! The answer travels as an error: the request itself went down with the panic.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use actix_web::Error;
use actix_web::error::InternalError;
use actix_web::http::header::HeaderMap;

use crate::error::Cause;

/// Does something for a request, behind the barrier.
///
/// # Errors
/// The answer, if it panicked.
pub fn behind<R>(act: impl FnOnce() -> R) -> Result<R, Error> {
    // What a request has panicked with is dropped with it.
    catch_unwind(AssertUnwindSafe(act)).map_err(|panic| answer(&*panic))
}

fn answer(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
    tracing::error!(panic = text, "a request panicked");
    InternalError::from_response("panic", Cause::Panic.response(&HeaderMap::new())).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_answer_and_what_follows_goes_on() {
        let error = behind(|| panic!("boom")).map(|()| 0).unwrap_err();
        assert_eq!(error.as_response_error().error_response().status(), 500);
        assert_eq!(behind(|| 1).unwrap(), 1);
    }
}
