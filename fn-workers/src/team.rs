//! All function actors of a process, and which of them takes the next call.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix::dev::SendError;
use actix::{Addr, Arbiter};
use shared::message::Outcome;

use crate::actor::{FunctionActor, Load, Run};
use crate::registry::Registry;

/// The function actors, each on an arbiter of its own.
pub(crate) struct Team {
    members: Vec<Member>,
    registry: Arc<Registry>,
}

struct Member {
    actor: Addr<FunctionActor>,
    /// Calls that wait for it or that it runs.
    load: Arc<AtomicUsize>,
    arbiter: Arbiter,
}

impl Team {
    /// Starts `arbiters` actors and waits until they take calls. Must run inside an actix system. `None` when a
    /// thread of theirs has ended.
    pub(crate) async fn start(
        registry: Arc<Registry>,
        arbiters: usize,
        mailbox: usize,
        concurrency: usize,
    ) -> Option<Self> {
        let mut members = Vec::new();
        for _ in 0..arbiters.max(1) {
            let arbiter = Arbiter::new();
            let registry = Arc::clone(&registry);
            let actor = FunctionActor::start_on(&arbiter.handle(), registry, mailbox, concurrency).await?;
            members.push(Member { actor, load: Arc::default(), arbiter });
        }
        Some(Self { members, registry })
    }

    /// The functions that the team answers for.
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Hands a call to the least busy actor, or answers 503 when even that one's mailbox is full.
    pub(crate) fn assign(&self, mut run: Run) {
        let Some(member) = self.members.iter().min_by_key(|member| member.load.load(Ordering::Relaxed))
        else {
            return;
        };
        run.load = Some(Load::on(&member.load));
        if run.is_of_function() {
            return run.begin_beside(&member.arbiter.handle(), Arc::clone(&self.registry));
        }
        let (refused, message) = match member.actor.try_send(run) {
            Ok(()) => return,
            Err(SendError::Full(run)) => (run, "the function workers are busy"),
            Err(SendError::Closed(run)) => {
                tracing::error!("a function actor has ended");
                (run, "the function workers are ending")
            }
        };
        drop(refused.load);
        refused.reply.send(Outcome::failed(503, message));
    }
}
