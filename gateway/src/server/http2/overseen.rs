//! What h2 answers by itself: a list of header fields beyond the limit, with 431. No layer of ours sees that request, so
//! the answer is noticed on its way out: it belongs to a stream that was never taken from h2.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::error::Cause;
use crate::server::connection::refusal::Refusals;

/// The length of a frame's head (RFC 9113, section 4.1).
const HEAD_BYTES: usize = 9;

/// The type of the frame that begins a response (RFC 9113, section 6.2).
const HEADERS: u8 = 1;

/// Streams that are told apart; an older one counts as taken.
const WINDOW: u32 = 1024;

/// Which streams of a connection were taken from h2.
#[derive(Debug)]
pub(super) struct Taken {
    newest: Cell<u32>,
    bits: RefCell<[u64; (WINDOW / u64::BITS) as usize]>,
}

impl Default for Taken {
    fn default() -> Self {
        Self { newest: Cell::new(0), bits: RefCell::new([0; (WINDOW / u64::BITS) as usize]) }
    }
}

impl Taken {
    /// Notes a stream that was taken. The ids of clients' streams are odd and grow.
    pub fn take(&self, stream: u32) {
        let number = stream / 2;
        let mut bits = self.bits.borrow_mut();
        let newest = self.newest.get();
        for passed in (newest + 1..=number).rev().take(WINDOW as usize) {
            let (word, bit) = place(passed);
            bits[word] &= !bit;
        }
        self.newest.set(newest.max(number));
        let (word, bit) = place(number);
        bits[word] |= bit;
    }

    fn has(&self, stream: u32) -> bool {
        let number = stream / 2;
        let (word, bit) = place(number);
        match self.newest.get().checked_sub(number) {
            None => false,
            Some(age) => age >= WINDOW || self.bits.borrow()[word] & bit != 0,
        }
    }
}

/// Where the bit of a stream's number is.
fn place(number: u32) -> (usize, u64) {
    let at = number % WINDOW;
    ((at / u64::BITS) as usize, 1 << (at % u64::BITS))
}

/// Finds the heads of frames in what is written.
#[derive(Debug, Default)]
struct FrameScan {
    head: [u8; HEAD_BYTES],
    known: usize,
    /// What is left of a frame's payload.
    payload: usize,
}

impl FrameScan {
    /// Goes on with `bytes`; `on_frame` hears the type of each frame, and its stream.
    fn take(&mut self, mut bytes: &[u8], mut on_frame: impl FnMut(u8, u32)) {
        while !bytes.is_empty() {
            let passed = self.payload.min(bytes.len());
            (self.payload, bytes) = (self.payload - passed, &bytes[passed..]);
            let more = (HEAD_BYTES - self.known).min(bytes.len());
            self.head[self.known..self.known + more].copy_from_slice(&bytes[..more]);
            (self.known, bytes) = (self.known + more, &bytes[more..]);
            if self.known == HEAD_BYTES {
                let [l0, l1, l2, kind, _, s0, s1, s2, s3] = self.head;
                self.payload = u32::from_be_bytes([0, l0, l1, l2]) as usize;
                self.known = 0;
                on_frame(kind, u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]));
            }
        }
    }
}

/// A stream to a client, of which the writing is looked at.
#[derive(Debug)]
pub(super) struct Overseen<Io> {
    io: Io,
    scan: FrameScan,
    taken: Rc<Taken>,
    refusals: Refusals,
    client: Option<IpAddr>,
}

impl<Io> Overseen<Io> {
    /// Looks at what h2 writes to `io` on streams that are not `taken`.
    pub fn new(io: Io, taken: Rc<Taken>, refusals: Refusals, client: Option<IpAddr>) -> Self {
        Self { io, scan: FrameScan::default(), taken, refusals, client }
    }

    fn written(&mut self, bytes: &[u8]) {
        let Self { scan, taken, refusals, client, .. } = self;
        scan.take(bytes, |kind, stream| {
            if kind == HEADERS && !taken.has(stream) {
                refusals.note(Cause::HeadTooLarge, *client);
            }
        });
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Overseen<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Overseen<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, bytes))?;
        self.written(&bytes[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, slices))?;
        let mut left = written;
        for slice in slices {
            let length = slice.len().min(left);
            self.written(&slice[..length]);
            left -= length;
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, stream: u32, payload: usize) -> Vec<u8> {
        let mut frame = u32::try_from(payload).unwrap().to_be_bytes()[1..].to_vec();
        frame.extend([kind, 5]);
        frame.extend(stream.to_be_bytes());
        frame.resize(HEAD_BYTES + payload, HEADERS);
        frame
    }

    #[test]
    fn frames_are_found_wherever_writes_are_split() {
        let frames = [(4, 0, 18), (HEADERS, 1, 5), (0, 1, 1000), (0, 1, 0), (HEADERS, 3, 1)];
        let bytes: Vec<u8> =
            frames.iter().flat_map(|(kind, stream, payload)| frame(*kind, *stream, *payload)).collect();
        for split in 0..bytes.len() {
            let (mut scan, mut found) = (FrameScan::default(), Vec::new());
            for part in [&bytes[..split], &bytes[split..]] {
                scan.take(part, |kind, stream| found.push((kind, stream)));
            }
            assert_eq!(found, frames.map(|(kind, stream, _)| (kind, stream)), "split at {split}");
        }
    }

    #[test]
    fn streams_that_were_taken_are_told_from_those_that_were_passed_by() {
        let taken = Taken::default();
        assert!(!taken.has(1));
        taken.take(1);
        taken.take(5);
        assert!(taken.has(1) && !taken.has(3) && taken.has(5) && !taken.has(7));
        taken.take(4001);
        assert!(taken.has(4001) && !taken.has(3999), "what was between them was not");
        assert!(taken.has(5) && taken.has(3), "too old to be told apart");
        for stream in (1..20_000).step_by(2).filter(|stream| stream % 3 != 0) {
            taken.take(stream);
        }
        assert!(taken.has(19_997) && !taken.has(19_995) && taken.has(19_999) && !taken.has(20_001));
    }
}
