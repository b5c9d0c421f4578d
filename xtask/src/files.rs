//! Files that may be absent, and directories in a stable order.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::Failure;

/// A file's text; `None` when there is no such file.
///
/// # Errors
///
/// When it is there and cannot be read as UTF-8.
pub fn read_if_there(path: &Path) -> Result<Option<String>, Failure> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::file("read", path)(error)),
    }
}

/// What a directory holds, sorted by name.
///
/// # Errors
///
/// When it cannot be listed.
pub fn children(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut paths = fs::read_dir(directory)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>())
        .map_err(Failure::file("list", directory))?;
    paths.sort();
    Ok(paths)
}

/// Writes a file, and the directories above it.
///
/// # Errors
///
/// When one cannot be written.
pub fn write(path: &Path, text: &str) -> Result<(), Failure> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(Failure::file("create", directory))?;
    }
    fs::write(path, text).map_err(Failure::file("write", path))
}
