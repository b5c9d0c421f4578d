//! One V8 library: its checksum, and the version that it is for.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, Metadata};
use std::io;
use std::path::{self, Path, PathBuf};
use std::str::FromStr;

use crate::digest;
use crate::error::Failure;
use crate::files;
use crate::progress::Task;
use crate::v8::V8Failure;
use crate::workspace::Workspace;

/// The checksums that are published with a library, as `sha256sum` writes them.
pub const CHECKSUMS: &str = "SHA256SUMS";
/// Names the version that the libraries in a directory are for.
pub const VERSION: &str = "VERSION";

/// A version of the v8 crate: `150.4.0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct V8Version(String);

impl V8Version {
    /// The version in the checkout's Cargo.lock.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn locked(workspace: &Workspace) -> Result<Self, Failure> {
        let path = workspace.root.join("Cargo.lock");
        let lock = files::read_if_there(&path)?;
        Ok(lock.and_then(|lock| Self::in_lock(&lock)).ok_or(V8Failure::NotLocked)?)
    }

    fn in_lock(lock: &str) -> Option<Self> {
        let mut lines = lock.lines().skip_while(|line| *line != r#"name = "v8""#);
        lines.nth(1)?.strip_prefix(r#"version = ""#)?.strip_suffix('"')?.parse().ok()
    }
}

impl FromStr for V8Version {
    type Err = ();

    /// Takes `150.4.0` and `v150.4.0`.
    fn from_str(text: &str) -> Result<Self, ()> {
        let text = text.trim();
        let numbers = text.strip_prefix('v').unwrap_or(text);
        let parts: Vec<&str> = numbers.split('.').collect();
        let all_numbers =
            parts.iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
        if parts.len() == 3 && all_numbers { Ok(Self(numbers.to_owned())) } else { Err(()) }
    }
}

impl fmt::Display for V8Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is known of a library's checksum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checksum {
    /// It is the published one.
    Verified(String),
    /// None was published; the user named the file, and answers for it.
    Unpublished,
}

/// A library on this machine.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    metadata: Metadata,
}

impl Archive {
    /// The library at `path`; `None` when no file is there. The path is made absolute and is else left as it was
    /// given, so that it equals the variable that names it.
    ///
    /// # Errors
    ///
    /// When the file cannot be looked at.
    pub fn at(path: &Path) -> Result<Option<Self>, Failure> {
        let path = path::absolute(path).map_err(Failure::file("find", path))?;
        match fs::metadata(&path) {
            Ok(metadata) => Ok(metadata.is_file().then_some(Self { path, metadata })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::file("read", &path)(error)),
        }
    }

    /// The library for a target in a directory; `None` when it holds none.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub fn within(directory: &Path, host: &str) -> Result<Option<Self>, Failure> {
        if !directory.is_dir() {
            return Ok(None);
        }
        let named = |path: &PathBuf| {
            path.file_name().and_then(OsStr::to_str).is_some_and(|name| is_library(name, host))
        };
        match files::children(directory)?.into_iter().find(named) {
            Some(path) => Self::at(&path),
            None => Ok(None),
        }
    }

    /// Where it is, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Size and time, to know the same file again.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Refuses a library for another version. `trusted` lets one pass of which nothing is known.
    ///
    /// # Errors
    ///
    /// As said.
    pub fn require_version(&self, wanted: &V8Version, trusted: bool) -> Result<(), V8Failure> {
        match self.version() {
            Some(found) if found == *wanted => Ok(()),
            Some(found) => {
                Err(V8Failure::OtherVersion { path: self.path.clone(), found, wanted: wanted.clone() })
            }
            None if trusted => Ok(()),
            None => Err(V8Failure::UnknownVersion { path: self.path.clone(), wanted: wanted.clone() }),
        }
    }

    /// By a file VERSION beside it, a directory's name above it, or the README beside it, in this order.
    fn version(&self) -> Option<V8Version> {
        let beside = |name| fs::read_to_string(self.path.with_file_name(name)).ok();
        beside(VERSION)
            .and_then(|text| text.parse().ok())
            .or_else(|| version_in_path(&self.path))
            .or_else(|| beside("README.md").and_then(|text| version_in_readme(&text)))
    }

    /// Hashes the file and compares. `trusted` lets one pass for which no checksum was published.
    ///
    /// # Errors
    ///
    /// When the checksum differs, or is not published and `trusted` does not hold.
    pub fn verify(&self, trusted: bool) -> Result<Checksum, Failure> {
        let Some(expected) = self.published_checksum()? else {
            return if trusted {
                Ok(Checksum::Unpublished)
            } else {
                Err(V8Failure::Unlisted { path: self.path.clone() }.into())
            };
        };
        let task = Task::start("checking the V8 library");
        let found = digest::of_file(&self.path)?;
        task.done();
        if found.eq_ignore_ascii_case(&expected) {
            Ok(Checksum::Verified(found))
        } else {
            Err(V8Failure::Checksum { path: self.path.clone(), found, expected }.into())
        }
    }

    fn published_checksum(&self) -> Result<Option<String>, Failure> {
        let sums = self.path.with_file_name(CHECKSUMS);
        let name = self.path.file_name().and_then(OsStr::to_str);
        Ok(files::read_if_there(&sums)?.zip(name).and_then(|(text, name)| listed(&text, name)))
    }
}

/// The v8 crate's name for a prebuilt library: `librusty_v8_simdutf_release_x86_64-unknown-linux-gnu.a.gz`.
fn is_library(name: &str, host: &str) -> bool {
    let stem = name.strip_suffix(".gz").unwrap_or(name);
    stem.starts_with("librusty_v8") && stem.ends_with(&format!("_release_{host}.a"))
}

fn listed(sums: &str, name: &str) -> Option<String> {
    sums.lines().find_map(|line| {
        let (checksum, listed) = line.split_once(char::is_whitespace)?;
        let listed = listed.trim_start().trim_start_matches('*').trim_start_matches("./");
        (listed == name).then(|| checksum.to_owned())
    })
}

fn version_in_path(path: &Path) -> Option<V8Version> {
    path.components().rev().find_map(|part| part.as_os_str().to_str()?.parse().ok())
}

/// The first version that follows the word `v8`.
fn version_in_readme(text: &str) -> Option<V8Version> {
    let words: Vec<&str> = text.split_whitespace().collect();
    words
        .windows(2)
        .filter(|pair| pair[0].trim_matches('`').eq_ignore_ascii_case("v8"))
        .find_map(|pair| pair[1].trim_matches(|c: char| !c.is_ascii_digit()).parse().ok())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use tempfile::TempDir;

    use super::{
        Archive, CHECKSUMS, Checksum, V8Version, is_library, listed, version_in_path, version_in_readme,
    };
    use crate::error::Failure;
    use crate::v8::V8Failure;

    const HOST: &str = "x86_64-unknown-linux-gnu";
    const NAME: &str = "librusty_v8_simdutf_release_x86_64-unknown-linux-gnu.a.gz";
    /// Of the three bytes `abc`.
    const SHA256_OF_ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn version(text: &str) -> V8Version {
        text.parse().unwrap()
    }

    fn archive_with(files: &[(&str, &str)]) -> (TempDir, Archive) {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(NAME), "abc").unwrap();
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        let archive = Archive::within(directory.path(), HOST).unwrap().unwrap();
        (directory, archive)
    }

    #[test]
    fn the_locked_version_is_that_of_the_package_named_v8() {
        let lock = "[[package]]\nname = \"serde_v8\"\nversion = \"0.322.0\"\n\n\
                    [[package]]\nname = \"v8\"\nversion = \"150.4.0\"\nsource = \"registry\"\n";
        assert_eq!(V8Version::in_lock(lock), Some(version("150.4.0")));
        assert_eq!(V8Version::in_lock("[[package]]\nname = \"v8x\"\nversion = \"1.0.0\"\n"), None);
    }

    #[test]
    fn a_version_has_three_numbers() {
        assert_eq!(version("v150.4.0\n"), version("150.4.0"));
        for wrong in ["150.4", "150.4.x", "", "1..2", "150.4.0.1"] {
            assert!(wrong.parse::<V8Version>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_library_is_known_by_the_crates_name_for_this_target() {
        assert!(is_library(NAME, HOST));
        assert!(is_library("librusty_v8_release_x86_64-unknown-linux-gnu.a", HOST));
        assert!(!is_library("librusty_v8_simdutf_release_aarch64-unknown-linux-gnu.a.gz", HOST));
        assert!(!is_library("librusty_v8_debug_x86_64-unknown-linux-gnu.a.gz", HOST));
    }

    #[test]
    fn the_version_is_read_from_a_path_or_a_readme() {
        assert_eq!(
            version_in_path(Path::new("/home/u/.cache/isopod/v8/150.4.0/lib.a.gz")),
            Some(version("150.4.0"))
        );
        assert_eq!(version_in_path(Path::new("/opt/v8/lib.a.gz")), None);
        let readme =
            "# The V8 library\nthe static library that the crate `v8` 150.4.0 (with `deno_core` 0.413.0)";
        assert_eq!(version_in_readme(readme), Some(version("150.4.0")));
        assert_eq!(version_in_readme("for V8, any"), None);
    }

    #[test]
    fn both_forms_of_checksum_lines_are_read() {
        assert_eq!(listed("aa  other\nbb  name\n", "name").as_deref(), Some("bb"));
        assert_eq!(listed("cc *./name\n", "name").as_deref(), Some("cc"));
        assert_eq!(listed("cc  name.old\n", "name"), None);
    }

    #[test]
    fn a_library_for_another_version_is_refused() {
        let (_directory, archive) = archive_with(&[("VERSION", "151.0.0\n")]);
        let refused = archive.require_version(&version("150.4.0"), true).unwrap_err();
        assert!(matches!(refused, V8Failure::OtherVersion { found, .. } if found == version("151.0.0")));
        assert!(archive.require_version(&version("151.0.0"), false).is_ok());
    }

    #[test]
    fn a_library_of_unknown_version_passes_only_when_the_user_named_it() {
        let (_directory, archive) = archive_with(&[]);
        assert!(archive.require_version(&version("150.4.0"), true).is_ok());
        assert!(matches!(
            archive.require_version(&version("150.4.0"), false),
            Err(V8Failure::UnknownVersion { .. })
        ));
    }

    #[test]
    fn the_published_checksum_must_match() {
        let (_directory, good) = archive_with(&[(CHECKSUMS, &format!("{SHA256_OF_ABC}  {NAME}\n"))]);
        assert_eq!(good.verify(false).unwrap(), Checksum::Verified(SHA256_OF_ABC.to_owned()));

        let (_directory, bad) = archive_with(&[(CHECKSUMS, &format!("{}  {NAME}\n", "0".repeat(64)))]);
        assert!(matches!(bad.verify(true), Err(Failure::V8(V8Failure::Checksum { .. }))));
    }

    #[test]
    fn without_a_published_checksum_only_the_users_own_file_passes() {
        let (_directory, archive) = archive_with(&[]);
        assert_eq!(archive.verify(true).unwrap(), Checksum::Unpublished);
        assert!(matches!(archive.verify(false), Err(Failure::V8(V8Failure::Unlisted { .. }))));
    }

    #[test]
    fn an_absent_place_holds_no_library() {
        let nowhere = PathBuf::from("/nonexistent/isopod");
        assert!(Archive::at(&nowhere).unwrap().is_none());
        assert!(Archive::within(&nowhere, HOST).unwrap().is_none());
    }
}
