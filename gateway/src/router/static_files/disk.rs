//! A file that stays on disk, sent in bounded pieces.

use std::fs::{File, Metadata};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use tokio::task::{JoinHandle, spawn_blocking};

/// How much of a file is read, and held in memory, at a time.
const PIECE_BYTES: u64 = 64 * 1024;

/// A file of the index. Its path comes from the walk at the start, never from a request.
#[derive(Debug, Clone)]
pub struct DiskFile {
    path: PathBuf,
    length: u64,
    modified: SystemTime,
}

impl DiskFile {
    /// The file at `path` with this length and time.
    pub fn new(path: PathBuf, length: u64, modified: SystemTime) -> Self {
        Self { path, length, modified }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A body of these bytes of the file.
    ///
    /// # Errors
    /// When the file is gone or has changed: its tag would promise other content.
    pub async fn open(&self, range: Range<u64>) -> io::Result<DiskBody> {
        let file = self.clone();
        let file = spawn_blocking(move || {
            let open = File::open(&file.path)?;
            if !file.is_unchanged(&open.metadata()?) {
                return Err(io::Error::other("it has changed since the start"));
            }
            Ok(Arc::new(open))
        });
        Ok(DiskBody::of(file.await??, range))
    }

    fn is_unchanged(&self, now: &Metadata) -> bool {
        now.len() == self.length && now.modified().is_ok_and(|modified| modified == self.modified)
    }
}

/// Bytes of a file, read as the client takes them.
#[derive(Debug)]
pub struct DiskBody {
    file: Arc<File>,
    range: Range<u64>,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

impl DiskBody {
    /// A body of these bytes of an open file.
    pub fn of(file: Arc<File>, range: Range<u64>) -> Self {
        Self { file, range, reading: None }
    }
}

impl MessageBody for DiskBody {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.range.end - self.range.start)
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let this = &mut *self;
        if this.range.is_empty() {
            return Poll::Ready(None);
        }
        let (file, start) = (&this.file, this.range.start);
        let length = PIECE_BYTES.min(this.range.end - start);
        let reading = this.reading.get_or_insert_with(|| {
            let file = Arc::clone(file);
            spawn_blocking(move || read(&file, start, length))
        });
        let piece = ready!(Pin::new(reading).poll(cx))?;
        this.reading = None;
        this.range.start += length;
        Poll::Ready(Some(piece))
    }
}

fn read(file: &File, start: u64, length: u64) -> io::Result<Bytes> {
    let mut piece = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact_at(&mut piece, start)?;
    Ok(piece.into())
}
