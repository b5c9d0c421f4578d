//! A gateway thread rests for a moment after it has refused requests for want of room.
//!
//! Under an overload requests come a few dozen microseconds apart, and each would wake the thread: two changes of processes
//! and cold caches for one refusal, on a core that isolates could use. During the rest requests gather in their sockets;
//! then they are all read in one turn. The rest ends when a child has something to say: an isolate that has answered what it
//! had is without work until the thread comes.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

/// So often the thread comes to all else that is to be done before it rests: it hands an answer to a client, whose place
/// goes to one who waits, whose job is sent to the isolate. Otherwise the isolate would be without work for the rest.
const ROUNDS: u32 = 4;

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
    /// Lets the thread `rest` for `time` after each turn in which somebody was refused; zero never rests. `rest` blocks the
    /// thread. Must be called on the thread, in a local task set.
    pub fn of(time: Duration, rest: impl Fn(Duration) + 'static) -> Self {
        let respite = Self::default();
        if !time.is_zero() {
            let shared = Rc::clone(&respite.shared);
            let mut rounds = 0;
            actix_web::rt::spawn(std::future::poll_fn::<(), _>(move |cx| {
                // Woken behind all that came in the same turn, so that it has been answered.
                if shared.is_due.get() {
                    if rounds < ROUNDS {
                        rounds += 1;
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    rounds = 0;
                    shared.is_due.set(false);
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
        let respite = Respite::of(time, move |_| counted.set(counted.get() + 1));
        for _ in 0..2 {
            turns().await;
            (0..refusals).for_each(|_| respite.is_due());
            turns().await;
        }
        rests.get()
    }

    /// More turns than a rest is put off.
    async fn turns() {
        for _ in 0..3 * ROUNDS {
            tokio::task::yield_now().await;
        }
    }

    /// Tasks of which each but the last starts the next one.
    fn chain(tasks: u32, done: Rc<Cell<u32>>) {
        actix_web::rt::spawn(async move {
            done.set(done.get() + 1);
            if tasks > 1 {
                chain(tasks - 1, done);
            }
        });
    }

    #[actix_web::test]
    async fn what_a_turn_leads_to_is_done_before_the_rest() {
        let (done, seen) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(None)));
        let (at_rest, note) = (Rc::clone(&done), Rc::clone(&seen));
        let respite = Respite::of(Duration::from_millis(1), move |_| note.set(Some(at_rest.get())));
        turns().await;
        respite.is_due();
        chain(ROUNDS, done);
        turns().await;
        assert_eq!(seen.get(), Some(ROUNDS));
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
