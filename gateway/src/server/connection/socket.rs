//! The stream of a client: TCP, or a Unix socket.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream, tcp, unix};
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

/// A stream that was accepted.
#[derive(Debug)]
pub enum ClientStream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a Unix socket.
    Unix(UnixStream),
}

impl From<TcpStream> for ClientStream {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

impl From<UnixStream> for ClientStream {
    fn from(stream: UnixStream) -> Self {
        Self::Unix(stream)
    }
}

/// A stream that ends politely: a socket that is closed with bytes unread is reset, and the reset overtakes
/// the answer (RFC 9112 section 9.6). So the rest is read for a while first.
pub struct ClientSocket {
    /// `None` only within drop.
    halves: Option<Halves>,
    gone: Option<Pin<Box<dyn Future<Output = ()>>>>,
    has_ended: bool,
    is_reset: bool,
}

/// The writing half is shared with [`ClientSocket::gone`] alone.
enum Halves {
    Tcp { read: tcp::OwnedReadHalf, write: Rc<tcp::OwnedWriteHalf> },
    Unix { read: unix::OwnedReadHalf, write: Rc<unix::OwnedWriteHalf> },
}

/// The same on both kinds of halves.
macro_rules! on_either {
    ($halves:expr, $read:pat, $write:pat => $do:expr) => {
        match $halves {
            Halves::Tcp { read: $read, write: $write } => $do,
            Halves::Unix { read: $read, write: $write } => $do,
        }
    };
}

impl fmt::Debug for ClientSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSocket").field("has_ended", &self.has_ended).finish_non_exhaustive()
    }
}

impl ClientSocket {
    /// Takes an accepted stream over.
    pub fn new(stream: impl Into<ClientStream>) -> Self {
        let halves = match stream.into() {
            ClientStream::Tcp(stream) => {
                let (read, write) = stream.into_split();
                Halves::Tcp { read, write: Rc::new(write) }
            }
            ClientStream::Unix(stream) => {
                let (read, write) = stream.into_split();
                Halves::Unix { read, write: Rc::new(write) }
            }
        };
        Self { halves: Some(halves), gone: None, has_ended: false, is_reset: false }
    }

    fn halves(&self) -> io::Result<&Halves> {
        self.halves.as_ref().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn noted(&mut self, written: io::Result<usize>) -> Poll<io::Result<usize>> {
        self.has_ended |= written.is_err();
        Poll::Ready(written)
    }
}

/// Tries until it works or the socket takes nothing more.
macro_rules! poll_try_write {
    ($socket:expr, $cx:expr, $stream:ident => $attempt:expr) => {
        loop {
            let written = on_either!($socket.halves()?, _, write => {
                let $stream = (**write).as_ref();
                ready!($stream.poll_write_ready($cx))?;
                $attempt
            });
            match written {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return $socket.noted(written),
            }
        }
    };
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
        let result = ready!(on_either!(halves, read, _ => Pin::new(read).poll_read(cx, buffer)));
        this.has_ended |= result.is_err() || (buffer.filled().len() == before && buffer.remaining() > 0);
        Poll::Ready(result)
    }
}

impl AsyncWrite for ClientSocket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        poll_try_write!(self, cx, stream => stream.try_write(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        poll_try_write!(self, cx, stream => stream.try_write_vectored(slices))
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
        // Nothing else meets this interest: HTTP has no urgent data.
        let gone = self.gone.get_or_insert_with(|| match halves {
            Halves::Tcp { write, .. } => {
                let write = Rc::clone(write);
                Box::pin(async move { drop(write.ready(Interest::PRIORITY).await) })
            }
            Halves::Unix { write, .. } => {
                let write = Rc::clone(write);
                Box::pin(async move { drop(write.ready(Interest::PRIORITY).await) })
            }
        });
        ready!(gone.as_mut().poll(cx));
        self.gone = None;
        self.has_ended = true;
        Poll::Ready(())
    }

    /// A Unix socket has no such end: its client must know the length of what it reads.
    fn reset(&mut self) {
        if let Some(Halves::Tcp { write, .. }) = &self.halves {
            let stream: &TcpStream = (**write).as_ref();
            // Where the socket is gone already there is nothing left to tell.
            let _ = stream.set_zero_linger();
        }
        self.is_reset = true;
    }
}

impl Drop for ClientSocket {
    fn drop(&mut self) {
        self.gone = None;
        let may_linger = !self.has_ended && LINGERING.get() < MAX_LINGERING;
        let is_reset = self.is_reset;
        let Some(halves) = self.halves.take() else { return };
        on_either!(halves, read, write => {
            let Ok(write) = Rc::try_unwrap(write) else { return };
            if is_reset {
                // Without the clean end that dropping the half would send.
                write.forget();
            } else if may_linger && let (Ok(stream), Ok(runtime)) = (read.reunite(write), Handle::try_current()) {
                LINGERING.set(LINGERING.get() + 1);
                runtime.spawn(async move {
                    // A client that does not go is left behind.
                    let _ = tokio::time::timeout(LINGER, linger(stream)).await;
                    LINGERING.set(LINGERING.get().saturating_sub(1));
                });
            }
        });
    }
}

async fn linger(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
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
