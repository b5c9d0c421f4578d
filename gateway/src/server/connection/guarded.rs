//! Deadlines, rates and the limit of a head around a client's stream; what is written beside actix-http.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::head::HeadScan;
use super::pace::Pace;
use super::refusal::{KEPT_HEAD_BYTES, accept_of, cause_of};
use super::socket::Socket;
use super::{ConnectionState, Rules};
use crate::error::Cause;

/// A stream to a client with deadlines. One timer serves all of them: it is moved only when a nearer deadline
/// appears, and looks again when it fires.
#[derive(Debug)]
pub struct Guarded<S: Socket> {
    socket: S,
    timer: Pin<Box<Sleep>>,
    /// Whom the timer wakes.
    timer_wakes: Option<Waker>,
    rules: Rc<Rules>,
    state: Rc<ConnectionState>,
    /// What was read already, to find out what the client speaks or behind a head; read again first.
    unread: Bytes,
    /// What is unread came behind a head, and waits until that request is answered: actix-http would answer both in one
    /// piece, or none of them when the second is no request.
    held: Option<Held>,
    head: Head,
    writing: Pace,
    /// What is written here itself: goes before everything else.
    own: BytesMut,
    /// Whether the socket wakes the reader when something comes. Not so while actix-http holds as much as it
    /// wants to hold: then only [`Socket::poll_gone`] tells of a client that went away.
    is_reading: bool,
}

/// See [`Guarded::held`].
#[derive(Debug, Default)]
struct Held {
    looks: u32,
}

/// So often what is held is asked for before its request has begun; more would mean that actix-http waits for it.
const MOST_LOOKS: u32 = 8;

/// The head that is coming.
#[derive(Debug, Default)]
struct Head {
    scan: HeadScan,
    /// Its first bytes, to say what is wrong with it if it is refused.
    kept: Vec<u8>,
    /// How many requests came before it.
    after: u64,
}

impl<S: Socket> Guarded<S> {
    /// Guards `socket`, of which `unread` was read already.
    pub fn new(socket: S, unread: Bytes, rules: Rc<Rules>, state: Rc<ConnectionState>) -> Self {
        let timer = Box::pin(tokio::time::sleep(rules.patience.head));
        let (head, writing, own) = (Head::default(), Pace::default(), BytesMut::new());
        let (timer_wakes, held) = (None, None);
        Self { socket, timer, timer_wakes, rules, state, unread, held, head, writing, own, is_reading: true }
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
            let writing = self.writing.deadline(patience.write);
            let nearest = [reading, writing].into_iter().flatten().min();
            if self.is_timed(nearest, cx) {
                return Poll::Pending;
            }
            let now = Instant::now();
            if nearest.is_some_and(|deadline| deadline <= now) {
                if self.writing.is_waiting() {
                    self.rules.refusals.note_cut(self.state.client);
                } else if self.state.is_within_head() {
                    self.refuse(cx, Cause::HeadSlow);
                }
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            }
            let fires = self.timer.deadline();
            if fires <= now {
                let again = now + patience.head.max(patience.write.pause);
                self.timer.as_mut().reset(nearest.unwrap_or(again).min(again));
            } else if let Some(nearer) = nearest.filter(|deadline| *deadline < fires) {
                self.timer.as_mut().reset(nearer);
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                self.timer_wakes = Some(cx.waker().clone());
                return Poll::Pending;
            }
        }
    }

    /// Whether the timer will wake this task before the nearest deadline: mostly so, and known without a clock.
    fn is_timed(&self, nearest: Option<Instant>, cx: &Context<'_>) -> bool {
        let fires = self.timer.deadline();
        !self.timer.is_elapsed()
            && nearest.is_none_or(|deadline| fires <= deadline)
            && self.timer_wakes.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()))
    }

    /// Answers what did not become a request, as far as the client takes it at once; nothing else is under way.
    fn refuse(&mut self, cx: &mut Context<'_>, cause: Cause) {
        self.rules.refusals.note(cause, self.state.client);
        self.own.extend_from_slice(&cause.raw(accept_of(&self.head.kept)));
        // Whether the client still reads is its own affair.
        let _ = self.poll_own(cx);
        let _ = Pin::new(&mut self.socket).poll_flush(cx);
    }

    /// Writes what is to be written here itself.
    fn poll_own(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.own.is_empty() {
            let written = ready!(Pin::new(&mut self.socket).poll_write(cx, &self.own))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.own.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Takes over what is to go before a response.
    fn take_ahead(&mut self) {
        let mut ahead = self.state.ahead.borrow_mut();
        if !ahead.is_empty() {
            self.own.extend_from_slice(&ahead);
            ahead.clear();
        }
    }

    /// Notes what came, and says how much of it is to be passed on now: the rest came behind a head. An error when it is a
    /// head beyond its limit.
    fn received(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        self.state.received();
        if !self.state.awaits_head() {
            return Ok(bytes.len());
        }
        let requests = self.state.requests.get();
        if std::mem::replace(&mut self.head.after, requests) != requests {
            self.head.scan = HeadScan::default();
            self.head.kept.clear();
        }
        let room = KEPT_HEAD_BYTES.saturating_sub(self.head.kept.len());
        self.head.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        let before = self.head.scan.bytes();
        let length = self.head.scan.take(bytes);
        if length > self.rules.head_limit {
            self.refuse(cx, Cause::HeadTooLarge);
            return Err(io::ErrorKind::InvalidData.into());
        }
        let of_head = length - before;
        if of_head == 0
            || of_head == bytes.len()
            || !self.head.scan.has_ended()
            || names_body(&self.head.kept)
        {
            return Ok(bytes.len());
        }
        self.held = Some(Held::default());
        Ok(of_head)
    }

    /// Whether what is unread still waits for the request before it.
    fn is_held(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(held) = &mut self.held else { return false };
        let has_begun = self.state.requests.get() != self.head.after;
        let waits = if has_begun {
            self.state.is_answering() && !self.state.follows_body.get()
        } else {
            // actix-http reads until nothing comes before it looks at what has come.
            held.looks += 1;
            cx.waker().wake_by_ref();
            held.looks <= MOST_LOOKS
        };
        if !waits {
            self.held = None;
        }
        waits
    }

    /// Takes an answer over that actix-http gives of its own to what it cannot read. Says whether it did.
    fn take_over(&mut self, answer: &[u8]) -> bool {
        if !self.state.is_unasked() || !self.own.is_empty() {
            return false;
        }
        let Some(cause) = cause_of(answer, &self.head.kept) else { return false };
        self.rules.refusals.note(cause, self.state.client);
        self.own.extend_from_slice(&cause.raw(accept_of(&self.head.kept)));
        true
    }

    /// Answers a request whose body is none, where that is owed. Whoever observes the request counts and logs it.
    fn take_owed(&mut self) {
        if self.state.owes_refusal.take() {
            self.own.extend_from_slice(&Cause::BodyBroken.raw(accept_of(&self.head.kept)));
        }
    }

    fn noted(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(result) => {
                self.writing.moved(result.as_ref().copied().unwrap_or(0), Instant::now);
                Poll::Ready(result)
            }
            Poll::Pending => {
                self.writing.wait(Instant::now());
                self.poll_patience(cx).map(Err)
            }
        }
    }
}

/// Whether a head, as far as it is known, says that a body follows. One that says so further down is found out when its
/// request begins.
fn names_body(head: &[u8]) -> bool {
    let is =
        |line: &[u8], name: &[u8]| line.get(..name.len()).is_some_and(|own| own.eq_ignore_ascii_case(name));
    head.split(|byte| *byte == b'\n')
        .any(|line| is(line, b"content-length") || is(line, b"transfer-encoding"))
}

impl<S: Socket> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        if !this.unread.is_empty() {
            if this.is_held(cx) {
                this.is_reading = false;
                return this.poll_patience(cx).map(Err);
            }
            let piece = this.unread.slice(..this.unread.len().min(buffer.remaining()));
            let passed = this.received(cx, &piece)?;
            buffer.put_slice(&this.unread.split_to(passed));
            return Poll::Ready(Ok(()));
        }
        let read = Pin::new(&mut this.socket).poll_read(cx, buffer);
        this.is_reading = read.is_pending();
        if read.is_pending() {
            return this.poll_patience(cx).map(Err);
        }
        ready!(read)?;
        if buffer.filled().len() == before {
            this.state.has_ended.set(true);
        }
        let passed = this.received(cx, &buffer.filled()[before..])?;
        let rest = &buffer.filled()[before + passed..];
        if !rest.is_empty() {
            this.unread = Bytes::copy_from_slice(rest);
            buffer.set_filled(before + passed);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Socket> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.take_over(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        this.take_ahead();
        let written = match this.poll_own(cx) {
            Poll::Ready(Ok(())) => Pin::new(&mut this.socket).poll_write(cx, bytes),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        };
        this.noted(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        this.take_ahead();
        let written = match this.poll_own(cx) {
            Poll::Ready(Ok(())) => Pin::new(&mut this.socket).poll_write_vectored(cx, slices),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        };
        this.noted(cx, written)
    }

    /// Vectored writes of HTTP/2 go through; HTTP/1 writes one buffer, whose start may be an answer to take over.
    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    /// Also where a client that went away is noticed while nothing is read: actix-http flushes on every turn.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.is_reading && this.state.is_answering() && this.socket.poll_gone(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        this.take_ahead();
        if !this.own.is_empty() {
            let written = this.poll_own(cx).map_ok(|()| 0);
            ready!(this.noted(cx, written))?;
        }
        ready!(Pin::new(&mut this.socket).poll_flush(cx))?;
        this.state.flushed();
        if !this.state.is_answering() {
            // How quickly one response was taken says nothing of the next.
            this.writing = Pace::default();
        }
        if this.held.is_some() && !this.state.is_answering() {
            // It is the turn of what came behind.
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.state.give_up();
        this.take_owed();
        if !this.own.is_empty() {
            let written = this.poll_own(cx).map_ok(|()| 0);
            ready!(this.noted(cx, written))?;
            ready!(Pin::new(&mut this.socket).poll_flush(cx))?;
        }
        Pin::new(&mut this.socket).poll_shutdown(cx)
    }
}

impl<S: Socket> Drop for Guarded<S> {
    fn drop(&mut self) {
        self.take_owed();
        if !self.own.is_empty() {
            // As far as the client takes it at once. Whether it still reads is its own affair.
            let mut cx = Context::from_waker(Waker::noop());
            let _ = self.poll_own(&mut cx);
            let _ = Pin::new(&mut self.socket).poll_flush(&mut cx);
        }
        if self.state.is_cut() {
            self.socket.reset();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::timeout;

    use super::*;
    use crate::metrics::Metrics;
    use crate::server::connection::pace::Rate;
    use crate::server::connection::refusal::Refusals;
    use crate::server::connection::{Patience, Protocol};

    impl Socket for DuplexStream {
        fn poll_gone(&mut self, _: &mut Context<'_>) -> Poll<()> {
            Poll::Pending
        }

        fn reset(&mut self) {}
    }

    struct Bench {
        server: Guarded<DuplexStream>,
        state: Rc<ConnectionState>,
        client: DuplexStream,
        metrics: Metrics,
    }

    impl Bench {
        fn with(bytes_per_second: u64, buffer: usize) -> Self {
            let (server, client) = duplex(buffer);
            let seconds = Duration::from_secs;
            let write = Rate { pause: seconds(30), bytes_per_second };
            let patience = Patience { head: seconds(10), idle: seconds(60), write };
            let metrics = Metrics::new().unwrap();
            let refusals = Refusals::new(metrics.clone());
            let rules = Rc::new(Rules { patience, head_limit: 100, refusals });
            let state = Rc::new(ConnectionState::new(Protocol::Http1, false, None));
            let server = Guarded::new(server, Bytes::new(), rules, Rc::clone(&state));
            Self { server, state, client, metrics }
        }

        fn refused(&self, reason: &str) -> u64 {
            self.metrics.refusals.with_label_values(&[reason]).get()
        }

        async fn heard(&mut self) -> String {
            let mut bytes = vec![0; 1024];
            let read = self.client.read(&mut bytes).await.unwrap();
            String::from_utf8_lossy(&bytes[..read]).into_owned()
        }
    }

    fn connection() -> Bench {
        Bench::with(0, 1024)
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_does_not_end_is_answered_408() {
        for requests_before in [0, 1] {
            let mut bench = connection();
            for _ in 0..requests_before {
                bench.state.begin(false);
                bench.state.end(Instant::now());
            }
            bench.client.write_all(b"GET / HTTP/1.1\r\naccept: text/html\r\n").await.unwrap();
            let started = Instant::now();
            let mut buffer = [0; 128];
            assert_eq!(bench.server.read(&mut buffer).await.unwrap(), 35);
            let error = bench.server.read(&mut buffer).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert_eq!(started.elapsed().as_secs(), 10);
            let heard = bench.heard().await;
            assert!(
                heard.starts_with("HTTP/1.1 408 ") && heard.contains("<p>The head of this request"),
                "{heard}"
            );
            assert_eq!(bench.refused("head_slow"), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_says_nothing_is_left_without_an_answer() {
        let mut bench = connection();
        let error = bench.server.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!((error.kind(), bench.refused("head_slow")), (io::ErrorKind::TimedOut, 0));
        drop(bench.server);
        assert_eq!(bench.client.read(&mut [0; 8]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_head_beyond_its_limit_is_answered_431_and_a_body_is_not() {
        let mut bench = connection();
        let (mut buffer, long) = ([0; 256], [b'x'; 101]);
        bench.client.write_all(b"POST / HTTP/1.1\r\ncontent-length: 202\r\n\r\n").await.unwrap();
        bench.client.write_all(&long).await.unwrap();
        assert_eq!(bench.server.read(&mut buffer).await.unwrap(), 141);
        bench.state.begin(true);
        bench.state.end(Instant::now());
        bench.client.write_all(&long).await.unwrap();
        assert_eq!(bench.server.read(&mut buffer).await.unwrap(), 101, "the rest of the body");
        for _ in 0..2 {
            bench.state.begin(false);
            bench.state.end(Instant::now());
            bench.client.write_all(&long[..60]).await.unwrap();
            assert_eq!(bench.server.read(&mut buffer).await.unwrap(), 60, "each head counts for itself");
        }
        bench.client.write_all(&long[..60]).await.unwrap();
        assert_eq!(bench.server.read(&mut buffer).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert!(bench.heard().await.starts_with("HTTP/1.1 431 "));
        assert_eq!(bench.refused("head_too_large"), 1);
    }

    #[tokio::test]
    async fn an_answer_to_what_is_no_request_gets_a_reason_and_a_body() {
        let mut bench = connection();
        bench
            .client
            .write_all(b"POST / HTTP/1.1\r\ncontent-length: x\r\naccept: application/json\r\n\r\n")
            .await
            .unwrap();
        assert!(bench.server.read(&mut [0; 128]).await.unwrap() > 0);
        let own = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
        bench.server.write_all(own).await.unwrap();
        bench.server.flush().await.unwrap();
        let heard = bench.heard().await;
        assert!(
            heard.ends_with("{\"error\":\"The length of this request's body is ambiguous.\"}\n"),
            "{heard}"
        );
        assert_eq!(bench.refused("body_length"), 1);
    }

    #[tokio::test]
    async fn the_apps_own_400_is_left_alone() {
        let mut bench = connection();
        bench.state.begin(false);
        bench.state.end(Instant::now());
        let answer = "HTTP/1.1 400 Bad Request\r\n\r\n";
        bench.server.write_all(answer.as_bytes()).await.unwrap();
        bench.server.flush().await.unwrap();
        assert_eq!(bench.heard().await, answer);
    }

    #[tokio::test]
    async fn hints_go_ahead_of_the_response_and_never_into_another() {
        let mut bench = connection();
        bench.state.begin(false);
        assert!(bench.state.write_ahead(b"103;"));
        bench.server.flush().await.unwrap();
        assert_eq!(bench.heard().await, "103;");
        assert!(bench.state.write_ahead(b"103;"));
        bench.server.write_all(b"200").await.unwrap();
        assert_eq!(bench.heard().await, "103;200");
        bench.state.end(Instant::now());
        bench.state.begin(false);
        assert!(!bench.state.write_ahead(b"103;"), "what came before has not left");
        bench.state.end(Instant::now());
        bench.server.flush().await.unwrap();
        bench.state.begin(true);
        assert!(!bench.state.write_ahead(b"103;"), "100 may be under way");
    }

    #[tokio::test]
    async fn a_body_that_is_none_is_answered_when_actix_http_ends_the_connection() {
        let head = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\naccept: application/json\r\n\r\n";
        let refusal = "{\"error\":\"The body of this request is not complete.\"}\n";
        for (has_body, responds, leaves, shuts_down, expected) in [
            (true, false, false, true, refusal),
            (true, false, false, false, refusal),
            (true, true, false, true, ""),
            (true, true, false, false, ""),
            (true, false, true, true, ""),
            (false, false, false, false, ""),
        ] {
            let mut bench = connection();
            bench.client.write_all([head, "ZZ\r\n"].concat().as_bytes()).await.unwrap();
            if leaves {
                bench.client.shutdown().await.unwrap();
            }
            let mut buffer = [0; 128];
            assert_eq!(bench.server.read(&mut buffer).await.unwrap(), head.len() + 4);
            bench.state.begin(has_body);
            assert_eq!(bench.server.read(&mut buffer).now_or_never().is_some(), leaves);
            if responds {
                bench.state.respond();
            }
            if shuts_down {
                bench.server.shutdown().await.unwrap();
            }
            bench.state.give_up();
            assert_eq!(bench.state.is_body_broken(), has_body && !leaves);
            drop(bench.server);
            let mut heard = String::new();
            bench.client.read_to_string(&mut heard).await.unwrap();
            assert!(heard.ends_with(expected) && heard.is_empty() == expected.is_empty(), "{heard}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_may_take_as_long_as_it_takes() {
        let mut bench = connection();
        bench.state.begin(false);
        let mut buffer = [0; 128];
        assert!(timeout(Duration::from_secs(3600), bench.server.read(&mut buffer)).await.is_err());
        bench.state.end(Instant::now());
        let error =
            timeout(Duration::from_secs(100), bench.server.read(&mut buffer)).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_cut() {
        let mut bench = Bench::with(0, 128);
        bench.state.begin(false);
        let error = bench.server.write_all(&[0; 200]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(bench.refused("read_slow"), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_slowly_is_cut_only_below_the_rate() {
        for (rate, is_cut) in [(0, false), (500, true)] {
            let Bench { mut server, state, mut client, .. } = Bench::with(rate, 128);
            state.begin(false);
            let reading = async {
                let mut byte = [0; 1];
                while client.read_exact(&mut byte).await.is_ok() {
                    tokio::time::sleep(Duration::from_secs(20)).await;
                }
            };
            let writing = async move { server.write_all(&[0; 200]).await };
            let (written, ()) = tokio::join!(writing, reading);
            assert_eq!(written.is_err(), is_cut, "at {rate} bytes a second");
        }
    }

    #[tokio::test]
    async fn what_comes_behind_a_head_waits_until_its_request_is_answered() {
        let mut bench = connection();
        let (first, second) = ("GET /1 HTTP/1.1\r\n\r\n", "GET /2 HTTP/1.1\r\n\r\n");
        bench.client.write_all([first, second, "GARBAGE\r\n\r\n"].concat().as_bytes()).await.unwrap();
        let mut buffer = [0; 128];
        for head in [first, second] {
            let read = bench.server.read(&mut buffer).await.unwrap();
            assert_eq!(&buffer[..read], head.as_bytes());
            bench.state.begin(false);
            assert!(bench.server.read(&mut buffer).now_or_never().is_none(), "it is being answered");
            bench.state.end(Instant::now());
            bench.server.flush().await.unwrap();
        }
        let read = bench.server.read(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..read], b"GARBAGE\r\n\r\n");
        assert!(bench.state.is_unasked(), "an answer to it can be told from others");
    }

    #[tokio::test]
    async fn what_comes_behind_a_head_that_names_a_body_is_passed_on() {
        for head in [
            "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\n",
            "POST / HTTP/1.1\r\ntransfer-encoding: x\r\n\r\n",
        ] {
            let mut bench = connection();
            bench.client.write_all([head, "body"].concat().as_bytes()).await.unwrap();
            let mut buffer = [0; 128];
            assert_eq!(bench.server.read(&mut buffer).await.unwrap(), head.len() + 4);
        }
    }

    #[tokio::test]
    async fn what_was_read_before_is_read_again() {
        let Bench { server, .. } = connection();
        let (rules, state) = (Rc::clone(&server.rules), Rc::clone(&server.state));
        let (socket, mut client) = duplex(16);
        let mut server = Guarded::new(socket, Bytes::from_static(b"GET "), rules, state);
        client.write_all(b"/").await.unwrap();
        let mut all = [0; 5];
        server.read_exact(&mut all).await.unwrap();
        assert_eq!(&all, b"GET /");
    }
}
