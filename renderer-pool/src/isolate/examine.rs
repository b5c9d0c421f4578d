//! Looks into an isolate: a CPU profile, or a snapshot of its heap, written into the file that the gateway made.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use deno_core::{InspectorMsg, InspectorMsgKind, InspectorSessionKind, JsRuntime, JsRuntimeInspector};
use deno_core::{LocalInspectorSession, serde_json};
use shared::message::control::{Examination, Examine};
use tokio::sync::mpsc;
use tokio::time::Sleep;

/// The request of `Profiler.stop`, whose answer is the profile.
const STOP: i32 = 3;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum ExamineError {
    /// The file cannot be written.
    #[error("the result cannot be written: {0}")]
    File(#[from] io::Error),
    /// It would be longer than it may be.
    #[error("the result is longer than the {0} bytes that `debug_limit` allows")]
    TooLong(u64),
    /// V8 did not answer as it should.
    #[error("V8 made no profile")]
    NoProfile,
}

/// What the isolate is asked for, and the profile that runs.
pub struct Examiner {
    wanted: mpsc::Receiver<Examination>,
    profile: Option<Profile>,
}

struct Profile {
    session: LocalInspectorSession,
    /// The answer to `Profiler.stop`.
    answer: Rc<RefCell<Option<String>>>,
    over: Pin<Box<Sleep>>,
    examination: Examination,
}

impl Examiner {
    /// An examiner of what comes through `wanted`.
    pub fn new(wanted: mpsc::Receiver<Examination>) -> Self {
        Self { wanted, profile: None }
    }

    /// Goes on. Ready with what is wrong with the result, or that nothing is. Heap snapshots are made in here and
    /// take their time; nothing of JavaScript runs meanwhile.
    pub fn poll(&mut self, cx: &mut Context<'_>, js: &mut JsRuntime) -> Poll<Option<ExamineError>> {
        if let Some(profile) = &mut self.profile {
            std::task::ready!(profile.over.as_mut().poll(cx));
            return Poll::Ready(self.profile.take().and_then(|profile| profile.finish().err()));
        }
        match self.wanted.poll_recv(cx) {
            Poll::Ready(Some(examination)) => match examination.what {
                Examine::HeapSnapshot => Poll::Ready(snapshot(js, &examination).err()),
                Examine::CpuProfile { millis } => {
                    let profile =
                        self.profile.insert(Profile::start(js, examination, Duration::from_millis(millis)));
                    // Registers the waker; a profile of no time is over.
                    std::task::ready!(profile.over.as_mut().poll(cx));
                    Poll::Ready(self.profile.take().and_then(|profile| profile.finish().err()))
                }
            },
            // Without the control thread the process is about to end.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

impl Profile {
    fn start(js: &mut JsRuntime, examination: Examination, time: Duration) -> Self {
        js.maybe_init_inspector();
        let answer = Rc::new(RefCell::new(None));
        let heard = answer.clone();
        let hear = Box::new(move |message: InspectorMsg| {
            if matches!(message.kind, InspectorMsgKind::Message(STOP)) {
                *heard.borrow_mut() = Some(message.content);
            }
        });
        let kind = InspectorSessionKind::NonBlocking { wait_for_disconnect: false };
        let mut session = JsRuntimeInspector::create_local_session(js.inspector(), hear, kind);
        session.post_message::<()>(1, "Profiler.enable", None);
        session.post_message::<()>(2, "Profiler.start", None);
        Self { session, answer, over: Box::pin(tokio::time::sleep(time)), examination }
    }

    fn finish(mut self) -> Result<(), ExamineError> {
        self.session.post_message::<()>(STOP, "Profiler.stop", None);
        let answer = self.answer.take().ok_or(ExamineError::NoProfile)?;
        let mut answer: serde_json::Value =
            serde_json::from_str(&answer).map_err(|_| ExamineError::NoProfile)?;
        let profile = answer.pointer_mut("/result/profile").ok_or(ExamineError::NoProfile)?.take();
        let mut file = Bounded::open(&self.examination)?;
        let written = serde_json::to_writer(&mut file, &profile).map_err(io::Error::from);
        file.end(written)
    }
}

fn snapshot(js: &mut JsRuntime, examination: &Examination) -> Result<(), ExamineError> {
    let mut file = Bounded::open(examination)?;
    let mut written = Ok(());
    js.v8_isolate().take_heap_snapshot(|piece| {
        written = file.write_all(piece);
        written.is_ok()
    });
    // V8's graph of the heap is gone; what the allocator keeps of it would count as the process's memory.
    // SAFETY: the call gives free memory back to the kernel and touches nothing else.
    unsafe { libc::malloc_trim(0) };
    file.end(written)
}

/// A file that takes so many bytes and no more.
struct Bounded {
    file: BufWriter<File>,
    left: u64,
    max: u64,
    full: bool,
}

impl Bounded {
    fn open(examination: &Examination) -> io::Result<Self> {
        let path: &Path = &examination.file;
        let file = OpenOptions::new().write(true).custom_flags(libc::O_NOFOLLOW).open(path)?;
        let max = examination.max_bytes;
        Ok(Self { file: BufWriter::new(file), left: max, max, full: false })
    }

    fn end(mut self, written: io::Result<()>) -> Result<(), ExamineError> {
        if self.full {
            return Err(ExamineError::TooLong(self.max));
        }
        written.and_then(|()| self.file.flush()).map_err(ExamineError::File)
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(left) = self.left.checked_sub(bytes.len() as u64) else {
            self.full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        };
        self.left = left;
        self.file.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
