//! All function actors of a process, and which of them takes the next call of a link that belongs to none.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix::Arbiter;

use crate::actor::{Desk, FunctionActor, Load, Run};
use crate::registry::Registry;

/// The function actors, each on an arbiter of its own.
pub(crate) struct Team {
    members: Vec<Member>,
    registry: Arc<Registry>,
}

/// One of them.
pub(crate) struct Member {
    pub(crate) desk: Desk,
    /// Calls that wait for it or that it runs, of those that the team has assigned.
    load: Arc<AtomicUsize>,
    pub(crate) arbiter: Arbiter,
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
            let desk = FunctionActor::start_on(&arbiter.handle(), registry, mailbox, concurrency).await?;
            members.push(Member { desk, load: Arc::default(), arbiter });
        }
        Some(Self { members, registry })
    }

    /// The actor that the links of a lane belong to.
    pub(crate) fn member(&self, lane: usize) -> &Member {
        &self.members[lane % self.members.len()]
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
            return member.desk.begin_beside(run, &member.arbiter.handle());
        }
        member.desk.send(run);
    }
}
