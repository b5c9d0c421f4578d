//! One job as its gateway thread sees it: what has come of the response, what may be sent of the request's body,
//! and who waits for either. Does no I/O; [`super::isolate_link`] moves the bytes.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use shared::head::{HeaderField, ResponseHead};
use shared::message::renderer::MAX_EARLY_HINTS_PER_JOB;
use shared::message::{EarlyHints, Failure, FailureKind};
use shared::window::{INITIAL_WINDOW, MAX_CHUNK_BYTES, ReceiveWindow, SendWindow};
use tokio::task::AbortHandle;

use super::call_flow::CallFlow;
use super::error::RequestBodyError;
use super::in_flight::Entry;
use super::link::RuleError;
use super::slot::WorkerPlace;
use crate::admission::Permit;
use crate::admission::places::Place;

/// Pieces up to this length, in bytes, are joined while they wait.
const SMALL_PIECE_BYTES: usize = 16 * 1024;

/// So many pieces wait side by side as they came: a page that is read at once is copied no more than once.
const LOOSE_PIECES: usize = 8;

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The response is whole.
    Complete,
    /// The isolate gave it up.
    Failed(FailureKind),
    /// The link to the isolate ended first.
    Lost,
}

/// Where a job may wait for its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Side {
    /// The client takes little of the response.
    Reader = 1,
    /// The client sends little of the request's body.
    Uploader = 2,
}

/// A client that moves less in [`CLIENT_LOOK`], in bytes, while its job waits for nothing else, takes no place of the
/// isolate.
pub(super) const SLOW_BYTES: u64 = INITIAL_WINDOW as u64;

/// How often is looked at what a client moves.
pub(super) const CLIENT_LOOK: Duration = Duration::from_secs(1);

/// What the reader of the response finds.
#[derive(Debug)]
pub(super) enum Part<T> {
    /// The next part.
    Next(T),
    /// There is none; the job has ended.
    Ended(End),
    /// The request's body failed.
    BodyFailed(RequestBodyError),
}

/// What a job occupies: its place where it runs, and its line in the list of what runs. Both free when it is
/// dropped.
#[derive(Debug)]
pub(super) struct Hold {
    place: Occupied,
    /// Of its route, where that has only so many.
    route_place: Option<Place>,
    _entry: Entry,
}

/// A place that is taken.
#[derive(Debug)]
pub(super) enum Occupied {
    /// On an isolate.
    Isolate { permit: Permit },
    /// On an fn worker.
    Worker { _place: WorkerPlace },
}

impl Hold {
    pub fn on_isolate(permit: Permit, route_place: Option<Place>, entry: Entry) -> Self {
        Self { place: Occupied::Isolate { permit }, route_place, _entry: entry }
    }

    pub fn on_worker(place: WorkerPlace, entry: Entry) -> Self {
        Self { place: Occupied::Worker { _place: place }, route_place: None, _entry: entry }
    }

    /// Lets a job on an isolate leave its place, or take it again. That of its route goes with it.
    fn stand(&self, stand: impl FnOnce(&Permit)) {
        let Occupied::Isolate { permit } = &self.place else { return };
        stand(permit);
        if let Some(place) = &self.route_place {
            place.set_needed(permit.holds_place());
        }
    }
}

/// A native call of a job.
#[derive(Debug)]
struct OpenCall {
    task: AbortHandle,
    flow: Rc<CallFlow>,
}

/// A job on a link.
#[derive(Debug)]
pub(super) struct Job {
    pub id: u64,
    /// The request's id and its URL, in one block.
    label: Box<str>,
    request_id_bytes: usize,
    /// The reader has gone, or was told of a failure: what still comes is dropped.
    abandoned: Cell<bool>,
    /// When the client went away, if it did.
    left: Cell<Option<Instant>>,
    /// Somebody looks whether the client takes what has come.
    is_watched: Cell<bool>,
    /// The sides on which the client is slow, as bits.
    slow_sides: Cell<u8>,
    /// Until when the response's head must have come, or who waits for it wants to be told.
    due: Cell<Option<Instant>>,
    /// It has not come by then, and the reader has been told.
    is_late: Cell<bool>,
    state: RefCell<State>,
}

#[derive(Debug)]
struct State {
    head: Option<ResponseHead>,
    headed: bool,
    early_hints: VecDeque<EarlyHints>,
    early_hints_come: usize,
    chunks: VecDeque<Bytes>,
    received: ReceiveWindow,
    /// Bytes of the body that the reader has taken.
    taken: u64,
    /// Since when the isolate can send no more until the reader takes some.
    full_since: Option<Instant>,
    upload: SendWindow,
    upload_error: Option<RequestBodyError>,
    end: Option<End>,
    reader: Option<Waker>,
    uploader: Option<Waker>,
    calls: HashMap<u32, OpenCall>,
    hold: Option<Hold>,
}

/// Whether a response with these fields lasts as long as its client listens (the HTML standard, server-sent events).
pub fn is_event_stream(headers: &[HeaderField]) -> bool {
    let kind = |(name, value): &HeaderField| {
        name.eq_ignore_ascii_case(b"content-type")
            && value.get(..17).is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/event-stream"))
    };
    headers.iter().any(kind)
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl Job {
    pub fn new(id: u64, request_id: &str, url: &str, hold: Hold) -> Self {
        Self::holding(id, request_id, url, Some(hold))
    }

    /// A request that an fn worker answers, whose head must have come by `due`; its URL is in nobody's log.
    pub fn on_worker(id: u64, request_id: &str, hold: Hold, due: Instant) -> Self {
        Self { due: Cell::new(Some(due)), ..Self::holding(id, request_id, "", Some(hold)) }
    }

    /// The streams of a native call; its place is held by who has begun it.
    pub fn of_call(id: u64, request_id: &str) -> Self {
        Self::holding(id, request_id, "", None)
    }

    /// The request's id.
    pub fn request_id(&self) -> &str {
        &self.label[..self.request_id_bytes]
    }

    /// The request's URL; empty for what an fn worker answers.
    pub fn url(&self) -> &str {
        &self.label[self.request_id_bytes..]
    }

    fn holding(id: u64, request_id: &str, url: &str, hold: Option<Hold>) -> Self {
        let state = State {
            head: None,
            headed: false,
            early_hints: VecDeque::new(),
            early_hints_come: 0,
            chunks: VecDeque::new(),
            received: ReceiveWindow::default(),
            taken: 0,
            full_since: None,
            upload: SendWindow::default(),
            upload_error: None,
            end: None,
            reader: None,
            uploader: None,
            calls: HashMap::new(),
            hold,
        };
        Self {
            id,
            label: [request_id, url].concat().into(),
            request_id_bytes: request_id.len(),
            abandoned: Cell::new(false),
            left: Cell::new(None),
            is_watched: Cell::new(false),
            slow_sides: Cell::new(0),
            due: Cell::new(None),
            is_late: Cell::new(false),
            state: RefCell::new(state),
        }
    }

    // What the isolate says.

    /// The response's head has come.
    pub fn on_head(&self, head: ResponseHead) -> Result<(), RuleError> {
        let mut state = self.state.borrow_mut();
        if std::mem::replace(&mut state.headed, true) {
            return Err(RuleError::SecondHead(self.id));
        }
        if let Some(hold) = &state.hold {
            let lasts = is_event_stream(&head.headers);
            hold.stand(|permit| {
                permit.answered();
                if lasts {
                    permit.lasts();
                }
            });
        }
        if !self.abandoned.get() {
            state.head = Some(head);
        }
        let reader = state.reader.take();
        drop(state);
        wake(reader);
        Ok(())
    }

    /// The app has said what its response will need. Those that come after the head are of no use.
    pub fn on_early_hints(&self, hints: EarlyHints) -> Result<(), RuleError> {
        let mut state = self.state.borrow_mut();
        state.early_hints_come += 1;
        if state.early_hints_come > MAX_EARLY_HINTS_PER_JOB {
            return Err(RuleError::EarlyHints(self.id));
        }
        if state.headed || self.abandoned.get() {
            return Ok(());
        }
        state.early_hints.push_back(hints);
        let reader = state.reader.take();
        drop(state);
        wake(reader);
        Ok(())
    }

    /// A piece of the response's body has come.
    pub fn on_body(&self, bytes: Bytes) -> Result<(), RuleError> {
        let mut state = self.state.borrow_mut();
        if !state.headed {
            return Err(RuleError::NoHead(self.id));
        }
        let window = |source| RuleError::Window { id: self.id, source };
        state.received.received(bytes.len()).map_err(window)?;
        // Empty pieces cost no window, so they must cost no memory either.
        if self.abandoned.get() || bytes.is_empty() {
            return Ok(());
        }
        state.keep(bytes);
        if state.full_since.is_none() && state.is_full() {
            state.full_since = Some(Instant::now());
        }
        let reader = state.reader.take();
        drop(state);
        wake(reader);
        Ok(())
    }

    /// As much of the body as may come has come and was not taken, and nobody looks after that: the caller is to, and to
    /// call [`Job::look_at_reader`] after [`CLIENT_LOOK`]. Returns what was taken so far.
    pub fn is_first_full(&self) -> Option<u64> {
        let state = self.state.borrow();
        (state.full_since.is_some() && !self.is_watched.replace(true)).then_some(state.taken)
    }

    /// Looks at a reader who had `taken` so much at the last look. Returns what was taken so far while there is more than
    /// it takes: the caller is to look again after [`CLIENT_LOOK`].
    pub fn look_at_reader(&self, taken: u64) -> Option<u64> {
        let (is_full, now) = {
            let state = self.state.borrow();
            (state.end.is_none() && state.full_since.is_some(), state.taken)
        };
        let is_slow = is_full && now - taken < SLOW_BYTES;
        self.set_slow(Side::Reader, is_slow);
        self.is_watched.set(is_full);
        is_full.then_some(now)
    }

    /// The client is slow on this side, or no longer: while it is, its job takes no place of the isolate.
    pub fn set_slow(&self, side: Side, is_slow: bool) {
        let before = self.slow_sides.get();
        let now = if is_slow { before | side as u8 } else { before & !(side as u8) };
        self.slow_sides.set(now);
        if before | now == 0 {
            return;
        }
        if let Some(hold) = &self.state.borrow().hold {
            hold.stand(|permit| if now == 0 { permit.resume() } else { permit.rest() });
        }
    }

    /// The job has waited so long for what the client sends.
    pub fn waited_for_body(&self, time: Duration) {
        self.state.borrow().waited_for_client(time);
    }

    /// The isolate has read `bytes` of the request's body.
    pub fn on_credit(&self, bytes: u32) -> Result<(), RuleError> {
        let mut state = self.state.borrow_mut();
        let window = |source| RuleError::Window { id: self.id, source };
        state.upload.credit(bytes as usize).map_err(window)?;
        let uploader = state.uploader.take();
        drop(state);
        wake(uploader);
        Ok(())
    }

    /// The response is complete: it must have had a head.
    pub fn on_end(&self) -> Result<(), RuleError> {
        let headed = self.state.borrow().headed;
        if !headed {
            return Err(RuleError::NoHead(self.id));
        }
        self.finish(End::Complete);
        Ok(())
    }

    /// The whole response has come.
    pub fn on_whole(&self, head: ResponseHead, body: Bytes) -> Result<(), RuleError> {
        let mut state = self.state.borrow_mut();
        if std::mem::replace(&mut state.headed, true) {
            return Err(RuleError::SecondHead(self.id));
        }
        let window = |source| RuleError::Window { id: self.id, source };
        state.received.received(body.len()).map_err(window)?;
        if !self.abandoned.get() {
            state.head = Some(head);
            state.chunks.extend(Some(body).filter(|body| !body.is_empty()));
        }
        drop(state);
        self.finish(End::Complete);
        Ok(())
    }

    /// There will be no whole response.
    pub fn on_failed(&self, failure: &Failure) {
        self.finish(End::Failed(failure.kind));
    }

    /// The job has left the isolate: everything that it occupied there frees, and all who wait are told.
    pub fn finish(&self, end: End) {
        let mut state = self.state.borrow_mut();
        if state.end.is_some() {
            return;
        }
        state.has_room();
        state.end = Some(end);
        let hold = state.hold.take();
        let calls = std::mem::take(&mut state.calls);
        let (reader, uploader) = (state.reader.take(), state.uploader.take());
        drop(state);
        calls.into_values().for_each(|call| call.task.abort());
        drop(hold);
        wake(reader);
        wake(uploader);
    }

    // What the reader of the response does.

    pub fn poll_head(&self, cx: &mut Context<'_>) -> Poll<Part<ResponseHead>> {
        let mut state = self.state.borrow_mut();
        if let Some(head) = state.head.take() {
            return Poll::Ready(Part::Next(head));
        }
        state.poll_end(cx)
    }

    /// As [`Self::poll_head`]; `None` when the head is late.
    pub fn poll_due_head(&self, cx: &mut Context<'_>) -> Poll<Option<Part<ResponseHead>>> {
        match self.poll_head(cx) {
            Poll::Pending if self.is_late.get() => Poll::Ready(None),
            head => head.map(Some),
        }
    }

    /// Who waits for the head wants to be told at this time, if it has not come by then.
    pub fn set_due(&self, due: Option<Instant>) {
        self.due.set(due);
        self.is_late.set(false);
    }

    /// Tells the reader if the head has not come in time. Says whether it may still come to be late.
    pub fn look_for_lateness(&self, now: Instant) -> bool {
        let Some(due) = self.due.get() else { return false };
        let mut state = self.state.borrow_mut();
        if state.headed || state.end.is_some() || self.is_late.get() || self.abandoned.get() {
            return false;
        }
        if now < due {
            return true;
        }
        self.is_late.set(true);
        let reader = state.reader.take();
        drop(state);
        wake(reader);
        false
    }

    /// The oldest early hints that nobody has taken. Who waits for the head is woken by them.
    pub fn take_early_hints(&self) -> Option<EarlyHints> {
        self.state.borrow_mut().early_hints.pop_front()
    }

    /// The next piece of the body, with the credit that is due to the isolate for it.
    pub fn poll_body(&self, cx: &mut Context<'_>) -> Poll<Part<(Bytes, Option<usize>)>> {
        let mut state = self.state.borrow_mut();
        if let Some(bytes) = state.chunks.pop_front() {
            state.taken += bytes.len() as u64;
            let credit = state.received.consumed(bytes.len());
            let credit = if state.end.is_none() { credit } else { None };
            if state.full_since.is_some() && !state.is_full() {
                state.has_room();
            }
            return Poll::Ready(Part::Next((bytes, credit)));
        }
        state.poll_end(cx)
    }

    /// The length of what is left of the body if all of it is here.
    pub fn whole(&self) -> Option<usize> {
        let state = self.state.borrow();
        (state.end == Some(End::Complete)).then(|| state.received.unread())
    }

    pub fn has_ended(&self) -> bool {
        self.state.borrow().end.is_some()
    }

    /// The isolate still runs it, and somebody still wants its response.
    pub fn is_wanted(&self) -> bool {
        !self.abandoned.get() && !self.has_ended()
    }

    /// Nobody reads the response any more. Says whether the isolate is to be told.
    pub fn abandon(&self) -> bool {
        let wanted = self.is_wanted();
        self.abandoned.set(true);
        let mut state = self.state.borrow_mut();
        state.head = None;
        state.early_hints = VecDeque::new();
        let chunks = std::mem::take(&mut state.chunks);
        state.reader = None;
        let uploader = state.uploader.take();
        drop(state);
        drop(chunks);
        wake(uploader);
        wanted
    }

    /// The client has gone.
    pub fn note_left(&self) {
        self.left.set(Some(Instant::now()));
    }

    /// The time since then, once.
    pub fn since_left(&self) -> Option<Duration> {
        self.left.take().map(|left| left.elapsed())
    }

    // What the sender of the request's body does.

    /// Takes up to `wanted` bytes off the upload's window; 0 when it is spent.
    pub fn take_upload_window(&self, wanted: usize) -> usize {
        self.state.borrow_mut().upload.take(wanted)
    }

    /// The uploader is woken by credit and when nobody wants the body any more.
    pub fn park_uploader(&self, cx: &mut Context<'_>) {
        self.state.borrow_mut().uploader = Some(cx.waker().clone());
    }

    /// The request's body failed: the reader of the response is told.
    pub fn fail_upload(&self, error: RequestBodyError) {
        let mut state = self.state.borrow_mut();
        state.upload_error = Some(error);
        let reader = state.reader.take();
        drop(state);
        wake(reader);
    }

    // Its native calls.

    pub fn calls(&self) -> usize {
        self.state.borrow().calls.len()
    }

    pub fn add_call(&self, call: u32, task: AbortHandle, flow: Rc<CallFlow>) {
        self.state.borrow_mut().calls.insert(call, OpenCall { task, flow });
    }

    pub fn flow(&self, call: u32) -> Option<Rc<CallFlow>> {
        self.state.borrow().calls.get(&call).map(|call| call.flow.clone())
    }

    pub fn has_call(&self, call: u32) -> bool {
        self.state.borrow().calls.contains_key(&call)
    }

    pub fn remove_call(&self, call: u32) -> Option<AbortHandle> {
        self.state.borrow_mut().calls.remove(&call).map(|call| call.task)
    }
}

impl State {
    /// The isolate can hardly send more until the reader takes some: up to a quarter of a window is taken without a word.
    fn is_full(&self) -> bool {
        self.received.unread() > INITIAL_WINDOW - INITIAL_WINDOW / 4
    }

    /// The isolate can send more, or has sent all.
    fn has_room(&mut self) {
        if let Some(since) = self.full_since.take() {
            self.waited_for_client(since.elapsed());
        }
    }

    fn waited_for_client(&self, time: Duration) {
        if let Some(Hold { place: Occupied::Isolate { permit }, .. }) = &self.hold {
            permit.waited_for_client(time);
        }
    }

    /// Appends a piece. A small one behind many others is copied to the last of them: each piece holds on to the whole
    /// block that it was read into, and a slow reader may let many come together.
    fn keep(&mut self, bytes: Bytes) {
        if self.chunks.len() < LOOSE_PIECES {
            return self.chunks.push_back(bytes);
        }
        let fits = |last: &&mut Bytes| last.len() + bytes.len() <= MAX_CHUNK_BYTES;
        let last = self.chunks.back_mut().filter(fits);
        let Some(last) = last.filter(|_| bytes.len() <= SMALL_PIECE_BYTES) else {
            return self.chunks.push_back(bytes);
        };
        let mut merged = std::mem::take(last).try_into_mut().unwrap_or_else(|shared| {
            let mut own = BytesMut::with_capacity(shared.len() + bytes.len());
            own.extend_from_slice(&shared);
            own
        });
        merged.extend_from_slice(&bytes);
        *last = merged.freeze();
    }

    fn poll_end<T>(&mut self, cx: &mut Context<'_>) -> Poll<Part<T>> {
        match (self.end, self.upload_error) {
            (Some(End::Complete), _) => return Poll::Ready(Part::Ended(End::Complete)),
            (_, Some(error)) => return Poll::Ready(Part::BodyFailed(error)),
            (Some(end), None) => return Poll::Ready(Part::Ended(end)),
            (None, None) => {}
        }
        match &mut self.reader {
            Some(reader) => reader.clone_from(cx.waker()),
            reader => *reader = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}
