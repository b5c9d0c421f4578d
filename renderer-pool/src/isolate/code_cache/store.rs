//! Packs on disk: one file for each app and build, replaced as a whole, the least used ones removed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use libc::O_NOFOLLOW;
use nix::unistd::geteuid;

/// What packs end with.
const SUFFIX: &str = ".v8pack";

/// What files end with that are still being written.
const UNFINISHED: &str = ".new";

/// An unfinished file that is so old has lost its writer.
const ABANDONED_AFTER: Duration = Duration::from_secs(600);

/// Tells this process's unfinished files apart.
static WRITES: AtomicU64 = AtomicU64::new(0);

/// One app's file in a directory for many.
#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
    name: String,
    max_bytes: u64,
}

impl Store {
    /// The file `name` in `directory`, whose packs take at most `max_bytes` together.
    pub fn new(directory: PathBuf, name: &str, max_bytes: u64) -> Self {
        Self { directory, name: format!("{name}{SUFFIX}"), max_bytes }
    }

    /// Where the file is.
    pub fn path(&self) -> PathBuf {
        self.directory.join(&self.name)
    }

    /// The file's bytes, or nothing when there is no file.
    ///
    /// # Errors
    /// When it cannot be read, is too large, or others than this user could have written it.
    pub fn read(&self) -> io::Result<Option<Vec<u8>>> {
        refuse_others(&fs::metadata(&self.directory)?)?;
        let opened = OpenOptions::new().read(true).custom_flags(O_NOFOLLOW).open(self.path());
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let found = file.metadata()?;
        refuse_others(&found)?;
        if !found.is_file() || found.len() > self.max_bytes {
            return Err(io::Error::other("it is no file, or larger than the whole cache may be"));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(found.len()).unwrap_or(0));
        (&file).take(self.max_bytes).read_to_end(&mut bytes)?;
        // When it was used last; where that cannot be written down it goes earlier.
        let _ = file.set_modified(SystemTime::now());
        Ok(Some(bytes))
    }

    /// Replaces the file, in one step for whoever reads it, and makes room for it. Returns whether it was kept: a
    /// pack that is larger than the whole cache may be is not.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn write(&self, bytes: &[u8]) -> io::Result<bool> {
        if bytes.len() as u64 > self.max_bytes {
            return Ok(false);
        }
        refuse_others(&fs::metadata(&self.directory)?)?;
        let (process, write) = (std::process::id(), WRITES.fetch_add(1, Ordering::Relaxed));
        let unfinished = self.directory.join(format!("{}.{process}-{write}{UNFINISHED}", self.name));
        let written = write_new(&unfinished, bytes).and_then(|()| fs::rename(&unfinished, self.path()));
        if written.is_err() {
            // The same reason may keep it there; it is removed when it is old.
            let _ = fs::remove_file(&unfinished);
        }
        written?;
        self.make_room(ABANDONED_AFTER);
        Ok(true)
    }

    /// Removes what was used least recently until the rest fits. Others may do the same at the same time.
    fn make_room(&self, abandoned_after: Duration) {
        let now = SystemTime::now();
        let mut packs = Vec::new();
        for entry in fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            let (Ok(found), name) = (entry.metadata(), entry.file_name()) else { continue };
            let (Ok(modified), Some(name)) = (found.modified(), name.to_str()) else { continue };
            if name.ends_with(SUFFIX) {
                packs.push((modified, found.len(), entry.path()));
            } else if name.ends_with(UNFINISHED)
                && now.duration_since(modified).is_ok_and(|age| age >= abandoned_after)
            {
                let _ = fs::remove_file(entry.path());
            }
        }
        packs.sort();
        let mut total: u64 = packs.iter().map(|(_, bytes, _)| bytes).sum();
        let own = self.path();
        for (_, bytes, path) in packs.iter().filter(|(_, _, path)| *path != own) {
            if total <= self.max_bytes {
                break;
            }
            // Whether it was there to be removed or not: it is gone.
            let _ = fs::remove_file(path);
            total -= bytes;
        }
    }
}

/// Code comes from here: nobody but this user and the system's administrator may be able to write it.
fn refuse_others(found: &fs::Metadata) -> io::Result<()> {
    let is_ours = found.uid() == geteuid().as_raw() || found.uid() == 0;
    if is_ours && found.mode() & 0o022 == 0 {
        Ok(())
    } else {
        let problem = "others than this user may write it; make it this user's own (chmod go-w)";
        Err(io::Error::new(io::ErrorKind::PermissionDenied, problem))
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // What a process with the same number left behind is no obstacle.
    let _ = fs::remove_file(path);
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn private_directory() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn store(directory: &tempfile::TempDir, name: &str, max_bytes: u64) -> Store {
        Store::new(directory.path().to_owned(), name, max_bytes)
    }

    fn aged(store: &Store, seconds: u64) {
        let file = File::open(store.path()).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
    }

    #[test]
    fn a_file_is_there_once_it_was_written() {
        let directory = private_directory();
        let store = store(&directory, "app", 1000);
        assert_eq!(store.read().unwrap(), None);
        assert!(store.write(b"first").unwrap());
        assert!(store.write(b"second").unwrap());
        assert_eq!(store.read().unwrap().unwrap(), b"second");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing unfinished stays");
        assert_eq!(fs::metadata(store.path()).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_was_used_least_goes_first() {
        let directory = private_directory();
        let stores = ["oldest", "older", "used"].map(|name| store(&directory, name, 1000));
        for (store, age) in stores.iter().zip([300, 200, 400]) {
            assert!(store.write(&[0; 300]).unwrap());
            aged(store, age);
        }
        stores[2].read().unwrap();
        let new = store(&directory, "new", 1000);
        assert!(new.write(&[0; 300]).unwrap());
        let there = stores.each_ref().map(|store| store.path().exists());
        assert_eq!(there, [false, true, true]);
        assert!(new.path().exists());
    }

    #[test]
    fn a_file_that_is_too_large_is_neither_kept_nor_read() {
        let directory = private_directory();
        assert!(store(&directory, "app", 1000).write(&[0; 1000]).unwrap());
        let smaller = store(&directory, "app", 999);
        assert!(!smaller.write(&[0; 1000]).unwrap());
        smaller.read().unwrap_err();
    }

    #[test]
    fn what_others_may_write_is_not_trusted() {
        let directory = private_directory();
        let store = store(&directory, "app", 1000);
        store.write(b"code").unwrap();
        fs::set_permissions(store.path(), fs::Permissions::from_mode(0o660)).unwrap();
        assert_eq!(store.read().unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        fs::set_permissions(store.path(), fs::Permissions::from_mode(0o600)).unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(store.read().unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(store.write(b"code").unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn a_link_is_not_followed() {
        let directory = private_directory();
        let store = store(&directory, "app", 1000);
        let elsewhere = tempfile::NamedTempFile::new().unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), store.path()).unwrap();
        store.read().unwrap_err();
    }

    #[test]
    fn unfinished_files_go_when_their_writer_has() {
        let directory = private_directory();
        let store = store(&directory, "app", 1000);
        let abandoned = directory.path().join("app.v8pack.1.new");
        fs::write(&abandoned, "half").unwrap();
        store.make_room(ABANDONED_AFTER);
        assert!(abandoned.exists(), "it is young");
        store.make_room(Duration::ZERO);
        assert!(!abandoned.exists());
    }

    #[test]
    fn many_writers_leave_one_whole_file() {
        let directory = private_directory();
        std::thread::scope(|scope| {
            for number in 0..8u8 {
                let store = store(&directory, "app", 1 << 20);
                scope.spawn(move || {
                    for _ in 0..20 {
                        assert!(store.write(&[number; 4096]).unwrap());
                        let bytes = store.read().unwrap().unwrap();
                        assert!(bytes.len() == 4096 && bytes.iter().all(|byte| *byte == bytes[0]), "mixed");
                    }
                });
            }
        });
    }
}
