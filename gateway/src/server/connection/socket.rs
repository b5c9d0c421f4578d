//! The TCP stream of a client.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::runtime::Handle;

/// What a guarded connection asks of its stream.
pub trait Socket: AsyncRead + AsyncWrite + Unpin {
    /// Ready once the client has closed its side, also while bytes that came before are not read.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Makes the coming drop an abrupt end, which no client takes for the end of a whole response.
    fn reset(&mut self);
}

/// How long a closed connection may take to read its last answer.
const LINGER: Duration = Duration::from_secs(1);

/// How much of a closed connection's rest is read, in bytes.
const LINGER_BYTES: u64 = 1 << 20;

/// Connections of one thread that linger at a time, at most; more are closed at once.
const MAX_LINGERING: usize = 1024;

thread_local! {
    static LINGERING: Cell<usize> = const { Cell::new(0) };
}

/// A TCP stream that ends politely: a socket that is closed with bytes unread is reset, and the reset overtakes
/// the answer (RFC 9112 section 9.6). So the rest is read for a while first.
pub struct ClientSocket {
    /// `None` only within drop.
    halves: Option<Halves>,
    gone: Option<Pin<Box<dyn Future<Output = ()>>>>,
    has_ended: bool,
    is_reset: bool,
}

struct Halves {
    read: OwnedReadHalf,
    /// Shared with [`ClientSocket::gone`] alone.
    write: Rc<OwnedWriteHalf>,
}

impl fmt::Debug for ClientSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSocket").field("has_ended", &self.has_ended).finish_non_exhaustive()
    }
}

impl ClientSocket {
    /// Takes an accepted stream over.
    pub fn new(stream: TcpStream) -> Self {
        let (read, write) = stream.into_split();
        let halves = Halves { read, write: Rc::new(write) };
        Self { halves: Some(halves), gone: None, has_ended: false, is_reset: false }
    }

    fn stream(&self) -> io::Result<&TcpStream> {
        let halves = self.halves.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        Ok((*halves.write).as_ref())
    }

    fn poll_try_write(
        &mut self,
        cx: &mut Context<'_>,
        attempt: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let stream = self.stream()?;
            ready!(stream.poll_write_ready(cx))?;
            match attempt(stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => {
                    self.has_ended |= result.is_err();
                    return Poll::Ready(result);
                }
            }
        }
    }
}

impl AsyncRead for ClientSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let halves = this.halves.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let before = buffer.filled().len();
        let result = ready!(Pin::new(&mut halves.read).poll_read(cx, buffer));
        this.has_ended |= result.is_err() || (buffer.filled().len() == before && buffer.remaining() > 0);
        Poll::Ready(result)
    }
}

impl AsyncWrite for ClientSocket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_try_write(cx, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_try_write(cx, |stream| stream.try_write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Does nothing: the drop ends both directions, in its own order.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Socket for ClientSocket {
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(halves) = &self.halves else { return Poll::Ready(()) };
        let gone = self.gone.get_or_insert_with(|| {
            let write = Rc::clone(&halves.write);
            // Nothing else meets this interest: HTTP has no urgent data.
            Box::pin(async move { drop(write.ready(Interest::PRIORITY).await) })
        });
        ready!(gone.as_mut().poll(cx));
        self.gone = None;
        self.has_ended = true;
        Poll::Ready(())
    }

    fn reset(&mut self) {
        // Where the socket is gone already there is nothing left to tell.
        let _ = self.stream().and_then(TcpStream::set_zero_linger);
        self.is_reset = true;
    }
}

impl Drop for ClientSocket {
    fn drop(&mut self) {
        self.gone = None;
        let Some(Halves { read, write }) = self.halves.take() else { return };
        let Ok(write) = Rc::try_unwrap(write) else { return };
        if self.is_reset {
            // Without the clean end that dropping the half would send.
            write.forget();
            return;
        }
        if self.has_ended || LINGERING.get() >= MAX_LINGERING {
            return;
        }
        if let (Ok(stream), Ok(runtime)) = (read.reunite(write), Handle::try_current()) {
            LINGERING.set(LINGERING.get() + 1);
            runtime.spawn(async move {
                // A client that does not go is left behind.
                let _ = tokio::time::timeout(LINGER, linger(stream)).await;
                LINGERING.set(LINGERING.get().saturating_sub(1));
            });
        }
    }
}

async fn linger(mut stream: TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(LINGER_BYTES), &mut tokio::io::sink()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn connection() -> (ClientSocket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (ClientSocket::new(listener.accept().await.unwrap().0), client)
    }

    #[tokio::test]
    async fn the_last_answer_arrives_though_bytes_are_unread() {
        let (mut server, mut client) = connection().await;
        client.write_all(&[0; 100_000]).await.unwrap();
        server.write_all(b"answer").await.unwrap();
        drop(server);
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"answer");
    }

    #[tokio::test]
    async fn a_cut_response_does_not_end_cleanly() {
        let (mut server, mut client) = connection().await;
        server.write_all(b"half").await.unwrap();
        let mut half = [0; 4];
        client.read_exact(&mut half).await.unwrap();
        server.reset();
        drop(server);
        let error = client.read(&mut half).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn a_client_that_went_away_is_noticed_behind_unread_bytes() {
        let (mut server, mut client) = connection().await;
        client.write_all(&[0; 1000]).await.unwrap();
        let mut some = [0; 10];
        server.read_exact(&mut some).await.unwrap();
        assert!(std::future::poll_fn(|cx| Poll::Ready(server.poll_gone(cx))).await.is_pending());
        drop(client);
        std::future::poll_fn(|cx| server.poll_gone(cx)).await;
    }
}
