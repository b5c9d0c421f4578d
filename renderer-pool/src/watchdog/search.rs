//! Finds the job that keeps a turn up where interrupts find none: V8 answers them between two microtasks then, when no
//! function runs and no async context is current. Promises have both at the moment when they are made or settled.

use std::sync::Arc;

use deno_core::v8;

use super::probe::{Excess, Overrun, Probe};
use super::stack::{self, Caught};
use super::turn::{JobKey, NOBODY, TurnNumber};

/// So many promises go by before one is taken for the turn's: others' last ones may be among the first.
const PASSED_BY: u32 = 100;

/// So many more may have no function on the stack.
const WITHOUT_STACK: u32 = 100;

/// What is looked for.
#[derive(Debug, Clone, Copy)]
pub struct Search {
    turn: TurnNumber,
    wanted: Option<JobKey>,
    seen: u32,
}

impl Search {
    /// A search for this job, or any, in a turn.
    pub fn of(turn: TurnNumber, wanted: Option<JobKey>) -> Self {
        Self { turn, wanted, seen: 0 }
    }
}

/// The isolate's probe, for V8's callback.
struct Watched(Arc<Probe>);

/// Keeps the probe for the callback.
pub fn remember_probe(isolate: &mut v8::Isolate, probe: Arc<Probe>) {
    isolate.set_slot(Watched(probe));
}

impl Probe {
    /// From here on terminates the job of a promise that the turn makes. For an isolate that is replaced afterwards: V8
    /// calls for each promise from now on.
    pub(super) fn search(&self, isolate: &mut v8::Isolate, search: Search) {
        let mut state = self.lock();
        if state.search.is_none_or(|before| before.turn != search.turn) {
            state.search = Some(search);
            drop(state);
            isolate.set_promise_hook(on_promise);
        }
    }

    fn see_promise(&self, isolate: &mut v8::Isolate) {
        let turn = self.running();
        let found = |search: &mut Search| {
            search.seen += 1;
            (Some(search.turn) == turn && search.seen > PASSED_BY).then_some(*search)
        };
        let Some(search) = self.lock().search.as_mut().and_then(found) else { return };
        let Caught { job, url } = stack::running_job(isolate);
        if job == NOBODY || search.wanted.is_some_and(|wanted| wanted != job) {
            return;
        }
        let stack = stack::capture(isolate);
        if stack.is_empty() && search.seen <= PASSED_BY + WITHOUT_STACK {
            return;
        }
        self.note(Overrun { excess: Excess::Turn, job, url, stack });
        isolate.terminate_execution();
    }
}

/// V8 calls this on the isolate's thread whenever a promise is made, settled, or its reaction begins or ends.
unsafe extern "C" fn on_promise(
    _: v8::PromiseHookType,
    promise: v8::Local<'_, v8::Promise>,
    _: v8::Local<'_, v8::Value>,
) {
    // SAFETY: V8 calls from within the isolate that the promise belongs to.
    v8::callback_scope!(unsafe scope, promise);
    let Some(probe) = scope.get_slot::<Watched>().map(|watched| watched.0.clone()) else { return };
    probe.see_promise(scope);
}
