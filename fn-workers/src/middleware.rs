//! What runs around a function: in order on the way in, in reverse on the way out.
//!
//! ```
//! use fn_workers::{Answer, Context, FunctionError, Middleware, Next};
//!
//! /// A factory: middleware with a parameter.
//! fn role(wanted: &'static str) -> impl Middleware {
//!     move |context: Context, next: Next| async move {
//!         if context.cookie("role").as_deref() != Some(wanted) {
//!             // Short circuit: the function does not run.
//!             return Err(FunctionError::new(403, "not allowed"));
//!         }
//!         let answer: Result<Answer, _> = next.run(context).await;
//!         // Work on the way out stands here.
//!         answer
//!     }
//! }
//! ```

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use crate::answer::Answer;
use crate::context::Context;
use crate::error::FunctionError;

/// The future of an answer. It stays on its arbiter's thread.
pub type Answering = LocalBoxFuture<'static, Result<Answer, FunctionError>>;

/// Something that runs around a function. Implemented for async functions and closures of a [`Context`] and a
/// [`Next`].
pub trait Middleware: Send + Sync + 'static {
    /// Handles a call: by [`Next::run`], or by an answer of its own.
    fn handle(self: Arc<Self>, context: Context, next: Next) -> Answering;
}

impl<Function, Running> Middleware for Function
where
    Function: Fn(Context, Next) -> Running + Send + Sync + 'static,
    Running: Future<Output = Result<Answer, FunctionError>> + 'static,
{
    fn handle(self: Arc<Self>, context: Context, next: Next) -> Answering {
        self(context, next).boxed_local()
    }
}

/// Middleware in its order, the first the outermost.
pub(crate) type Chain = Arc<[Arc<dyn Middleware>]>;

/// What comes after a middleware: others, and in the end the function.
pub struct Next {
    chain: Chain,
    at: usize,
    last: Box<dyn FnOnce(Context) -> Answering>,
}

impl Next {
    pub(crate) fn new(chain: Chain, last: impl FnOnce(Context) -> Answering + 'static) -> Self {
        Self { chain, at: 0, last: Box::new(last) }
    }

    /// Runs what comes after.
    ///
    /// # Errors
    /// What the function or a middleware further in failed with.
    pub async fn run(mut self, context: Context) -> Result<Answer, FunctionError> {
        match self.chain.get(self.at).cloned() {
            Some(middleware) => {
                self.at += 1;
                middleware.handle(context, self).await
            }
            None => (self.last)(context).await,
        }
    }
}
