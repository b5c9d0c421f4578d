//! The user's copy of the library, so that every checkout links the same file: cargo builds V8's dependents again
//! whenever the path changes.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;

use crate::error::Failure;
use crate::progress;
use crate::v8::V8Version;
use crate::v8::archive::{Archive, CHECKSUMS, VERSION};
use crate::v8::search::Origin;

/// `isopod/v8/VERSION` in `$XDG_CACHE_HOME`, else in `~/.cache`; `None` for a user without a home.
pub fn directory(wanted: &V8Version) -> Option<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let root = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
    Some(root.join("isopod/v8").join(wanted.to_string()))
}

/// Copies a verified library. Where the cache cannot be written to, the library is used where it is.
///
/// # Errors
///
/// When the copy cannot be read back.
pub fn keep(
    archive: &Archive,
    checksum: &str,
    version: &V8Version,
    directory: &Path,
) -> Result<(Archive, Origin), Failure> {
    match copy(archive.path(), checksum, version, directory) {
        Ok(path) => {
            let copied = Archive::at(&path)?;
            let lost = || Failure::file("find", &path)(io::ErrorKind::NotFound.into());
            Ok((copied.ok_or_else(lost)?, Origin::Cache))
        }
        Err(error) => {
            progress::say(&format!("no copy kept in {}: {error}", directory.display()));
            let original = Archive::at(archive.path())?;
            let lost = || Failure::file("find", archive.path())(io::ErrorKind::NotFound.into());
            Ok((original.ok_or_else(lost)?, Origin::Beside))
        }
    }
}

fn copy(from: &Path, checksum: &str, version: &V8Version, directory: &Path) -> io::Result<PathBuf> {
    let name = from.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    fs::create_dir_all(directory)?;
    fs::write(directory.join(VERSION), format!("{version}\n"))?;
    fs::write(directory.join(CHECKSUMS), format!("{checksum}  {}\n", name.to_string_lossy()))?;
    // The library goes last and in one step: a reader finds all of it or none.
    let partial = directory.join(format!("partial-{}", process::id()));
    fs::copy(from, &partial)?;
    let path = directory.join(name);
    fs::rename(&partial, &path)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::keep;
    use crate::digest;
    use crate::v8::archive::{Archive, Checksum};
    use crate::v8::search::Origin;

    const NAME: &str = "librusty_v8_simdutf_release_x86_64-unknown-linux-gnu.a.gz";

    #[test]
    fn a_kept_copy_passes_the_checks_of_a_later_search() {
        let machine = tempfile::tempdir().unwrap();
        let original = machine.path().join(NAME);
        fs::write(&original, "v8").unwrap();
        let checksum = digest::of_file(&original).unwrap();
        let archive = Archive::at(&original).unwrap().unwrap();
        let version = "150.4.0".parse().unwrap();

        let cache = machine.path().join("cache/isopod");
        let (copied, origin) = keep(&archive, &checksum, &version, &cache).unwrap();

        assert_eq!(origin, Origin::Cache);
        assert!(copied.path().ends_with(format!("cache/isopod/{NAME}")));
        assert_eq!(copied.verify(false).unwrap(), Checksum::Verified(checksum));
        copied.require_version(&version, false).unwrap();
        assert_eq!(fs::read_dir(&cache).unwrap().count(), 3, "nothing partial is left");
    }

    #[test]
    fn without_a_writable_cache_the_original_is_used() {
        let machine = tempfile::tempdir().unwrap();
        let original = machine.path().join(NAME);
        fs::write(&original, "v8").unwrap();
        let archive = Archive::at(&original).unwrap().unwrap();

        // A file is where the directory should be.
        let (used, origin) = keep(&archive, "00", &"150.4.0".parse().unwrap(), &original).unwrap();

        assert_eq!(origin, Origin::Beside);
        assert_eq!(used.path(), archive.path());
    }
}
