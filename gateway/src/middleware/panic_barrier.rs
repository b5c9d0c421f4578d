//! A panic answers 500 and hurts no other request.
//!
//! The request itself goes down with the panic: its answer is made without it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::exchange::Exchange;

/// A request has panicked; the log has its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Panicked;

/// Does something for a request, behind the barrier.
///
/// # Errors
/// [`Panicked`].
pub fn behind<R>(exchange: &Exchange, act: impl FnOnce() -> R) -> Result<R, Panicked> {
    // What a request has panicked with is dropped with it.
    catch_unwind(AssertUnwindSafe(act)).map_err(|panic| tell(exchange, &*panic))
}

fn tell(exchange: &Exchange, panic: &(dyn Any + Send)) -> Panicked {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
    tracing::error!(request_id = exchange.id.as_str(), panic = text, "a request panicked");
    Panicked
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::middleware::exchange::RequestId;

    #[test]
    fn a_panic_is_an_answer_and_what_follows_goes_on() {
        let exchange = Exchange::new(RequestId::fresh(), [127, 0, 0, 1].into(), false, None, None);
        assert_eq!(behind(&exchange, || panic!("boom")), Err::<(), _>(Panicked));
        assert_eq!(behind(&exchange, || 1), Ok(1));
    }
}
