//! A request's body between the link that takes it in and the task that reads it, which may be on another thread. The
//! window bounds it, and [`Pieces`] sees to it that small pieces cost no more than their bytes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use shared::pieces::Pieces;

use crate::exchange::BodyBroken;

/// Both ends of a body.
pub(crate) fn upload() -> (UploadSender, UploadReceiver) {
    let shared = Arc::new(Mutex::new(Shared::default()));
    (UploadSender(Arc::clone(&shared)), UploadReceiver(shared))
}

#[derive(Debug, Default)]
struct Shared {
    pieces: Pieces,
    end: Option<Result<(), BodyBroken>>,
    reader: Option<Waker>,
    /// Nobody reads any more.
    is_unread: bool,
}

/// The link's end. Dropped, the body is complete.
#[derive(Debug)]
pub(crate) struct UploadSender(Arc<Mutex<Shared>>);

/// The reader's end.
#[derive(Debug)]
pub(crate) struct UploadReceiver(Arc<Mutex<Shared>>);

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl UploadSender {
    /// The next piece has come.
    pub(crate) fn send(&self, bytes: Bytes) {
        let mut shared = lock(&self.0);
        if !shared.is_unread {
            shared.pieces.push(bytes);
        }
        wake(shared);
    }

    /// The body broke off.
    pub(crate) fn fail(self) {
        lock(&self.0).end = Some(Err(BodyBroken));
    }
}

impl Drop for UploadSender {
    fn drop(&mut self) {
        let mut shared = lock(&self.0);
        shared.end.get_or_insert(Ok(()));
        wake(shared);
    }
}

/// Wakes the reader once nothing is held any more.
fn wake(mut shared: MutexGuard<'_, Shared>) {
    let reader = shared.reader.take();
    drop(shared);
    if let Some(reader) = reader {
        reader.wake();
    }
}

impl UploadReceiver {
    /// The next piece; `None` at the end of the body.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, BodyBroken>> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyBroken>>> {
        let mut shared = lock(&self.0);
        if let Some(bytes) = shared.pieces.pop() {
            return Poll::Ready(Some(Ok(bytes)));
        }
        match shared.end {
            Some(Ok(())) => Poll::Ready(None),
            // Told once.
            Some(Err(broken)) => {
                shared.end = Some(Ok(()));
                Poll::Ready(Some(Err(broken)))
            }
            None => {
                shared.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for UploadReceiver {
    fn drop(&mut self) {
        let mut shared = lock(&self.0);
        shared.is_unread = true;
        shared.pieces = Pieces::default();
    }
}

#[cfg(test)]
mod tests {
    use shared::window::{INITIAL_WINDOW, MAX_CHUNK_BYTES};

    use super::*;

    #[tokio::test]
    async fn a_window_of_single_bytes_is_read_in_few_pieces() {
        let (sender, mut body) = upload();
        (0..INITIAL_WINDOW).for_each(|_| sender.send(Bytes::from_static(b"a")));
        drop(sender);
        let mut pieces = 0;
        while let Some(bytes) = body.next().await {
            pieces += 1;
            assert_eq!(bytes.unwrap().len(), MAX_CHUNK_BYTES);
        }
        assert_eq!(pieces, INITIAL_WINDOW / MAX_CHUNK_BYTES);
    }

    #[tokio::test]
    async fn a_reader_is_woken_by_bytes_by_the_end_and_by_a_break() {
        let (sender, mut body) = upload();
        let reading = tokio::spawn(async move { (body.next().await, body.next().await, body.next().await) });
        tokio::task::yield_now().await;
        sender.send("abc".into());
        tokio::task::yield_now().await;
        sender.fail();
        assert_eq!(reading.await.unwrap(), (Some(Ok("abc".into())), Some(Err(BodyBroken)), None));
    }

    #[test]
    fn what_nobody_reads_is_not_kept() {
        let (sender, body) = upload();
        sender.send("abc".into());
        drop(body);
        sender.send("def".into());
        assert_eq!(lock(&sender.0).pieces.pop(), None);
    }
}
