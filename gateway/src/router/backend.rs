//! The seam between router and pool: who runs jobs and calls functions.

use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use shared::head::HeaderField;
use shared::message::{NativeCall, Outcome};

use crate::admission::{RefusalReason, Turn, Wish};
use crate::pool::{Dispatcher, NativeError, NativeRequest, RenderError, RenderJob, Rendered, RenderedBody};

/// A response whose head has come.
#[derive(Debug)]
pub struct Answer<S> {
    /// The status, as the bundle gave it.
    pub status: u16,
    /// The header fields, names in lower case.
    pub headers: Vec<HeaderField>,
    /// The length of the body, if all of it has come with the head.
    pub whole: Option<usize>,
    /// The body. Dropping it before its end cancels the job.
    pub body: S,
}

impl From<Rendered> for Answer<RenderedBody> {
    fn from(rendered: Rendered) -> Self {
        let whole = rendered.body.whole();
        Self { status: rendered.status, headers: rendered.headers, whole, body: rendered.body }
    }
}

/// Runs jobs and calls native functions, for one gateway thread.
pub trait Backend: 'static {
    /// A response's body.
    type Body: Stream<Item = Result<Bytes, RenderError>> + 'static;

    /// Decides whether a job may run or wait, before anything is made for it. `None`: it is decided when it is to run.
    ///
    /// # Errors
    /// The refusal; it has been counted.
    fn enter(&self, wish: Wish) -> Result<Option<Turn>, RefusalReason>;

    /// Runs a job until its response's head comes, at most for `limit`. Dropping the future cancels it.
    fn render(
        &self,
        job: RenderJob<'_>,
        limit: Duration,
    ) -> impl Future<Output = Result<Answer<Self::Body>, RenderError>>;

    /// Calls a native function. Dropping the future cancels the call.
    fn call(&self, call: NativeCall) -> impl Future<Output = Outcome>;

    /// Lets an fn worker answer a request until its response's head comes. Dropping the future cancels it.
    fn answer_natively(
        &self,
        request: NativeRequest<'_>,
    ) -> impl Future<Output = Result<Answer<Self::Body>, NativeError>>;

    /// Whether an fn worker has a route for this path.
    fn has_native_route(&self, path: &str) -> bool;

    /// What lets the thread rest for a time, less when a child has something to say. It blocks the thread.
    fn rest(&self) -> impl Fn(Duration) + 'static {
        std::thread::sleep
    }
}

impl Backend for Dispatcher {
    type Body = RenderedBody;

    fn enter(&self, wish: Wish) -> Result<Option<Turn>, RefusalReason> {
        Self::enter(self, wish).map(Some)
    }

    async fn render(&self, job: RenderJob<'_>, limit: Duration) -> Result<Answer<RenderedBody>, RenderError> {
        self.render_within(job, limit).await.map(Answer::from)
    }

    async fn call(&self, call: NativeCall) -> Outcome {
        Self::call(self, call).await
    }

    async fn answer_natively(&self, request: NativeRequest<'_>) -> Result<Answer<RenderedBody>, NativeError> {
        Self::answer_natively(self, request).await.map(Answer::from)
    }

    fn has_native_route(&self, path: &str) -> bool {
        Self::has_native_route(self, path)
    }

    fn rest(&self) -> impl Fn(Duration) + 'static {
        let dispatcher = self.clone();
        move |time| dispatcher.rest_for(time)
    }
}
