//! The way of a job: a permit, an isolate, the head of its response, and once more if the isolate was lost.

use std::rc::Rc;
use std::task::Context;
use std::time::Duration;

use shared::head::ResponseHead;
use shared::message::{CancelReason, FailureKind};
use tokio::time::Instant;

use super::body::{Rendered, RenderedBody, failure};
use super::dispatcher::{OnEarlyHints, RenderJob};
use super::error::RenderError;
use super::in_flight::Place;
use super::isolate_link::IsolateLink;
use super::job::{End, Hold, Part, is_event_stream};
use super::job_handle::JobHandle;
use super::lateness;
use super::patience::{Due, Patience};
use super::slot::IsolateId;
use super::thread::Thread;
use super::upload;
use crate::admission::RefusalReason;

/// How often a job may come to an isolate whose link has just ended, before it is refused.
const MAX_DEAD_ENDS: usize = 3;

/// When a job that failed may be tried once more.
#[derive(Debug, Clone, Copy)]
struct Retry {
    /// Though some of it may have run.
    if_lost: bool,
    /// Where nothing of it has run.
    if_unstarted: bool,
}

/// What became of one attempt to run a job.
enum Attempt {
    Rendered(Rendered),
    /// It may be tried again, on another isolate than this.
    Again(IsolateId),
    Failed(RenderError),
}

/// Waits for the response's head; `None` when the job's time is over.
async fn wait_for_head(
    link: &Rc<IsolateLink>,
    handle: &JobHandle,
    on_early_hints: Option<OnEarlyHints<'_>>,
    mut patience: Option<&mut Patience>,
    limit: Option<Duration>,
) -> Option<Part<ResponseHead>> {
    let mut now = Instant::now();
    let close = limit.map(|limit| now + limit);
    let mut poll_head = |cx: &mut Context<'_>| {
        let head = handle.job.poll_due_head(cx);
        if let Some(hear) = on_early_hints {
            while let Some(hints) = handle.job.take_early_hints() {
                hear(hints);
            }
        }
        head
    };
    loop {
        if close.is_some_and(|close| close <= now) {
            return None;
        }
        let due = match patience.as_mut().map(|patience| patience.wait(now.into_std())) {
            None => None,
            Some(Due::Until(due)) => Some(due),
            Some(Due::Abort) => {
                handle.abort();
                continue;
            }
            Some(Due::Close) => return None,
        };
        let due = due.into_iter().chain(close.map(Instant::into_std)).min();
        handle.job.set_due(due);
        if due.is_some() {
            lateness::watch(link);
        }
        let part = std::future::poll_fn(&mut poll_head).await;
        now = Instant::now();
        if part.is_some() {
            if let Some(patience) = patience {
                patience.stop(now.into_std());
            }
            return part;
        }
    }
}

impl Thread {
    /// See [`super::Dispatcher::render`]; `limit` is the time until the head.
    pub async fn render(
        self: &Rc<Self>,
        job: RenderJob<'_>,
        limit: Option<Duration>,
    ) -> Result<Rendered, RenderError> {
        let RenderJob { mut head, headers, mut body, retry_safe, wish, mut turn, terms, on_early_hints } =
            job;
        head.options.early_hints = on_early_hints.is_some();
        let (mut avoid, mut dead_ends, mut retried) = (None, 0, false);
        loop {
            let permit = match turn.take() {
                Some(turn) => turn.permit().await,
                None => self.pool.admission.acquire(wish, avoid).await,
            };
            let permit = permit.map_err(RenderError::Refused)?;
            let isolate = permit.isolate();
            let Some(link) = self.isolate_link(isolate) else {
                // It was lost between the grant and now. Nothing was sent, so that this is no retry.
                dead_ends += 1;
                if dead_ends > MAX_DEAD_ENDS {
                    return Err(self.failed(RenderError::Lost));
                }
                avoid = Some(isolate);
                continue;
            };
            let id = self.next_id();
            let entry = self.pool.in_flight.enter_at(id, Place::Isolate(isolate), permit.granted());
            let hold = Hold::on_isolate(permit, terms.place.clone(), entry);
            let handle = link.begin(id, head, headers, hold);
            let has_body = body.is_some();
            if let Some(body) = body.take() {
                upload::spawn(body, &handle);
            }
            let patience = Patience::new(self.pool.settings.job_times.reaching(terms.timeout));
            let may_retry = !retried && !has_body;
            let retry = Retry { if_lost: may_retry && retry_safe, if_unstarted: may_retry };
            match self.attempt(&link, handle, retry, on_early_hints, patience, limit).await {
                Attempt::Rendered(rendered) => return Ok(rendered),
                Attempt::Failed(error) => return Err(self.failed(error)),
                Attempt::Again(isolate) => {
                    self.pool.metrics.job_retries.inc();
                    (retried, avoid) = (true, Some(isolate));
                }
            }
        }
    }

    async fn attempt(
        &self,
        link: &Rc<IsolateLink>,
        handle: JobHandle,
        retry: Retry,
        on_early_hints: Option<OnEarlyHints<'_>>,
        mut patience: Option<Patience>,
        limit: Option<Duration>,
    ) -> Attempt {
        let Some(part) = wait_for_head(link, &handle, on_early_hints, patience.as_mut(), limit).await else {
            handle.cancel(CancelReason::Timeout);
            return Attempt::Failed(RenderError::Timeout);
        };
        match part {
            Part::Next(head) => Attempt::Rendered(Rendered {
                status: head.status,
                body: RenderedBody::new(handle, patience.filter(|_| !is_event_stream(&head.headers))),
                headers: head.headers,
            }),
            Part::Ended(End::Lost | End::Failed(FailureKind::Displaced)) if retry.if_lost => {
                Attempt::Again(link.isolate)
            }
            // Nothing of it ran, so that it may run elsewhere whatever its method.
            Part::Ended(End::Failed(FailureKind::NotReady)) if retry.if_unstarted => {
                Attempt::Again(link.isolate)
            }
            Part::Ended(End::Failed(FailureKind::NotReady)) => {
                Attempt::Failed(RenderError::Refused(RefusalReason::NoIsolate))
            }
            Part::Ended(End::Lost) => Attempt::Failed(RenderError::Lost),
            Part::Ended(End::Failed(kind)) => Attempt::Failed(failure(kind)),
            // An end without a head does not get past the link.
            Part::Ended(End::Complete) => Attempt::Failed(RenderError::Protocol),
            Part::BodyFailed(error) => {
                handle.cancel(CancelReason::ClientGone);
                Attempt::Failed(error.into())
            }
        }
    }

    fn failed(&self, error: RenderError) -> RenderError {
        let metrics = &self.pool.metrics;
        match error {
            RenderError::Refused(reason) => metrics.refusals.with_label_values(&[reason.label()]).inc(),
            _ => metrics.job_failures.with_label_values(&[error.label()]).inc(),
        }
        error
    }
}
