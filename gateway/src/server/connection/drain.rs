//! Tells the connections of one gateway thread that the gateway drains.
//!
//! actix-http asks at each turn of each connection. A channel between threads takes a lock each time; here that costs a
//! comparison.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::sync::watch;

/// The news of one thread. Holds a waker for each connection that is open. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct ThreadDrain {
    shared: Rc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    is_draining: Cell<bool>,
    next: Cell<u64>,
    waiting: RefCell<HashMap<u64, Waker>>,
}

impl ThreadDrain {
    /// Passes the news on as soon as `drain` is true. Must be called in a local task set.
    pub fn follow(mut drain: watch::Receiver<bool>) -> Self {
        let followed = Self::default();
        let thread = followed.clone();
        actix_web::rt::spawn(async move {
            // Where the sender is gone, so is the server.
            drop(drain.wait_for(|draining| *draining).await);
            thread.begin();
        });
        followed
    }

    fn begin(&self) {
        self.shared.is_draining.set(true);
        let waiting = self.shared.waiting.take();
        waiting.into_values().for_each(Waker::wake);
    }

    /// Ready once the gateway drains.
    pub fn begun(&self) -> Begun {
        let number = self.shared.next.get();
        self.shared.next.set(number + 1);
        Begun { shared: Rc::clone(&self.shared), number, known: None }
    }
}

/// See [`ThreadDrain::begun`].
#[derive(Debug)]
#[must_use = "a future does nothing until it is polled"]
pub struct Begun {
    shared: Rc<Shared>,
    number: u64,
    /// Whom the thread wakes.
    known: Option<Waker>,
}

impl Future for Begun {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.shared.is_draining.get() {
            return Poll::Ready(());
        }
        if !self.known.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            self.shared.waiting.borrow_mut().insert(self.number, cx.waker().clone());
            self.known = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.shared.waiting.borrow_mut().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[actix_web::test]
    async fn all_that_wait_hear_of_it_and_nothing_stays_behind() {
        let (sender, receiver) = watch::channel(false);
        let drain = ThreadDrain::follow(receiver);
        let (first, second) = (drain.begun(), drain.begun());
        let mut gone = drain.begun();
        assert!((&mut gone).now_or_never().is_none());
        assert!((&mut gone).now_or_never().is_none());
        drop(gone);
        let waiting = actix_web::rt::spawn(async move { tokio::join!(first, second) });
        tokio::task::yield_now().await;
        assert_eq!(drain.shared.waiting.borrow().len(), 2);
        sender.send_replace(true);
        waiting.await.unwrap();
        assert!(drain.shared.waiting.borrow().is_empty());
        drain.begun().await;
    }
}
