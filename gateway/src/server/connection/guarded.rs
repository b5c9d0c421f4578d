//! Deadlines and the limit of a head around a client's stream.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::head::HeadScan;
use super::socket::Socket;
use super::{ConnectionState, Rules};

/// A stream to a client with deadlines. One timer serves all of them: it is moved only when a nearer deadline
/// appears, and looks again when it fires.
#[derive(Debug)]
pub struct Guarded<S: Socket> {
    socket: S,
    timer: Pin<Box<Sleep>>,
    rules: Rc<Rules>,
    state: Rc<ConnectionState>,
    /// The head that is coming; starts anew after each request.
    head: Option<HeadScan>,
    write_since: Option<Instant>,
    /// Whether the socket wakes the reader when something comes. Not so while actix-http holds as much as it
    /// wants to hold: then only [`Socket::poll_gone`] tells of a client that went away.
    is_reading: bool,
}

/// What answers a head that does not end; nothing else is under way then.
const TOO_SLOW: &[u8] = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// What answers a head that is too long; nothing else is under way then.
const TOO_LARGE: &[u8] =
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

impl<S: Socket> Guarded<S> {
    /// Guards `socket`.
    pub fn new(socket: S, rules: Rc<Rules>) -> Self {
        let timer = Box::pin(tokio::time::sleep(rules.patience.head.max(rules.patience.write)));
        let state = Rc::new(ConnectionState::default());
        Self { socket, timer, rules, state, head: None, write_since: None, is_reading: true }
    }

    /// What the layers of this connection share.
    pub fn state(&self) -> &Rc<ConnectionState> {
        &self.state
    }

    /// Pending while there is patience left; then the error that ends the connection.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            let patience = self.rules.patience;
            let reading = self.state.deadline(patience);
            let writing = self.write_since.map(|since| since + patience.write);
            let nearest = [reading, writing].into_iter().flatten().min();
            let now = Instant::now();
            if nearest.is_some_and(|deadline| deadline <= now) {
                if self.write_since.is_none() && self.state.is_within_head() {
                    self.rules.head_slow.inc();
                    self.answer(cx, TOO_SLOW);
                }
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            }
            let fires = self.timer.deadline();
            if fires <= now {
                let again = now + patience.head.max(patience.write);
                self.timer.as_mut().reset(nearest.unwrap_or(again).min(again));
            } else if let Some(nearer) = nearest.filter(|deadline| *deadline < fires) {
                self.timer.as_mut().reset(nearer);
            }
            ready!(self.timer.as_mut().poll(cx));
        }
    }

    /// Whether the client still reads is its own affair.
    fn answer(&mut self, cx: &mut Context<'_>, answer: &[u8]) {
        let _ = Pin::new(&mut self.socket).poll_write(cx, answer);
    }

    /// Notes what came. An error when it is a head beyond its limit.
    fn received(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.state.received();
        if !self.state.awaits_head() {
            self.head = None;
            return Ok(());
        }
        if self.head.get_or_insert_default().take(bytes) > self.rules.head_limit {
            self.rules.head_too_large.inc();
            self.answer(cx, TOO_LARGE);
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(())
    }

    fn noted<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.write_since = None;
            return written;
        }
        self.write_since.get_or_insert_with(Instant::now);
        self.poll_patience(cx).map(Err)
    }
}

impl<S: Socket> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.socket).poll_read(cx, buffer);
        this.is_reading = read.is_pending();
        if read.is_pending() {
            return this.poll_patience(cx).map(Err);
        }
        ready!(read)?;
        Poll::Ready(this.received(cx, &buffer.filled()[before..]))
    }
}

impl<S: Socket> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.noted(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, slices);
        self.noted(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    /// Also where a client that went away is noticed while nothing is read: actix-http flushes on every turn.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.is_reading && this.state.is_answering() && this.socket.poll_gone(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut this.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

impl<S: Socket> Drop for Guarded<S> {
    fn drop(&mut self) {
        if self.state.is_cut() {
            self.socket.reset();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prometheus::IntCounter;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::timeout;

    use super::*;
    use crate::server::connection::Patience;

    impl Socket for DuplexStream {
        fn poll_gone(&mut self, _: &mut Context<'_>) -> Poll<()> {
            Poll::Pending
        }

        fn reset(&mut self) {}
    }

    fn rules() -> Rc<Rules> {
        let seconds = Duration::from_secs;
        let patience = Patience { head: seconds(10), idle: seconds(60), write: seconds(30) };
        let counter = |name| IntCounter::new(name, name).unwrap();
        Rc::new(Rules {
            patience,
            head_limit: 100,
            head_too_large: counter("large"),
            head_slow: counter("slow"),
        })
    }

    fn connection() -> (Guarded<DuplexStream>, Rc<ConnectionState>, DuplexStream) {
        let (server, client) = duplex(128);
        let guarded = Guarded::new(server, rules());
        let state = Rc::clone(guarded.state());
        (guarded, state, client)
    }

    #[tokio::test(start_paused = true)]
    async fn a_later_head_that_does_not_end_is_answered_408() {
        let (mut server, state, mut client) = connection();
        state.begin(false);
        state.end();
        client.write_all(b"GET /").await.unwrap();
        let started = Instant::now();
        let mut buffer = [0; 128];
        assert_eq!(server.read(&mut buffer).await.unwrap(), 5);
        let error = server.read(&mut buffer).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(started.elapsed().as_secs(), 10);
        assert!(client.read(&mut buffer).await.unwrap() > 0);
        assert!(buffer.starts_with(b"HTTP/1.1 408 "));
        assert_eq!(server.rules.head_slow.get(), 1);
    }

    #[tokio::test]
    async fn a_head_beyond_its_limit_is_answered_431_and_a_body_is_not() {
        let (mut server, state, mut client) = connection();
        let (mut buffer, long) = ([0; 128], [b'x'; 101]);
        client.write_all(b"POST / HTTP/1.1\r\n\r\n").await.unwrap();
        client.write_all(&long).await.unwrap();
        assert_eq!(server.read(&mut buffer).await.unwrap(), 120);
        state.begin(true);
        state.end();
        client.write_all(&long).await.unwrap();
        assert_eq!(server.read(&mut buffer).await.unwrap(), 101, "the rest of the body");
        state.begin(false);
        state.end();
        client.write_all(&long[..60]).await.unwrap();
        assert_eq!(server.read(&mut buffer).await.unwrap(), 60);
        client.write_all(&long[..60]).await.unwrap();
        assert_eq!(server.read(&mut buffer).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert!(client.read(&mut buffer).await.unwrap() > 0);
        assert!(buffer.starts_with(b"HTTP/1.1 431 "));
        assert_eq!(server.rules.head_too_large.get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_may_take_as_long_as_it_takes() {
        let (mut server, state, _client) = connection();
        state.begin(false);
        let mut buffer = [0; 128];
        assert!(timeout(Duration::from_secs(3600), server.read(&mut buffer)).await.is_err());
        state.end();
        let error = timeout(Duration::from_secs(100), server.read(&mut buffer)).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_cut() {
        let (mut server, state, _client) = connection();
        state.begin(false);
        let error = server.write_all(&[0; 200]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_slowly_is_not() {
        let (mut server, state, mut client) = connection();
        state.begin(false);
        let reading = async {
            let mut byte = [0; 1];
            for _ in 0..200 {
                tokio::time::sleep(Duration::from_secs(20)).await;
                client.read_exact(&mut byte).await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(server.write_all(&[0; 200]), reading);
        written.unwrap();
    }
}
