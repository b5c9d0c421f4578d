//! `.cargo/v8.local.toml`: git-ignored, included by the tracked `.cargo/config.toml`.
//!
//! The variable is not forced: one that the user exports goes first, as it does in the search.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::error::Failure;
use crate::files;
use crate::v8::archive::Archive;
use crate::v8::search::Origin;
use crate::v8::{V8Failure, VARIABLE};
use crate::workspace::Workspace;

const FOUND: &str = "# found: ";
const CHECKED: &str = "# checked: ";

/// The file.
#[derive(Debug)]
pub struct LocalConfig {
    path: PathBuf,
}

/// What the file says.
#[derive(Debug, PartialEq, Eq)]
pub struct Written {
    /// The variable's value.
    pub value: String,
    /// Who named it; `None` when the file was written by hand, which is the user's word too.
    pub origin: Option<Origin>,
    /// The library that was hashed.
    pub checked: Option<String>,
}

impl Written {
    /// The user chose the value, not the search.
    pub fn is_the_users(&self) -> bool {
        self.origin.is_none_or(Origin::is_the_users)
    }

    /// The library is the one that was hashed when the file was written.
    pub fn describes(&self, archive: &Archive) -> bool {
        archive.path() == Path::new(&self.value) && self.checked.as_deref() == Some(&identity(archive))
    }

    fn parse(text: &str) -> Option<Self> {
        let after = |start: &str| text.lines().find_map(|line| line.strip_prefix(start));
        let value = after(&format!("{VARIABLE} = "))?;
        let origin = match after(FOUND) {
            Some("environment") => Some(Origin::Environment),
            Some("cache") => Some(Origin::Cache),
            Some("beside") => Some(Origin::Beside),
            _ => None,
        };
        let value = basic_string(value.strip_prefix("{ value = ").unwrap_or(value))?;
        Some(Self { value, origin, checked: after(CHECKED).map(str::to_owned) })
    }

    fn text(&self) -> Option<String> {
        let mut text = String::from("# Written by `cargo xtask v8`. Delete it to search again.\n");
        let origin = self.origin.map(|origin| match origin {
            Origin::Environment => "environment",
            Origin::Cache => "cache",
            Origin::Beside => "beside",
        });
        for (start, value) in [(FOUND, origin), (CHECKED, self.checked.as_deref())] {
            if let Some(value) = value {
                writeln!(text, "{start}{value}").ok()?;
            }
        }
        let value = quoted(&self.value)?;
        writeln!(text, "[env]\n{VARIABLE} = {{ value = {value}, force = false }}").ok()?;
        Some(text)
    }
}

impl LocalConfig {
    /// The checkout's.
    pub fn of(workspace: &Workspace) -> Self {
        Self { path: workspace.root.join(".cargo/v8.local.toml") }
    }

    /// What it says; `None` when there is none, or it does not name a library.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn read(&self) -> Result<Option<Written>, Failure> {
        Ok(files::read_if_there(&self.path)?.as_deref().and_then(Written::parse))
    }

    /// Names a library.
    ///
    /// # Errors
    ///
    /// When the path cannot be written as text, or the file cannot be written.
    pub fn write(&self, archive: &Archive, origin: Origin) -> Result<(), Failure> {
        let unwritable = || V8Failure::Unwritable { path: archive.path().to_owned() };
        let value = archive.path().to_str().ok_or_else(unwritable)?.to_owned();
        self.put(&Written { value, origin: Some(origin), checked: Some(identity(archive)) })
    }

    /// Names an address that the user chose.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn write_address(&self, address: &str) -> Result<(), Failure> {
        self.put(&Written { value: address.to_owned(), origin: Some(Origin::Environment), checked: None })
    }

    /// Lets the v8 crate download its own.
    ///
    /// # Errors
    ///
    /// When the file is there and cannot be removed.
    pub fn remove(&self) -> Result<(), Failure> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Failure::file("remove", &self.path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Leaves a file alone that already says the same.
    fn put(&self, written: &Written) -> Result<(), Failure> {
        let unwritable = || V8Failure::Unwritable { path: PathBuf::from(&written.value) };
        let text = written.text().ok_or_else(unwritable)?;
        if files::read_if_there(&self.path)?.as_ref() == Some(&text) {
            return Ok(());
        }
        files::write(&self.path, &text)
    }
}

/// Size and time: enough to know that a file was not touched since it was hashed.
fn identity(archive: &Archive) -> String {
    let metadata = archive.metadata();
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    format!("{} bytes, modified {} ns", metadata.len(), modified.map_or(0, |time| time.as_nanos()))
}

/// A TOML basic string; `None` for control characters.
fn quoted(value: &str) -> Option<String> {
    let plain = !value.chars().any(char::is_control);
    plain.then(|| format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// The TOML basic string that the text starts with, of those that [`quoted`] writes.
fn basic_string(text: &str) -> Option<String> {
    let mut value = String::new();
    let mut characters = text.strip_prefix('"')?.chars();
    loop {
        match characters.next()? {
            '"' => return Some(value),
            '\\' => value.push(characters.next()?),
            plain => value.push(plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{LocalConfig, Written};
    use crate::v8::archive::Archive;
    use crate::v8::search::Origin;
    use crate::workspace::Workspace;

    #[test]
    fn what_is_written_is_read_back() {
        for value in ["/a/lib.a.gz", r#"/with "quotes"/and\back"#, "https://mirror.example/v8.a.gz"] {
            let written = Written {
                value: value.to_owned(),
                origin: Some(Origin::Environment),
                checked: Some("3 bytes, modified 4 ns".to_owned()),
            };
            let text = written.text().unwrap();
            assert_eq!(Written::parse(&text), Some(written), "{text}");
        }
    }

    #[test]
    fn a_file_written_by_hand_is_read_too() {
        let text = "[env]\nRUSTY_V8_ARCHIVE = \"/own/lib.a.gz\"\n";
        let by_hand = Written { value: "/own/lib.a.gz".to_owned(), origin: None, checked: None };
        assert_eq!(Written::parse(text), Some(by_hand));
    }

    #[test]
    fn control_characters_cannot_be_written() {
        let written = Written { value: "/a\n[env]".to_owned(), origin: None, checked: None };
        assert_eq!(written.text(), None);
    }

    #[test]
    fn a_library_that_was_touched_is_checked_again() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join(".cargo")).unwrap();
        let root = directory.path().to_owned();
        let config = LocalConfig::of(&Workspace { target: root.join("target"), root });
        let library = directory.path().join("lib.a.gz");
        fs::write(&library, "one").unwrap();
        let archive = Archive::at(&library).unwrap().unwrap();

        config.write(&archive, Origin::Cache).unwrap();
        assert!(config.read().unwrap().unwrap().describes(&archive));

        fs::write(&library, "three").unwrap();
        let touched = Archive::at(&library).unwrap().unwrap();
        assert!(!config.read().unwrap().unwrap().describes(&touched));
    }

    #[test]
    fn the_file_is_written_only_when_it_says_something_new() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join(".cargo")).unwrap();
        let root = directory.path().to_owned();
        let config = LocalConfig::of(&Workspace { target: root.join("target"), root });
        config.write_address("https://mirror.example/v8.a.gz").unwrap();
        let file = directory.path().join(".cargo/v8.local.toml");
        let first = fs::metadata(&file).unwrap().modified().unwrap();

        config.write_address("https://mirror.example/v8.a.gz").unwrap();

        assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), first);
        config.remove().unwrap();
        config.remove().unwrap();
        assert_eq!(config.read().unwrap(), None);
    }
}
