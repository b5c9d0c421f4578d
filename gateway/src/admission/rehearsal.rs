//! Admission without isolates, for benches: what a request pays for its place.

use futures_util::FutureExt;

use super::{Admission, AdmissionSettings, Wish};
use crate::metrics::Metrics;
use crate::pool::slot::IsolateId;

/// Admission in front of isolates that are not there.
#[derive(Debug)]
pub struct Rehearsal {
    admission: Admission,
}

impl Rehearsal {
    /// With so many isolates that take jobs.
    pub fn with_isolates(count: usize, metrics: Metrics) -> Self {
        let admission = Admission::new(AdmissionSettings::DEFAULT, metrics);
        for slot in 0..count {
            admission.open(IsolateId { slot, generation: 0, isolate: 0 });
        }
        Self { admission }
    }

    /// Takes a place, has its answer, and leaves it; whether there was one.
    pub fn take_and_leave(&self) -> bool {
        match self.admission.acquire(Wish::DOCUMENT, None).now_or_never() {
            Some(Ok(permit)) => {
                permit.answered();
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Rehearsal;
    use crate::metrics::Metrics;

    #[tokio::test]
    async fn there_is_a_place_where_there_are_isolates() {
        let metrics = || Metrics::new().unwrap();
        let rehearsal = Rehearsal::with_isolates(2, metrics());
        assert!((0..1000).all(|_| rehearsal.take_and_leave()), "a place that was left is free");
        assert!(!Rehearsal::with_isolates(0, metrics()).take_and_leave());
    }
}
