//! A link: typed messages in both directions over one Unix stream socket.
//!
//! Writes are batched: [`Channel::queue`] only appends, [`Channel::poll_flush`] hands all that came together
//! to the kernel at once. What is queued is bounded by the windows of the jobs on the link, so there is no
//! queue to overflow here.

use std::io;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;

use crate::frame::{Decoder, FrameError, HEADER_BYTES, PREFACE};
use crate::message::Message;
use crate::room::Room;
use crate::window::MAX_CHUNK_BYTES;
use crate::wire::PayloadError;

/// Room for what is read from the socket at a time while messages are small, in bytes. Below what makes glibc give memory
/// back with each `free` (64 KiB).
const SMALL_READ_BYTES: usize = 32 * 1024;

/// Less room than this is not read into then: messages that are still looked at keep what was read, and more is taken.
const LEAST_READ_BYTES: usize = 4 * 1024;

/// And while bodies come in long pieces: one of them whole, so that it is not moved while the rest of it comes.
const LARGE_READ_BYTES: usize = MAX_CHUNK_BYTES + 2 * HEADER_BYTES;

/// A payload up to this length, in bytes, is copied out of a long buffer, all of which it would keep.
const COPIED_BYTES: usize = 4 * 1024;

/// Why a link ended other than by its peer's clean close.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The socket failed.
    #[error("the socket failed")]
    Io(#[from] io::Error),
    /// The bytes are no frames.
    #[error("the stream is out of step")]
    Frame(#[from] FrameError),
    /// A frame is no message of this direction.
    #[error("a message does not decode")]
    Payload(#[from] PayloadError),
}

/// What carries a link's frames to whoever answers them: a socket to one process on this machine, or a message
/// broker to many on others.
pub trait Transport {
    /// What is sent.
    type Out: Message;
    /// What comes back.
    type In;

    /// Where frames are appended; they leave with the next flush.
    fn outbound(&mut self) -> &mut BytesMut;

    /// Hands on what was appended. Pending when no more is taken; the waker is registered then.
    ///
    /// # Errors
    /// [`LinkError`] when the other side is gone for good.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>>;

    /// The next message; `None` after the other side's clean close.
    ///
    /// # Errors
    /// [`LinkError`]; the link is unusable afterwards.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Self::In>, LinkError>>;

    /// The other side broke a rule with this call. Says whether that call is ended alone; else the whole link must
    /// be, as with a peer that is one process.
    fn end_violator(&mut self, _id: u64) -> bool {
        false
    }
}

impl<Out: Message, In: Message> Transport for Channel<Out, In> {
    type Out = Out;
    type In = In;

    fn outbound(&mut self) -> &mut BytesMut {
        Self::outbound(self)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        Self::poll_flush(self, cx)
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<In>, LinkError>> {
        Self::poll_receive(self, cx)
    }
}

/// One side of a link: sends `Out`, receives `In`.
#[derive(Debug)]
pub struct Channel<Out, In> {
    stream: UnixStream,
    decoder: Decoder,
    inbound: BytesMut,
    /// How much room the next read makes.
    read_bytes: usize,
    /// What `inbound` is a part of is long.
    is_long: bool,
    outbound: BytesMut,
    room: Room,
    direction: PhantomData<fn(Out) -> In>,
}

impl<Out: Message, In: Message> Channel<Out, In> {
    /// Opens this side of a link; the preface goes out with the first flush.
    pub fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            decoder: Decoder::new(),
            inbound: BytesMut::new(),
            read_bytes: SMALL_READ_BYTES,
            is_long: false,
            outbound: BytesMut::from(&PREFACE[..]),
            room: Room::default(),
            direction: PhantomData,
        }
    }

    /// Both ends of a new link.
    ///
    /// # Errors
    /// When the process has no file descriptors left.
    pub fn pair() -> io::Result<(Self, Channel<In, Out>)> {
        let (here, there) = UnixStream::pair()?;
        Ok((Self::new(here), Channel::new(there)))
    }

    /// Appends a message; it leaves with the next flush.
    pub fn queue(&mut self, message: &Out) {
        message.encode(&mut self.outbound);
    }

    /// Where encoders that need no message value append their frames.
    pub fn outbound(&mut self) -> &mut BytesMut {
        &mut self.outbound
    }

    /// Whether bytes wait for a flush.
    pub fn has_queued(&self) -> bool {
        !self.outbound.is_empty()
    }

    /// Writes what is queued. Pending when the socket takes no more; the waker is registered then.
    ///
    /// # Errors
    /// [`LinkError::Io`] when the other side is gone.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        self.room.holds(self.outbound.len());
        while !self.outbound.is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, &self.outbound))? {
                0 => return Poll::Ready(Err(io::Error::from(io::ErrorKind::WriteZero).into())),
                written => self.outbound.advance(written),
            }
        }
        self.room.emptied(&mut self.outbound);
        Poll::Ready(Ok(()))
    }

    /// The next message; `None` after the other side's clean close.
    ///
    /// # Errors
    /// [`LinkError`]; the link is unusable afterwards.
    pub fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<In>, LinkError>> {
        loop {
            if let Some(mut frame) = self.decoder.decode(&mut self.inbound)? {
                if frame.payload.len() >= SMALL_READ_BYTES {
                    self.read_bytes = LARGE_READ_BYTES;
                } else if self.is_long && (1..=COPIED_BYTES).contains(&frame.payload.len()) {
                    frame.payload = Bytes::copy_from_slice(&frame.payload);
                }
                return Poll::Ready(Ok(Some(In::decode(frame)?)));
            }
            if ready!(self.poll_read(cx))? == 0 {
                self.decoder.finish(&self.inbound)?;
                return Poll::Ready(Ok(None));
            }
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let room = self.inbound.capacity();
        let least = if self.read_bytes == SMALL_READ_BYTES { LEAST_READ_BYTES } else { self.read_bytes };
        if room - self.inbound.len() < least {
            self.inbound.reserve(self.read_bytes);
        }
        // Also the decoder may have made room, for a long frame.
        if self.inbound.capacity() > 2 * SMALL_READ_BYTES {
            self.is_long = true;
        } else if self.inbound.capacity() > room {
            self.is_long = false;
        }
        let mut buffer = ReadBuf::uninit(self.inbound.spare_capacity_mut());
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        let read = buffer.filled().len();
        if read < SMALL_READ_BYTES {
            self.read_bytes = SMALL_READ_BYTES;
        }
        // SAFETY: `poll_read` has initialised the first `read` bytes of the spare capacity.
        unsafe { self.inbound.set_len(self.inbound.len() + read) };
        Poll::Ready(Ok(read))
    }

    /// Sends one message and waits until the kernel has it. For control links, where nothing is batched.
    ///
    /// # Errors
    /// [`LinkError::Io`] when the other side is gone.
    pub async fn send(&mut self, message: &Out) -> Result<(), LinkError> {
        self.queue(message);
        self.flush().await
    }

    /// Waits until all that is queued has been written.
    ///
    /// # Errors
    /// [`LinkError::Io`] when the other side is gone.
    pub async fn flush(&mut self) -> Result<(), LinkError> {
        std::future::poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Waits for the next message; `None` after the other side's clean close. Cancel-safe.
    ///
    /// # Errors
    /// [`LinkError`]; the link is unusable afterwards.
    pub async fn receive(&mut self) -> Result<Option<In>, LinkError> {
        std::future::poll_fn(|cx| self.poll_receive(cx)).await
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::message::{FromRenderer, ToRenderer};
    use crate::room::{KEEP_BYTES, MOST_KEEP_BYTES};
    use crate::window::INITIAL_WINDOW;

    type Gateway = Channel<ToRenderer, FromRenderer>;

    #[tokio::test]
    async fn messages_arrive_in_order_and_the_close_is_clean() {
        let (mut gateway, mut isolate) = Gateway::pair().unwrap();
        let chunk = |id| ToRenderer::Body { id, bytes: vec![7; 60_000].into() };
        let sending = async {
            for id in 0..100 {
                gateway.send(&chunk(id)).await.unwrap();
            }
            drop(gateway);
        };
        let receiving = async {
            for id in 0..100 {
                assert_eq!(isolate.receive().await.unwrap(), Some(chunk(id)));
            }
            assert_eq!(isolate.receive().await.unwrap(), None);
        };
        tokio::join!(sending, receiving);
    }

    #[tokio::test]
    async fn what_is_small_keeps_nothing_of_what_is_large() {
        let (mut gateway, mut isolate) = Gateway::pair().unwrap();
        let chunk = |length| ToRenderer::Body { id: 1, bytes: vec![7; length].into() };
        let sending = async {
            for _ in 0..20 {
                gateway.queue(&chunk(MAX_CHUNK_BYTES));
                gateway.queue(&chunk(10));
            }
            gateway.flush().await.unwrap();
            drop(gateway);
        };
        let receiving = async {
            let mut kept = Vec::new();
            while let Some(message) = isolate.receive().await.unwrap() {
                let ToRenderer::Body { bytes, .. } = message else { panic!("{message:?}") };
                kept.push(bytes);
            }
            kept
        };
        let ((), kept) = tokio::join!(sending, receiving);
        assert_eq!(kept.iter().map(Bytes::len).sum::<usize>(), 20 * (MAX_CHUNK_BYTES + 10));
        // The first ones came before anything long had.
        let small = kept.iter().filter(|bytes| bytes.len() == 10).skip(1);
        assert!(small.clone().count() > 0 && small.into_iter().all(Bytes::is_unique));
    }

    #[tokio::test]
    async fn memory_is_kept_for_what_is_usual_and_given_back_after_a_burst() {
        let (mut gateway, mut isolate) = Gateway::pair().unwrap();
        let received = tokio::spawn(async move { while isolate.receive().await.unwrap().is_some() {} });
        let mut kept = Vec::new();
        // A window at a time, then far more at once, then little.
        for chunks in [4, 4, 4, 64, 1, 1, 1, 1, 1] {
            for _ in 0..chunks {
                gateway.queue(&ToRenderer::Body { id: 1, bytes: vec![7; MAX_CHUNK_BYTES].into() });
            }
            gateway.flush().await.unwrap();
            kept.push(gateway.outbound.capacity());
        }
        drop(gateway);
        received.await.unwrap();
        assert!(kept[2] >= INITIAL_WINDOW && kept[2] <= MOST_KEEP_BYTES, "{kept:?}");
        assert_eq!(kept[3], 0, "{kept:?}");
        assert!(kept.iter().all(|room| *room <= MOST_KEEP_BYTES) && kept[8] <= KEEP_BYTES, "{kept:?}");
    }

    #[tokio::test]
    async fn a_peer_that_dies_inside_a_frame_is_an_error() {
        let (gateway, mut other) = UnixStream::pair().unwrap();
        let mut gateway = Gateway::new(gateway);
        other.write_all(&PREFACE).await.unwrap();
        other.write_all(&[200, 0, 0, 0, 2]).await.unwrap();
        drop(other);
        assert!(matches!(gateway.receive().await, Err(LinkError::Frame(FrameError::Truncated { .. }))));
    }
}
