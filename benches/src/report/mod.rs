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

use crate::machine::Machine;
use crate::slice::Sample;
use crate::statistics::Summary;

/// A whole run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Which bench.
    pub bench: &'static str,
    /// Where it ran.
    pub machine: Machine,
    /// One for each app.
    pub apps: Vec<AppReport>,
    /// Who was to take part and did not, and why.
    pub skipped: Vec<Skipped>,
}

/// One app's servers.
#[derive(Debug, Serialize)]
pub struct AppReport {
    /// The app.
    pub app: String,
    /// Bytes of the page.
    pub page_bytes: usize,
    /// Isopod first.
    pub servers: Vec<Standing>,
}

/// A server that could not take part.
#[derive(Debug, Clone, Serialize)]
pub struct Skipped {
    /// Which one.
    pub server: String,
    /// Why.
    pub reason: String,
}

/// One server's figures.
#[derive(Debug, Serialize)]
pub struct Standing {
    /// Which one.
    pub server: String,
    /// Its version.
    pub version: String,
    /// How it was started.
    pub command: String,
    /// Answers per second.
    pub requests_per_second: Summary,
    /// CPU time of the process tree for each answer, microseconds.
    pub cpu_micros_per_request: Summary,
    /// CPU time per second, in cores.
    pub cores_used: Summary,
    /// Median latency, milliseconds.
    pub p50_millis: Summary,
    /// 99th percentile of latency, milliseconds.
    pub p99_millis: Summary,
    /// All slices, in the order in which they ran.
    pub slices: Vec<Sample>,
}

impl Standing {
    /// Of a server's slices; `None` when there are none.
    pub fn of(server: &str, version: String, command: String, slices: Vec<Sample>) -> Option<Self> {
        let summary = |figure: fn(&Sample) -> f64| Summary::of(slices.iter().map(figure));
        Some(Self {
            server: server.to_owned(),
            version,
            command,
            requests_per_second: summary(|slice| slice.requests_per_second)?,
            cpu_micros_per_request: summary(|slice| slice.cpu_micros_per_request)?,
            cores_used: summary(|slice| slice.cores_used)?,
            p50_millis: summary(|slice| slice.p50_millis)?,
            p99_millis: summary(|slice| slice.p99_millis)?,
            slices,
        })
    }
}

/// Writes a bench's report under a name of its own and returns where.
///
/// # Errors
///
/// When it cannot be written.
pub fn write(directory: &Path, bench: &str, report: &impl Serialize) -> Result<PathBuf, Failure> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since_epoch| since_epoch.as_secs());
    let path = directory.join(format!("{bench}-{seconds}.json"));
    let text = serde_json::to_string_pretty(report).map_err(Failure::unreadable("the report"))?;
    files::write(&path, &format!("{text}\n"))?;
    Ok(path)
}
