//! Who takes a call: this process if it has the function, a worker of this machine that has it, else one of another machine.

use std::rc::Rc;

use shared::message::Target;

use super::calls::path_of;
use super::thread::Thread;
use super::worker_link::WorkerLink;

/// Where on a link a call opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    /// The link leads to one worker.
    Direct,
    /// Any worker of other machines that has this function.
    Function {
        name: String,
        /// The workers to try first: the call was lost elsewhere before.
        rather: Vec<String>,
    },
    /// Any worker of other machines that answers this route.
    Route(String),
}

impl Thread {
    /// A worker for a call of a function or for a request of `url`, and the way to it. `again`: another one has been
    /// lost with it.
    pub fn way_to(&self, target: &Target, url: &str, again: bool) -> Option<(Rc<WorkerLink>, Way)> {
        if let Some(own) = self.own_worker(target, url) {
            return Some((own, Way::Direct));
        }
        let elsewhere = self.way_elsewhere(target, url, again);
        let has_here = match elsewhere {
            Some((_, _, here)) => here,
            None => true,
        };
        // What nobody is known to have is answered here too: with 404, or with 503 where there is no worker.
        let here = if has_here { self.least_loaded_worker() } else { None };
        here.map(|link| (link, Way::Direct)).or_else(|| elsewhere.map(|(link, way, _)| (link, way)))
    }

    /// The way to other machines, and whether this one has it too.
    fn way_elsewhere(&self, target: &Target, url: &str, again: bool) -> Option<(Rc<WorkerLink>, Way, bool)> {
        let link = self.remote.borrow().clone().filter(|link| link.is_ready())?;
        let catalog = self.pool.catalog.load();
        match target {
            Target::Function(name) => {
                let found = catalog.function(name)?;
                if found.instances.is_empty() {
                    return None;
                }
                let rather = if again { found.instances.clone() } else { Vec::new() };
                Some((link, Way::Function { name: name.clone(), rather }, found.here))
            }
            Target::Route => {
                let (here, pattern) = catalog.route(path_of(url))?;
                Some((link, Way::Route(pattern?.to_owned()), here))
            }
        }
    }

    fn least_loaded_worker(&self) -> Option<Rc<WorkerLink>> {
        let workers = self.workers.borrow();
        let count = workers.len();
        let index = (0..count)
            .map(|step| (self.worker_rotor.get() + step) % count)
            .filter(|index| workers[*index].is_ready())
            .min_by_key(|index| workers[*index].load())?;
        self.worker_rotor.set(index + 1);
        Some(workers[index].clone())
    }
}
