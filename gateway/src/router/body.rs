//! Bodies: a request's within its limits, and a response's where none may be sent.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::Payload;
use bytes::Bytes;
use futures_core::Stream;
use tokio::time::Sleep;

use crate::pool::RequestBodyError;

/// A request's body that ends with an error once it is longer than it may be or pauses for too long.
pub struct LimitedBody {
    payload: Payload,
    left: u64,
    pause: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl LimitedBody {
    /// At most `limit` bytes of `payload`, with pauses of at most `pause`.
    pub fn new(payload: Payload, limit: u64, pause: Duration) -> Self {
        Self { payload, left: limit, pause, waiting: None }
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
            let waiting = this.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(this.pause)));
            return waiting.as_mut().poll(cx).map(|()| Some(Err(RequestBodyError::Timeout)));
        };
        this.waiting = None;
        Poll::Ready(item.map(|piece| {
            let piece = piece.map_err(|_| RequestBodyError::Broken)?;
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
    use futures_util::{StreamExt, stream};

    use super::*;

    const PAUSE: Duration = Duration::from_secs(30);

    fn payload(pieces: Vec<Result<Bytes, PayloadError>>) -> Payload {
        Payload::Stream { payload: Box::pin(stream::iter(pieces)) }
    }

    async fn collected(pieces: &[&'static str], limit: u64) -> Result<Bytes, RequestBodyError> {
        let pieces = pieces.iter().map(|piece| Ok((*piece).into())).collect();
        LimitedBody::new(payload(pieces), limit, PAUSE).collect().await
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
        let body = LimitedBody::new(payload(pieces), 10, PAUSE);
        assert_eq!(body.collect().await, Err(RequestBodyError::Broken));
    }

    #[tokio::test(start_paused = true)]
    async fn each_pause_counts_for_itself() {
        let tick = |count: u32| async move {
            tokio::time::sleep(if count == 3 { 2 * PAUSE } else { PAUSE * 2 / 3 }).await;
            Some((Ok(Bytes::from("x")), count + 1))
        };
        let pieces: BoxedPayloadStream = Box::pin(stream::unfold(0, tick));
        let payload = Payload::Stream { payload: pieces };
        let items: Vec<_> = LimitedBody::new(payload, 100, PAUSE).take(4).collect().await;
        assert!(items[..3].iter().all(Result::is_ok), "{items:?}");
        assert_eq!(items[3], Err(RequestBodyError::Timeout));
    }
}
