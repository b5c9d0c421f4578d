//! Which files a run leaves: all below the git-ignored cache, and, when told so, small ones in `docs`.

use std::fs;
use std::path::{Path, PathBuf};

use xtask::error::Failure;
use xtask::files;
use xtask::workspace::Workspace;

use super::{csv, html, markdown};
use crate::scenarios::results::Run;

/// The charts that are kept in `docs` as files of their own: what a reader looks for first.
const KEPT: [&str; 4] =
    ["hello-threads-react-cpu", "hello-threads-react-throughput", "spike-", "memory-threads-react"];

/// Writes the page and the comma-separated values below a directory.
///
/// # Errors
///
/// When one cannot be written.
pub fn write(directory: &Path, run: &Run) -> Result<Vec<PathBuf>, Failure> {
    let files = [("report.html", html::render(run)), ("report.csv", csv::render(run))];
    let write = |(name, text): (&str, String)| {
        let path = directory.join(name);
        files::write(&path, &text).map(|()| path)
    };
    files.into_iter().map(write).collect()
}

/// Writes the page and some charts to `docs/bench`, and the tables into `docs/performance.md`.
///
/// # Errors
///
/// When one cannot be written.
pub fn into_docs(workspace: &Workspace, run: &Run) -> Result<Vec<PathBuf>, Failure> {
    let directory = workspace.root.join("docs/bench");
    let mut written = Vec::new();
    let mut put = |path: PathBuf, text: &str| files::write(&path, text).map(|()| written.push(path));
    put(directory.join("report.html"), &html::render(run))?;
    let charts = run.results.iter().flat_map(html::charts).chain(html::memory(run));
    for (name, chart) in charts.filter(|(name, _)| KEPT.iter().any(|kept| name.starts_with(kept))) {
        put(directory.join(format!("{name}.svg")), &chart)?;
    }
    let document = workspace.root.join("docs/performance.md");
    let text = fs::read_to_string(&document).map_err(Failure::file("read", &document))?;
    put(document, &markdown::replace(&text, run))?;
    Ok(written)
}
