//! A bounded pool of threads for what would hold up an event loop.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

use crossbeam::channel::{Receiver, Sender, TrySendError, bounded};
use tokio::sync::oneshot;
use tracing::Span;

use crate::error::FunctionError;

/// Work that waits for each thread; more is refused. Beyond this a caller waits longer than it is worth.
const WAITING_PER_THREAD: usize = 64;

type Work = Box<dyn FnOnce() + Send>;

/// The pool. Its threads end with it.
pub(crate) struct BlockingPool {
    work: Sender<Work>,
}

impl BlockingPool {
    /// Starts the pool's threads.
    pub(crate) fn start(threads: usize) -> io::Result<Self> {
        let threads = threads.max(1);
        let (work, waiting) = bounded::<Work>(threads * WAITING_PER_THREAD);
        for index in 0..threads {
            let waiting: Receiver<Work> = waiting.clone();
            thread::Builder::new()
                .name(format!("blocking-{index}"))
                .spawn(move || waiting.into_iter().for_each(|work| work()))?;
        }
        Ok(Self { work })
    }

    /// Runs `work` and waits for its value. A panic in it goes on in the waiting task.
    pub(crate) async fn run<T, F>(&self, work: F) -> Result<T, FunctionError>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let (done, value) = oneshot::channel();
        let span = Span::current();
        let work: Work = Box::new(move || {
            if done.is_closed() {
                return;
            }
            let value = span.in_scope(|| catch_unwind(AssertUnwindSafe(work)));
            // Nobody waits any more: the call was cancelled while the work ran.
            let _ = done.send(value);
        });
        match self.work.try_send(work) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Err(FunctionError::new(503, "too much work is waiting")),
            Err(TrySendError::Disconnected(_)) => return Err(gone()),
        }
        match value.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => Err(gone()),
        }
    }
}

fn gone() -> FunctionError {
    FunctionError::internal("the pool for blocking work has ended")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn work_beyond_the_queue_is_refused_and_the_rest_is_done() {
        let pool = BlockingPool::start(1).unwrap();
        let (started, has_started) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let mut first = Box::pin(pool.run(move || {
            started.send(()).unwrap();
            released.recv().unwrap();
        }));
        assert!(first.as_mut().now_or_never().is_none());
        has_started.recv().unwrap();

        let ran = Arc::new(AtomicUsize::new(0));
        let count = || {
            let ran = Arc::clone(&ran);
            move || ran.fetch_add(1, Ordering::SeqCst)
        };
        let mut waiting: Vec<_> = (0..WAITING_PER_THREAD).map(|_| Box::pin(pool.run(count()))).collect();
        assert!(waiting.iter_mut().all(|work| work.as_mut().now_or_never().is_none()));
        assert_eq!(pool.run(count()).await.unwrap_err().status(), 503);

        drop(waiting.pop());
        release.send(()).unwrap();
        first.await.unwrap();
        for work in waiting {
            work.await.unwrap();
        }
        pool.run(|| ()).await.unwrap();
        assert_eq!(ran.load(Ordering::SeqCst), WAITING_PER_THREAD - 1, "cancelled work does not run");
    }

    #[tokio::test]
    async fn a_panic_reaches_the_caller_and_spares_the_thread() {
        let pool = BlockingPool::start(1).unwrap();
        let panicked = AssertUnwindSafe(pool.run(|| panic!("no"))).catch_unwind().await;
        assert!(panicked.is_err());
        assert_eq!(pool.run(|| 7).await.unwrap(), 7);
    }
}
