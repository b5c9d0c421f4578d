//! A look into an isolate from the admin port: a CPU profile, or a snapshot of its heap. One at a time in the whole
//! pool: both slow the isolate down.
//!
//! ```text
//!   admin thread          supervisor            renderer
//!     | examine()             |                    |
//!     |---Examine------------>|---Examine--------->|  writes into the file that was made for it
//!     |<---------------------Examined--------------|
//!     | the file, already unlinked
//! ```

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix::Message;
use shared::message::control::{Examination, Examine};
use tokio::sync::oneshot;

use super::slot::{ChildId, ChildKind, IsolateId};
use super::{Pool, PoolHandle, State};

/// How long an isolate may take beyond what it was asked for: a large heap is written for long.
const GRACE: Duration = Duration::from_secs(60);

/// Why an isolate was not examined.
#[derive(Debug, thiserror::Error)]
pub enum ExamineError {
    /// One is under way.
    #[error("an isolate is being examined already; try again when that is done")]
    Busy,
    /// There is no such isolate, or it is not ready.
    #[error("isolate {asked} is not ready; there are: {}", .ready.join(", "))]
    NoIsolate {
        /// What was asked for.
        asked: String,
        /// Those that are ready.
        ready: Vec<String>,
    },
    /// The isolate ended meanwhile.
    #[error("the isolate ended before it was done")]
    Lost,
    /// It does not answer.
    #[error("the isolate did not answer in time: it may be busy, or stand at a breakpoint")]
    Late,
    /// The isolate says why.
    #[error("{0}")]
    Refused(String),
    /// The result cannot be kept.
    #[error("the result cannot be written: {0}")]
    File(#[from] io::Error),
}

/// What came of an examination.
#[derive(Debug)]
pub struct Examined {
    /// The result, from its first byte on. Nothing else leads to it any more.
    pub file: File,
    /// Its length in bytes.
    pub length: u64,
}

/// Asks the supervisor to hand it on.
#[derive(Debug, Message)]
#[rtype(result = "bool")]
pub(super) struct HandOn {
    pub child: ChildId,
    pub examination: Examination,
}

/// The examination that is under way, if one is.
#[derive(Debug, Default)]
pub(super) struct Examinations(Mutex<Option<Pending>>);

#[derive(Debug)]
struct Pending {
    isolate: IsolateId,
    done: oneshot::Sender<Option<String>>,
}

/// The place of the one examination; free again when it is dropped.
struct Place<'a>(&'a Examinations);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        *self.0.pending() = None;
    }
}

impl Examinations {
    fn pending(&self) -> MutexGuard<'_, Option<Pending>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(
        &self,
        isolate: IsolateId,
    ) -> Result<(Place<'_>, oneshot::Receiver<Option<String>>), ExamineError> {
        let mut pending = self.pending();
        if pending.is_some() {
            return Err(ExamineError::Busy);
        }
        let (done, end) = oneshot::channel();
        *pending = Some(Pending { isolate, done });
        Ok((Place(self), end))
    }

    /// An isolate is done.
    pub fn examined(&self, isolate: IsolateId, problem: Option<String>) {
        let pending = self.pending().take_if(|pending| pending.isolate == isolate);
        // What was given up may still end.
        if let Some(pending) = pending {
            let _ = pending.done.send(problem);
        }
    }

    /// A process has ended: nothing comes of it any more.
    pub fn lost(&self, child: ChildId) {
        // Dropping the sender tells the one who waits.
        self.pending().take_if(|pending| pending.isolate.child() == child);
    }
}

impl PoolHandle {
    /// Examines an isolate by its renderer's and its own number; the result has at most `max_bytes`.
    ///
    /// # Errors
    /// [`ExamineError`] says why nothing came of it.
    pub async fn examine(
        &self,
        (renderer, isolate): (usize, usize),
        what: Examine,
        max_bytes: u64,
    ) -> Result<Examined, ExamineError> {
        let pool = &self.pool;
        let isolate = pool.ready_isolate(renderer, isolate)?;
        let (_place, done) = pool.examinations.begin(isolate)?;
        let path = pool.scratch.of(isolate.child()).join("examination");
        let file = ResultFile::create(&path)?;
        let child = isolate.child();
        let examination = Examination { isolate: isolate.isolate, what, file: path.clone(), max_bytes };
        let supervisor = pool.supervisor.get().ok_or(ExamineError::Lost)?;
        if !supervisor.send(HandOn { child, examination }).await.unwrap_or(false) {
            return Err(ExamineError::Lost);
        }
        let takes = match what {
            Examine::CpuProfile { millis } => Duration::from_millis(millis),
            Examine::HeapSnapshot => Duration::ZERO,
        };
        match tokio::time::timeout(takes + GRACE, done).await {
            Ok(Ok(None)) => {
                let length = file.open.metadata()?.len();
                Ok(Examined { file: file.open.try_clone()?, length })
            }
            Ok(Ok(Some(problem))) => Err(ExamineError::Refused(problem)),
            Ok(Err(_)) => Err(ExamineError::Lost),
            Err(_) => Err(ExamineError::Late),
        }
    }
}

impl Pool {
    fn ready_isolate(&self, renderer: usize, isolate: usize) -> Result<IsolateId, ExamineError> {
        let roster = self.roster();
        let members =
            roster.members.iter().filter(|member| member.id.kind == ChildKind::Renderer && !member.leaving);
        let ready = members.flat_map(|member| {
            let isolates = member.isolate_ids().zip(&member.isolates);
            isolates.filter(|(_, isolate)| isolate.state == State::Ready).map(|(id, _)| id)
        });
        let mut others = Vec::new();
        for id in ready {
            if (id.slot, id.isolate) == (renderer, isolate) {
                return Ok(id);
            }
            others.push(format!("{}.{}", id.slot, id.isolate));
        }
        Err(ExamineError::NoIsolate { asked: format!("{renderer}.{isolate}"), ready: others })
    }
}

/// A file that the renderer fills. It is opened here and before: whatever the renderer puts in its place is not
/// what is read.
struct ResultFile<'a> {
    path: &'a Path,
    open: File,
}

impl<'a> ResultFile<'a> {
    fn create(path: &'a Path) -> io::Result<Self> {
        // What an earlier one left, if it was given up.
        let _ = fs::remove_file(path);
        let open = File::options().read(true).write(true).create_new(true).mode(0o600).open(path)?;
        Ok(Self { path, open })
    }
}

impl Drop for ResultFile<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISOLATE: IsolateId = IsolateId { slot: 1, generation: 2, isolate: 0 };

    #[tokio::test]
    async fn one_at_a_time_and_the_place_frees_on_every_path() {
        let examinations = Examinations::default();
        let (place, _) = examinations.begin(ISOLATE).unwrap();
        assert!(matches!(examinations.begin(ISOLATE), Err(ExamineError::Busy)));
        drop(place);
        let (_place, done) = examinations.begin(ISOLATE).unwrap();
        examinations.examined(IsolateId { isolate: 1, ..ISOLATE }, None);
        examinations.examined(ISOLATE, Some("too large".into()));
        assert_eq!(done.await.unwrap().unwrap(), "too large");
    }

    #[tokio::test]
    async fn who_waits_hears_that_the_process_has_ended() {
        let examinations = Examinations::default();
        let (_place, mut done) = examinations.begin(ISOLATE).unwrap();
        examinations.lost(IsolateId { generation: 3, ..ISOLATE }.child());
        assert!(done.try_recv().is_err_and(|error| error == oneshot::error::TryRecvError::Empty));
        examinations.lost(ISOLATE.child());
        done.await.unwrap_err();
    }

    #[test]
    fn what_the_renderer_puts_in_the_files_place_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let (path, secret) = (dir.path().join("examination"), dir.path().join("secret"));
        fs::write(&secret, "secret").unwrap();
        let file = ResultFile::create(&path).unwrap();
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&secret, &path).unwrap();
        assert_eq!(file.open.metadata().unwrap().len(), 0);
        drop(file);
        assert!(secret.exists() && !path.exists());
        std::os::unix::fs::symlink(&secret, &path).unwrap();
        assert_eq!(ResultFile::create(&path).unwrap().open.metadata().unwrap().len(), 0);
        assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
    }
}
