//! Deadlines around a client's stream.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::socket::Socket;
use super::{ConnectionState, Patience};

/// A stream to a client with deadlines. One timer serves all of them: it is moved only when a nearer deadline
/// appears, and looks again when it fires.
#[derive(Debug)]
pub struct Guarded<S: Socket> {
    socket: S,
    timer: Pin<Box<Sleep>>,
    patience: Patience,
    state: Rc<ConnectionState>,
    write_since: Option<Instant>,
    /// Whether the socket wakes the reader when something comes. Not so while actix-http holds as much as it
    /// wants to hold: then only [`Socket::poll_gone`] tells of a client that went away.
    is_reading: bool,
}

/// What answers a head that does not end; nothing else is under way then.
const TIMEOUT_ANSWER: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

impl<S: Socket> Guarded<S> {
    /// Guards `socket`.
    pub fn new(socket: S, patience: Patience) -> Self {
        let timer = Box::pin(tokio::time::sleep(patience.head.max(patience.write)));
        let state = Rc::new(ConnectionState::default());
        Self { socket, timer, patience, state, write_since: None, is_reading: true }
    }

    /// What the layers of this connection share.
    pub fn state(&self) -> &Rc<ConnectionState> {
        &self.state
    }

    /// Pending while there is patience left; then the error that ends the connection.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            let reading = self.state.deadline(self.patience);
            let writing = self.write_since.map(|since| since + self.patience.write);
            let nearest = [reading, writing].into_iter().flatten().min();
            let now = Instant::now();
            if nearest.is_some_and(|deadline| deadline <= now) {
                if self.write_since.is_none() && self.state.is_within_head() {
                    // Whether the client still reads is its own affair.
                    let _ = Pin::new(&mut self.socket).poll_write(cx, TIMEOUT_ANSWER);
                }
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            }
            let fires = self.timer.deadline();
            if fires <= now {
                let again = now + self.patience.head.max(self.patience.write);
                self.timer.as_mut().reset(nearest.unwrap_or(again).min(again));
            } else if let Some(nearer) = nearest.filter(|deadline| *deadline < fires) {
                self.timer.as_mut().reset(nearer);
            }
            ready!(self.timer.as_mut().poll(cx));
        }
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
        if buffer.filled().len() > before {
            this.state.received();
        }
        read
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

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::timeout;

    use super::*;

    impl Socket for DuplexStream {
        fn poll_gone(&mut self, _: &mut Context<'_>) -> Poll<()> {
            Poll::Pending
        }

        fn reset(&mut self) {}
    }

    const PATIENCE: Patience = Patience {
        head: Duration::from_secs(10),
        idle: Duration::from_secs(60),
        write: Duration::from_secs(30),
    };

    fn connection() -> (Guarded<DuplexStream>, Rc<ConnectionState>, DuplexStream) {
        let (server, client) = duplex(128);
        let guarded = Guarded::new(server, PATIENCE);
        let state = Rc::clone(guarded.state());
        (guarded, state, client)
    }

    #[tokio::test(start_paused = true)]
    async fn a_later_head_that_does_not_end_is_answered_408() {
        let (mut server, state, mut client) = connection();
        state.begin();
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
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_may_take_as_long_as_it_takes() {
        let (mut server, state, _client) = connection();
        state.begin();
        let mut buffer = [0; 128];
        assert!(timeout(Duration::from_secs(3600), server.read(&mut buffer)).await.is_err());
        state.end();
        let error = timeout(Duration::from_secs(100), server.read(&mut buffer)).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_cut() {
        let (mut server, state, _client) = connection();
        state.begin();
        let error = server.write_all(&[0; 200]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_slowly_is_not() {
        let (mut server, state, mut client) = connection();
        state.begin();
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
