//! The seam between router and pool: who runs jobs and calls functions.

use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use shared::head::HeaderField;
use shared::message::{NativeCall, Outcome};

use crate::pool::{Dispatcher, RenderError, RenderJob, RenderedBody};

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

/// Runs jobs and calls native functions, for one gateway thread.
pub trait Backend: 'static {
    /// A response's body.
    type Body: Stream<Item = Result<Bytes, RenderError>> + 'static;

    /// Runs a job until its response's head comes, at most for `limit`. Dropping the future cancels it.
    fn render(
        &self,
        job: RenderJob<'_>,
        limit: Duration,
    ) -> impl Future<Output = Result<Answer<Self::Body>, RenderError>>;

    /// Calls a native function. Dropping the future cancels the call.
    fn call(&self, call: NativeCall) -> impl Future<Output = Outcome>;
}

impl Backend for Dispatcher {
    type Body = RenderedBody;

    async fn render(&self, job: RenderJob<'_>, limit: Duration) -> Result<Answer<RenderedBody>, RenderError> {
        let rendered = self.render_within(job, limit).await?;
        let whole = rendered.body.whole();
        Ok(Answer { status: rendered.status, headers: rendered.headers, whole, body: rendered.body })
    }

    async fn call(&self, call: NativeCall) -> Outcome {
        Self::call(self, call).await
    }
}
