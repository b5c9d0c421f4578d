//! Directories in which renderers may write: one for each process, made before it starts and removed after its
//! end, whatever its end was.
//!
//! ```text
//! /tmp/isopod-3fKq9x/           the gateway's, locked as long as it lives
//!   renderer-0-1/               one process's: the isolates' temporary folders, results of examinations
//!   renderer-1-1/
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::slot::ChildId;

/// A gateway's directory, less what makes it unique.
const PREFIX: &str = "isopod-scratch-";

/// A directory that is younger may be about to be locked.
const ABANDONED_AFTER: Duration = Duration::from_secs(60);

/// The directories of all renderers; gone when it is dropped.
#[derive(Debug)]
pub(super) struct Scratch {
    root: PathBuf,
    _lock: fs::File,
}

impl Scratch {
    /// A directory in `parent`. What gateways that were killed have left there is removed.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create_in(parent: &Path) -> io::Result<Self> {
        let parent = parent.canonicalize()?;
        remove_abandoned(&parent, ABANDONED_AFTER);
        // For nobody but this user.
        let root = nix::unistd::mkdtemp(&parent.join(format!("{PREFIX}XXXXXX")))?;
        let lock = fs::File::open(&root)?;
        lock.lock()?;
        Ok(Self { root, _lock: lock })
    }

    /// Makes the directory of a process.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make(&self, child: ChildId) -> io::Result<PathBuf> {
        let path = self.of(child);
        fs::create_dir(&path)?;
        Ok(path)
    }

    /// The directory of a process.
    pub fn of(&self, child: ChildId) -> PathBuf {
        self.root.join(format!("{}-{}-{}", child.kind.label(), child.slot, child.generation))
    }

    /// Removes the directory of a process that has ended, in the background: it may hold much.
    pub fn remove(&self, child: ChildId) {
        let path = self.of(child);
        actix_web::rt::task::spawn_blocking(move || remove(&path));
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove(&self.root);
    }
}

fn remove(path: &Path) {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "a temporary directory stays behind");
        }
        _ => {}
    }
}

fn remove_abandoned(parent: &Path, after: Duration) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        if !entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
            continue;
        }
        let age =
            entry.metadata().and_then(|data| data.modified()).map(|time| time.elapsed().unwrap_or_default());
        let is_old = age.is_ok_and(|age| age >= after);
        if is_old && fs::File::open(entry.path()).is_ok_and(|directory| directory.try_lock().is_ok()) {
            // Another gateway may be quicker, or the directory another user's.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::slot::ChildKind;

    #[test]
    fn a_renderers_directory_is_its_own_and_goes_with_the_gateway() {
        let parent = tempfile::tempdir().unwrap();
        let scratch = Scratch::create_in(parent.path()).unwrap();
        let id = |generation| ChildId { kind: ChildKind::Renderer, slot: 0, generation };
        let (first, second) = (scratch.make(id(1)).unwrap(), scratch.make(id(2)).unwrap());
        assert_ne!(first, second);
        fs::write(first.join("x"), "x").unwrap();
        drop(scratch);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_a_killed_gateway_left_goes_and_what_is_in_use_stays() {
        let parent = tempfile::tempdir().unwrap();
        let abandoned = parent.path().join("isopod-scratch-killed");
        let other = parent.path().join("other");
        fs::create_dir(&abandoned).unwrap();
        fs::create_dir(&other).unwrap();
        let used = Scratch::create_in(parent.path()).unwrap();
        assert!(abandoned.exists(), "it is young");
        remove_abandoned(parent.path(), Duration::ZERO);
        assert!(!abandoned.exists() && used.root.exists() && other.exists());
    }
}
