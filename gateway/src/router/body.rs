//! Bodies: a request's within its limits, and a response's where none may be sent.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::Payload;
use bytes::Bytes;
use futures_core::Stream;
use tokio::time::{Instant, Sleep};

use crate::pool::RequestBodyError;
use crate::server::connection::pace::{Pace, Rate};

/// A body that fails before its first byte: nothing of its response is sent, the head neither.
#[derive(Debug)]
pub struct Cut;

/// The app wants no answer to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the app wants no answer to be sent")]
pub struct AnswerDropped;

impl MessageBody for Cut {
    type Error = AnswerDropped;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, AnswerDropped>>> {
        Poll::Ready(Some(Err(AnswerDropped)))
    }
}

/// A request's body that ends with an error once it is longer than it may be or comes too slowly.
pub struct LimitedBody {
    payload: Payload,
    left: u64,
    rate: Rate,
    pace: Pace,
    waiting: Option<Pin<Box<Sleep>>>,
    /// It was asked for before.
    has_looked: bool,
}

impl LimitedBody {
    /// At most `limit` bytes of `payload`, not slower than `rate`.
    pub fn new(payload: Payload, limit: u64, rate: Rate) -> Self {
        Self { payload, left: limit, rate, pace: Pace::default(), waiting: None, has_looked: false }
    }

    /// The whole body in one piece.
    ///
    /// # Errors
    /// The first that the body ends with.
    pub async fn collect(mut self) -> Result<Bytes, RequestBodyError> {
        let mut whole: Vec<Bytes> = Vec::new();
        while let Some(piece) = std::future::poll_fn(|cx| Pin::new(&mut self).poll_next(cx)).await {
            whole.push(piece?);
        }
        match whole.as_mut_slice() {
            [only] => Ok(std::mem::take(only)),
            pieces => Ok(pieces.concat().into()),
        }
    }
}

impl Stream for LimitedBody {
    type Item = Result<Bytes, RequestBodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Poll::Ready(item) = Pin::new(&mut this.payload).poll_next(cx) else {
            if !std::mem::replace(&mut this.has_looked, true) {
                // actix-http has a short body already, and hands it over after this look: no timer is needed for it.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let waiting = this.waiting.get_or_insert_with(|| {
                let now = Instant::now();
                this.pace.wait(now);
                // A wait has a deadline.
                Box::pin(tokio::time::sleep_until(this.pace.deadline(this.rate).unwrap_or(now)))
            });
            return waiting.as_mut().poll(cx).map(|()| Some(Err(RequestBodyError::Timeout)));
        };
        this.waiting = None;
        Poll::Ready(item.map(|piece| {
            let piece = piece.map_err(|_| RequestBodyError::Broken)?;
            this.pace.moved(piece.len(), Instant::now);
            this.left = this.left.checked_sub(piece.len() as u64).ok_or(RequestBodyError::TooLarge)?;
            Ok(piece)
        }))
    }
}

/// A body that announces a size and sends nothing: the answer to HEAD.
#[derive(Debug, Clone, Copy)]
pub struct Headless(pub BodySize);

impl MessageBody for Headless {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        self.0
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use actix_http::BoxedPayloadStream;
    use actix_web::error::PayloadError;
    use std::time::Duration;

    use futures_util::{StreamExt, stream};

    use super::*;

    const PAUSE: Duration = Duration::from_secs(30);
    const RATE: Rate = Rate { pause: PAUSE, bytes_per_second: 0 };

    fn payload(pieces: Vec<Result<Bytes, PayloadError>>) -> Payload {
        Payload::Stream { payload: Box::pin(stream::iter(pieces)) }
    }

    async fn collected(pieces: &[&'static str], limit: u64) -> Result<Bytes, RequestBodyError> {
        let pieces = pieces.iter().map(|piece| Ok((*piece).into())).collect();
        LimitedBody::new(payload(pieces), limit, RATE).collect().await
    }

    #[actix_web::test]
    async fn a_body_within_its_limit_comes_whole() {
        assert_eq!(collected(&["abc", "de"], 5).await.unwrap(), "abcde");
        assert_eq!(collected(&[], 0).await.unwrap(), "");
        assert_eq!(collected(&["abc", "de"], 4).await, Err(RequestBodyError::TooLarge));
    }

    #[actix_web::test]
    async fn a_body_that_breaks_off_is_broken() {
        let pieces = vec![Ok("a".into()), Err(PayloadError::Incomplete(None))];
        let body = LimitedBody::new(payload(pieces), 10, RATE);
        assert_eq!(body.collect().await, Err(RequestBodyError::Broken));
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_now_and_then_is_too_slow() {
        let drip = |()| async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Some((Ok(Bytes::from("x")), ()))
        };
        let pieces: BoxedPayloadStream = Box::pin(stream::unfold((), drip));
        let rate = Rate { bytes_per_second: 500, ..RATE };
        let body = LimitedBody::new(Payload::Stream { payload: pieces }, 1000, rate);
        let started = Instant::now();
        assert_eq!(body.collect().await, Err(RequestBodyError::Timeout));
        assert_eq!(started.elapsed().as_secs(), PAUSE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn each_pause_counts_for_itself() {
        let tick = |count: u32| async move {
            tokio::time::sleep(if count == 3 { 2 * PAUSE } else { PAUSE * 2 / 3 }).await;
            Some((Ok(Bytes::from("x")), count + 1))
        };
        let pieces: BoxedPayloadStream = Box::pin(stream::unfold(0, tick));
        let payload = Payload::Stream { payload: pieces };
        let items: Vec<_> = LimitedBody::new(payload, 100, RATE).take(4).collect().await;
        assert!(items[..3].iter().all(Result::is_ok), "{items:?}");
        assert_eq!(items[3], Err(RequestBodyError::Timeout));
    }
}
