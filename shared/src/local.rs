//! A link within one thread: both ends in memory, with the frames and the rules of one between two processes.
//!
//! A flush hands all that was appended to the other end, by exchanging buffers, and wakes it. What an end has been handed
//! and has not taken is bounded: the flush is pending then, as with a socket whose peer does not read.

use std::cell::RefCell;
use std::io;
use std::marker::PhantomData;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};

use crate::frame::Decoder;
use crate::link::{LinkError, Transport};
use crate::message::Message;
use crate::room::Room;

/// The most bytes that wait for an end before its peer may hand it more; one flush may go beyond it.
pub const MAX_WAITING_BYTES: usize = 512 * 1024;

/// Parts of a buffer with more room than this, in bytes, are copied when they are short: they would keep all of it.
const LONG_BYTES: usize = 64 * 1024;

/// A payload up to this length, in bytes, is short.
const COPIED_BYTES: usize = 4 * 1024;

/// One direction of a link.
#[derive(Debug, Default)]
struct Lane {
    /// Whole frames that were handed over and are not taken yet.
    waiting: BytesMut,
    /// Who waits for frames.
    reader: Option<Waker>,
    /// Who waits for room.
    writer: Option<Waker>,
    /// One of the ends is gone.
    closed: bool,
}

impl Lane {
    fn close(&mut self) {
        self.closed = true;
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }
}

/// Remembers who waits.
fn remember(waiting: &mut Option<Waker>, context: &Context<'_>) {
    match waiting {
        Some(waker) => waker.clone_from(context.waker()),
        None => *waiting = Some(context.waker().clone()),
    }
}

/// One end of a link: sends `Out`, receives `In`. Stays on its thread. Dropping it closes the link: the peer still takes
/// what was flushed.
#[derive(Debug)]
pub struct LocalChannel<Out, In> {
    /// To the peer.
    away: Rc<RefCell<Lane>>,
    /// From the peer.
    here: Rc<RefCell<Lane>>,
    decoder: Decoder,
    outbound: BytesMut,
    room: Room,
    /// Whole frames that are not decoded yet.
    inbound: BytesMut,
    direction: PhantomData<fn(Out) -> In>,
}

impl<Out: Message, In: Message> LocalChannel<Out, In> {
    /// Both ends of a new link.
    pub fn pair() -> (Self, LocalChannel<In, Out>) {
        let (first, second) = (Rc::default(), Rc::default());
        (Self::new(Rc::clone(&first), Rc::clone(&second)), LocalChannel::new(second, first))
    }

    fn new(away: Rc<RefCell<Lane>>, here: Rc<RefCell<Lane>>) -> Self {
        Self {
            away,
            here,
            decoder: Decoder::without_preface(),
            outbound: BytesMut::new(),
            room: Room::default(),
            inbound: BytesMut::new(),
            direction: PhantomData,
        }
    }

    /// Takes what was handed over: bytes, or that nothing comes any more.
    fn poll_take(&mut self, context: &Context<'_>) -> Poll<usize> {
        let mut lane = self.here.borrow_mut();
        if lane.waiting.is_empty() {
            if lane.closed {
                return Poll::Ready(0);
            }
            remember(&mut lane.reader, context);
            return Poll::Pending;
        }
        std::mem::swap(&mut self.inbound, &mut lane.waiting);
        if let Some(writer) = lane.writer.take() {
            writer.wake();
        }
        Poll::Ready(self.inbound.len())
    }
}

impl<Out: Message, In: Message> Transport for LocalChannel<Out, In> {
    type Out = Out;
    type In = In;

    fn outbound(&mut self) -> &mut BytesMut {
        &mut self.outbound
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        if self.outbound.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let mut lane = self.away.borrow_mut();
        if lane.closed {
            return Poll::Ready(Err(io::Error::from(io::ErrorKind::BrokenPipe).into()));
        }
        if lane.waiting.len() >= MAX_WAITING_BYTES {
            remember(&mut lane.writer, context);
            return Poll::Pending;
        }
        self.room.holds(self.outbound.len());
        if lane.waiting.is_empty() {
            std::mem::swap(&mut self.outbound, &mut lane.waiting);
        } else {
            lane.waiting.extend_from_slice(&self.outbound);
        }
        if let Some(reader) = lane.reader.take() {
            reader.wake();
        }
        drop(lane);
        // Where buffers were exchanged it is the one that the peer has emptied.
        self.room.emptied(&mut self.outbound);
        Poll::Ready(Ok(()))
    }

    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<In>, LinkError>> {
        loop {
            if let Some(mut frame) = self.decoder.decode(&mut self.inbound)? {
                let is_short = (1..=COPIED_BYTES).contains(&frame.payload.len());
                if is_short && self.inbound.capacity() > LONG_BYTES {
                    frame.payload = Bytes::copy_from_slice(&frame.payload);
                }
                return Poll::Ready(Ok(Some(In::decode(frame)?)));
            }
            self.decoder.finish(&self.inbound)?;
            if std::task::ready!(self.poll_take(context)) == 0 {
                return Poll::Ready(Ok(None));
            }
        }
    }
}

impl<Out, In> Drop for LocalChannel<Out, In> {
    fn drop(&mut self) {
        self.away.borrow_mut().close();
        self.here.borrow_mut().close();
    }
}

#[cfg(test)]
mod tests;
