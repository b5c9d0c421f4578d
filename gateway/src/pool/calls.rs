//! Native calls: from a client or from a job, to the least loaded fn worker. They never wait for a render permit:
//! the job that calls holds one.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use prometheus::IntCounterVec;
use shared::message::{Caller, MAX_CALL_BYTES, NativeCall, Outcome};

use super::in_flight::Place;
use super::thread::Thread;
use super::worker_link::WorkerLink;

/// The longest name of a function together with a request's id, in bytes; they share a frame with the input.
const MAX_NAMES_BYTES: usize = 8 * 1024;

/// Counts a call by its outcome when dropped; one that never came to an outcome was cancelled.
struct Tally {
    calls: IntCounterVec,
    caller: Caller,
    outcome: &'static str,
}

impl Drop for Tally {
    fn drop(&mut self) {
        let caller = match self.caller {
            Caller::Client => "client",
            Caller::Isolate => "isolate",
        };
        self.calls.with_label_values(&[caller, self.outcome]).inc();
    }
}

impl Thread {
    /// A call that a job makes.
    pub async fn call_for_job(&self, name: String, input: Bytes, request_id: &str) -> Outcome {
        let request_id = request_id.to_owned();
        self.call(NativeCall { name, caller: Caller::Isolate, deadline_ms: u32::MAX, request_id, input })
            .await
    }

    /// Calls a native function.
    pub async fn call(&self, call: NativeCall) -> Outcome {
        let calls = self.pool.metrics.native_calls.clone();
        let mut tally = Tally { calls, caller: call.caller, outcome: "cancelled" };
        let (label, outcome) = match self.forward(call).await {
            Ok(Outcome::Value(value)) if value.len() > MAX_CALL_BYTES => {
                ("failed", Outcome::failed(502, "the function's value is too large"))
            }
            Ok(outcome @ Outcome::Value(_)) => ("value", outcome),
            Ok(outcome @ Outcome::Failed { .. }) => ("failed", outcome),
            Err(refusal) => refusal,
        };
        tally.outcome = label;
        outcome
    }

    async fn forward(&self, mut call: NativeCall) -> Result<Outcome, (&'static str, Outcome)> {
        if call.input.len() > MAX_CALL_BYTES {
            return Err(("refused", Outcome::failed(413, "the function's input is too large")));
        }
        if call.name.len() + call.request_id.len() > MAX_NAMES_BYTES {
            return Err(("refused", Outcome::failed(400, "the function's name is too long")));
        }
        let asked = Duration::from_millis(call.deadline_ms.into());
        let deadline = asked.min(self.pool.settings.native_call_timeout);
        call.deadline_ms = u32::try_from(deadline.as_millis()).unwrap_or(u32::MAX);
        let Some(worker) = self.least_loaded_worker() else {
            return Err(("unavailable", Outcome::failed(503, "no function worker is ready")));
        };
        let id = self.next_id();
        let enter = || self.pool.in_flight.enter(id, Place::Worker(worker.slot.id));
        let Some(mut pending) = worker.begin(id, call, enter) else {
            return Err(("refused", Outcome::failed(503, "the function workers are busy")));
        };
        match tokio::time::timeout(deadline, pending.outcome()).await {
            Ok(Some(outcome)) => Ok(outcome),
            Ok(None) => Err(("lost", Outcome::failed(502, "the function's worker was lost"))),
            Err(_) => Err(("timeout", Outcome::failed(504, "the function took too long"))),
        }
    }

    fn least_loaded_worker(&self) -> Option<Rc<WorkerLink>> {
        let workers = self.workers.borrow();
        let count = workers.len();
        let index = (0..count)
            .map(|step| (self.worker_rotor.get() + step) % count)
            .filter(|index| workers[*index].is_ready())
            .min_by_key(|index| workers[*index].slot.in_flight())?;
        self.worker_rotor.set(index + 1);
        Some(workers[index].clone())
    }
}
