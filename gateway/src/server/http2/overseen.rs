//! What h2 answers by itself: a list of header fields beyond the limit, with 431, and a head that is none, with a reset.
//! No layer of ours sees that request, so the answer is noticed on its way out: it belongs to a stream that was never
//! taken from h2.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use h2::Reason;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::error::Cause;
use crate::server::connection::refusal::Refusals;

/// The length of a frame's head (RFC 9113, section 4.1).
const HEAD_BYTES: usize = 9;

/// The type of the frame that begins a response (RFC 9113, section 6.2).
const HEADERS: u8 = 1;

/// The type of the frame that resets a stream, whose payload is the reason's code (RFC 9113, section 6.4).
const RST_STREAM: u8 = 3;

/// The length of a reason's code.
const CODE_BYTES: usize = 4;

/// Streams that are told apart; an older one counts as taken.
const WINDOW: u32 = 1024;

/// Which streams of a connection were taken from h2.
#[derive(Debug)]
pub(super) struct Taken {
    newest: Cell<u32>,
    bits: RefCell<[u64; (WINDOW / u64::BITS) as usize]>,
    /// Those that h2 has reset before they were taken, if they are ever to be.
    reset: RefCell<Vec<u32>>,
}

impl Default for Taken {
    fn default() -> Self {
        let bits = RefCell::new([0; (WINDOW / u64::BITS) as usize]);
        Self { newest: Cell::new(0), bits, reset: RefCell::default() }
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

    /// How many streams h2 has reset since the last look, for heads that are none. To be called when h2 has no more
    /// streams to be taken: a body that is none may have come with its head.
    pub fn heads_reset(&self) -> usize {
        let mut reset = self.reset.borrow_mut();
        reset.drain(..).filter(|stream| !self.has(*stream)).count()
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

/// A frame, as far as it counts here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Frame {
    kind: u8,
    stream: u32,
    /// The code of a reset.
    code: Option<u32>,
}

/// Finds the heads of frames in what is written.
#[derive(Debug, Default)]
struct FrameScan {
    head: [u8; HEAD_BYTES + CODE_BYTES],
    known: usize,
    /// What is left of a frame's payload.
    payload: usize,
}

impl FrameScan {
    /// Goes on with `bytes`; `on_frame` hears of each frame.
    fn take(&mut self, mut bytes: &[u8], mut on_frame: impl FnMut(Frame)) {
        while !bytes.is_empty() {
            let passed = self.payload.min(bytes.len());
            (self.payload, bytes) = (self.payload - passed, &bytes[passed..]);
            let more = (self.wanted() - self.known).min(bytes.len());
            self.head[self.known..self.known + more].copy_from_slice(&bytes[..more]);
            (self.known, bytes) = (self.known + more, &bytes[more..]);
            let wanted = self.wanted();
            if self.known == wanted {
                let [l0, l1, l2, kind, _, s0, s1, s2, s3, code @ ..] = self.head;
                let length = u32::from_be_bytes([0, l0, l1, l2]) as usize;
                self.payload = length.saturating_sub(wanted - HEAD_BYTES);
                self.known = 0;
                let code = (wanted > HEAD_BYTES).then(|| u32::from_be_bytes(code));
                on_frame(Frame { kind, stream: u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]), code });
            }
        }
    }

    /// How much of the frame is looked at, as far as it is known.
    fn wanted(&self) -> usize {
        let is_reset = self.known >= HEAD_BYTES && self.head[3] == RST_STREAM;
        if is_reset { HEAD_BYTES + CODE_BYTES } else { HEAD_BYTES }
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
        scan.take(bytes, |Frame { kind, stream, code }| {
            if kind == HEADERS && !taken.has(stream) {
                refusals.note(Cause::HeadTooLarge, *client);
                // A reset follows the answer.
                taken.take(stream);
            } else if code == Some(Reason::PROTOCOL_ERROR.into()) && !taken.has(stream) {
                taken.reset.borrow_mut().push(stream);
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
        let frames =
            [(4, 0, 18), (HEADERS, 1, 5), (RST_STREAM, 5, 4), (0, 1, 1000), (0, 1, 0), (HEADERS, 3, 1)];
        let bytes: Vec<u8> =
            frames.iter().flat_map(|(kind, stream, payload)| frame(*kind, *stream, *payload)).collect();
        for split in 0..bytes.len() {
            let (mut scan, mut found) = (FrameScan::default(), Vec::new());
            for part in [&bytes[..split], &bytes[split..]] {
                scan.take(part, |frame| found.push(frame));
            }
            let expected = frames.map(|(kind, stream, _)| {
                let code = (kind == RST_STREAM).then(|| u32::from_be_bytes([HEADERS; CODE_BYTES]));
                Frame { kind, stream, code }
            });
            assert_eq!(found, expected, "split at {split}");
        }
    }

    #[test]
    fn a_stream_that_is_taken_behind_its_reset_had_a_head() {
        let taken = Taken::default();
        taken.reset.borrow_mut().extend([1, 3, 5]);
        taken.take(3);
        assert_eq!((taken.heads_reset(), taken.heads_reset()), (2, 0));
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
