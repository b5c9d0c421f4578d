//! Whether files are still what they were when they were read.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What tells a file from another one of its name, and its content from a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    bytes: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    /// The same of the last change of any kind, which no program can set back.
    changed: (i64, i64),
}

impl Stamp {
    fn of(found: &fs::Metadata) -> Self {
        Self {
            file: (found.dev(), found.ino()),
            bytes: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}

/// The files that were read since [`Stamps::begin`].
#[derive(Debug, Default)]
pub struct Stamps(RefCell<Option<Vec<(PathBuf, Stamp)>>>);

impl Stamps {
    /// Remembers from now on what is read.
    pub fn begin(&self) {
        self.0.replace(Some(Vec::new()));
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut files = self.0.borrow_mut();
        let Some(files) = files.as_mut() else { return fs::read(path) };
        let mut file = File::open(path)?;
        // Before its content: what is written meanwhile makes another stamp.
        let found = file.metadata()?;
        let mut bytes = Vec::with_capacity(usize::try_from(found.len()).unwrap_or(0));
        file.read_to_end(&mut bytes)?;
        files.push((path.to_owned(), Stamp::of(&found)));
        Ok(bytes)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.borrow().as_ref().map_or(0, Vec::len)
    }

    /// Whether all of them are still there and as they were. Remembers none of them afterwards.
    pub fn end(&self) -> bool {
        let files = self.0.take().unwrap_or_default();
        files.iter().all(|(path, stamp)| fs::metadata(path).is_ok_and(|found| Stamp::of(&found) == *stamp))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that was read, and what has to be done to it.
    fn after(change: impl FnOnce(&Path)) -> bool {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("chunk.js");
        fs::write(&path, "one").unwrap();
        let stamps = Stamps::default();
        stamps.begin();
        assert_eq!(stamps.read(&path).unwrap(), b"one");
        change(&path);
        stamps.end()
    }

    #[test]
    fn a_file_that_nobody_touched_is_as_it_was() {
        assert!(after(|_| {}));
    }

    #[test]
    fn each_change_is_noticed() {
        assert!(!after(|path| fs::write(path, "three").unwrap()), "longer");
        assert!(!after(|path| fs::remove_file(path).unwrap()), "gone");
        assert!(!after(|path| {
            let new = path.with_extension("new");
            fs::write(&new, "two").unwrap();
            fs::rename(new, path).unwrap();
        }));
    }

    #[test]
    fn what_is_read_outside_of_that_time_does_not_count() {
        let stamps = Stamps::default();
        let file = tempfile::NamedTempFile::new().unwrap();
        stamps.read(file.path()).unwrap();
        stamps.begin();
        fs::write(file.path(), "changed").unwrap();
        assert!(stamps.end());
        stamps.read(file.path()).unwrap();
        assert!(stamps.0.borrow().is_none());
    }
}
