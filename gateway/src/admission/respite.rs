//! A gateway thread rests for a moment after it has refused requests for want of room.
//!
//! Under an overload requests come a few dozen microseconds apart, and each would wake the thread: two changes of processes
//! and cold caches for one refusal, on a core that isolates could use. During the rest requests gather in their sockets;
//! then they are all read in one turn. Answers that are under way wait too, so that the rest is short.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

/// The rests of one gateway thread. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Respite {
    shared: Rc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    is_due: Cell<bool>,
    sleeper: RefCell<Option<Waker>>,
}

impl Respite {
    /// Rests for `time` after each turn of the thread in which somebody was refused; zero never rests. Must be called on
    /// the thread, in a local task set.
    pub fn of(time: Duration) -> Self {
        Self::resting(time, std::thread::sleep)
    }

    fn resting(time: Duration, rest: impl Fn(Duration) + 'static) -> Self {
        let respite = Self::default();
        if !time.is_zero() {
            let shared = Rc::clone(&respite.shared);
            actix_web::rt::spawn(std::future::poll_fn::<(), _>(move |cx| {
                // Woken behind all that came in the same turn, so that it has been answered.
                if shared.is_due.replace(false) {
                    rest(time);
                }
                *shared.sleeper.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }));
        }
        respite
    }

    /// Somebody was refused.
    pub fn is_due(&self) {
        if !self.shared.is_due.replace(true)
            && let Some(sleeper) = &*self.shared.sleeper.borrow()
        {
            sleeper.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn rests_after(time: Duration, refusals: usize) -> usize {
        let rests = Rc::new(Cell::new(0));
        let counted = Rc::clone(&rests);
        let respite = Respite::resting(time, move |_| counted.set(counted.get() + 1));
        for _ in 0..2 {
            tokio::task::yield_now().await;
            (0..refusals).for_each(|_| respite.is_due());
            tokio::task::yield_now().await;
        }
        rests.get()
    }

    #[actix_web::test]
    async fn a_turn_of_refusals_is_followed_by_one_rest() {
        let time = Duration::from_millis(1);
        assert_eq!(rests_after(time, 0).await, 0);
        assert_eq!(rests_after(time, 1).await, 2);
        assert_eq!(rests_after(time, 100).await, 2);
        assert_eq!(rests_after(Duration::ZERO, 100).await, 0);
    }
}
