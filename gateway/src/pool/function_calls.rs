//! Calls that native functions make of functions which their own process does not have: a worker sends them back over
//! its link, and they go to a worker that has them as any other call does.
//!
//! Such a call belongs to the call or request that its function answers, and ends with that, however that ends.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use shared::message::{Caller, MAX_CALL_DEPTH, NativeCall, Outcome, ToWorker};
use tokio::task::AbortHandle;

use super::link::RuleError;
use super::thread::Thread;
use super::worker_link::WorkerLink;

/// The calls that one function may have running elsewhere at a time; more are answered with 503.
const MAX_CALLS_PER_FUNCTION: usize = 64;

/// The calls that run for the functions of one link, by the call or request that their function answers.
#[derive(Debug, Default)]
pub(super) struct FunctionCalls(RefCell<HashMap<u64, HashMap<u32, AbortHandle>>>);

impl FunctionCalls {
    /// The call or request has ended, and what its function has called with it.
    pub fn end_of(&self, id: u64) {
        let mut running = self.0.borrow_mut();
        if !running.is_empty()
            && let Some(calls) = running.remove(&id)
        {
            calls.into_values().for_each(|call| call.abort());
        }
    }

    /// The link has ended.
    pub fn end_all(&self) {
        let running = std::mem::take(&mut *self.0.borrow_mut());
        running.into_values().flat_map(HashMap::into_values).for_each(|call| call.abort());
    }

    /// The call has been answered, or nobody waits for it any more; whether it was running.
    fn take(&self, id: u64, number: u32) -> Option<AbortHandle> {
        let mut running = self.0.borrow_mut();
        let calls = running.get_mut(&id)?;
        let call = calls.remove(&number);
        if calls.is_empty() {
            running.remove(&id);
        }
        call
    }

    /// Why a function may not make this call.
    fn refusal(&self, id: u64, number: u32, caller: Caller) -> Result<Option<Outcome>, RuleError> {
        let running = self.0.borrow();
        let calls = running.get(&id);
        if calls.is_some_and(|calls| calls.contains_key(&number)) {
            return Err(RuleError::SecondCall { id, call: number });
        }
        Ok(match caller {
            Caller::Function { depth } if depth > MAX_CALL_DEPTH => {
                Some(Outcome::failed(500, "functions call each other too deep"))
            }
            _ if calls.is_some_and(|calls| calls.len() >= MAX_CALLS_PER_FUNCTION) => {
                Some(Outcome::failed(503, "too many native calls at a time"))
            }
            Caller::Function { .. } => None,
            Caller::Client | Caller::Isolate => {
                Some(Outcome::failed(500, "only functions call from a worker"))
            }
        })
    }
}

impl WorkerLink {
    /// A function that answers the call or request `id` calls another.
    pub(super) fn call_for_function(
        self: &Rc<Self>,
        (id, number): (u64, u32),
        call: NativeCall,
        thread: &Rc<Thread>,
    ) -> Result<(), RuleError> {
        if !self.is_running(id) {
            // It crossed the end of what its function answers: nobody waits for the answer.
            return thread.was_issued(id).then_some(()).ok_or(RuleError::UnknownId(id));
        }
        if let Some(refusal) = self.function_calls.refusal(id, number, call.caller)? {
            self.answer_function(id, number, refusal);
            return Ok(());
        }
        let (link, thread) = (self.clone(), thread.clone());
        let task = actix_web::rt::spawn(async move {
            let outcome = thread.call(call).await;
            if link.function_calls.take(id, number).is_some() {
                link.answer_function(id, number, outcome);
            }
        });
        let mut running = self.function_calls.0.borrow_mut();
        running.entry(id).or_default().insert(number, task.abort_handle());
        Ok(())
    }

    /// A function does not wait for what it has called any more.
    pub(super) fn withdraw_for_function(&self, id: u64, number: u32) {
        // Its reply may have crossed the withdrawal.
        if let Some(call) = self.function_calls.take(id, number) {
            call.abort();
        }
    }

    fn answer_function(&self, id: u64, number: u32, outcome: Outcome) {
        self.send(&ToWorker::Reply { id, number, outcome });
    }
}
