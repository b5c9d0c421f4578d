//! What came out.
//!
//! - [`text`]: tables in the terminal. [`csv`], [`html`], [`markdown`]: files for readers.
//! - [`publish`]: which of them go where.

pub mod csv;
pub mod html;
pub mod markdown;
pub mod publish;
pub mod text;

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use xtask::error::Failure;
use xtask::files;

/// A server that could not take part.
#[derive(Debug, Clone, Serialize)]
pub struct Skipped {
    /// Which one.
    pub server: String,
    /// Why.
    pub reason: String,
}

/// Writes a bench's report under a name of its own and returns where.
///
/// # Errors
///
/// When it cannot be written.
pub fn write(directory: &Path, bench: &str, report: &impl Serialize) -> Result<PathBuf, Failure> {
    let path = directory.join(name(bench));
    files::write(&path, &json(report)?)?;
    Ok(path)
}

/// A file's name that no earlier run has.
fn name(bench: &str) -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since_epoch| since_epoch.as_secs());
    format!("{bench}-{seconds}.json")
}

fn json(report: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(report).map_err(Failure::unreadable("the report"))?;
    Ok(format!("{text}\n"))
}
