//! Jobs whose response's head does not come in time, found by a look at all of a link's jobs now and then: a timer for each
//! job would cost more than most jobs have otherwise, and is hardly ever needed.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::job::Job;

/// How often late jobs are looked for: so much later than its time a job may be told.
const TICK: Duration = Duration::from_millis(20);

/// Whether somebody looks for the late jobs of a link.
#[derive(Debug, Default)]
pub(super) struct Watch(Cell<bool>);

/// A link whose jobs may be late.
pub(super) trait Watched: 'static {
    fn watch(&self) -> &Watch;

    /// [`look`] at its jobs.
    fn look_for_lateness(&self, now: Instant) -> bool;
}

/// Tells those who wait for the late ones of these. Says whether there are some left that may come to be late.
pub(super) fn look<'a>(jobs: impl Iterator<Item = &'a Rc<Job>>, now: Instant) -> bool {
    jobs.fold(false, |may_be, job| job.look_for_lateness(now) | may_be)
}

/// Looks for late jobs of this link while there are some that may be.
pub(super) fn watch<L: Watched>(link: &Rc<L>) {
    if link.watch().0.replace(true) {
        return;
    }
    let link = Rc::downgrade(link);
    actix_web::rt::spawn(async move {
        loop {
            tokio::time::sleep(TICK).await;
            let Some(link) = link.upgrade() else { return };
            if !link.look_for_lateness(tokio::time::Instant::now().into_std()) {
                return link.watch().0.set(false);
            }
        }
    });
}
