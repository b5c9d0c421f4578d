//! Which files a run leaves: all below the git-ignored cache, and, when told so, small ones in `docs`.

use std::fs;
use std::path::{Path, PathBuf};

use xtask::error::Failure;
use xtask::files;
use xtask::workspace::Workspace;

use super::{csv, html, json, markdown, name};
use crate::scenarios::results::Run;

/// The charts that are kept in `docs` as files of their own: what a reader looks for first.
const KEPT: [&str; 4] =
    ["hello-threads-react-cpu", "hello-threads-react-throughput", "spike-", "memory-threads-react"];

/// Where a run's files go; they are written again after each scenario.
#[derive(Debug)]
pub struct Files {
    cache: PathBuf,
    /// For all figures.
    json: PathBuf,
    /// The checkout, when the run is published.
    root: Option<PathBuf>,
}

impl Files {
    /// Of a run that begins.
    pub fn new(cache: &Path, workspace: &Workspace, is_published: bool) -> Self {
        let root = is_published.then(|| workspace.root.clone());
        Self { cache: cache.to_owned(), json: cache.join(name("scenarios")), root }
    }

    /// Writes what there is so far; returns where.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn write(&self, run: &Run) -> Result<Vec<PathBuf>, Failure> {
        let mut written = Vec::new();
        let mut put = |path: PathBuf, text: &str| files::write(&path, text).map(|()| written.push(path));
        let page = html::render(run);
        put(self.json.clone(), &json(run)?)?;
        put(self.cache.join("report.csv"), &csv::render(run))?;
        put(self.cache.join("report.html"), &page)?;
        let Some(root) = &self.root else { return Ok(written) };
        let directory = root.join("docs/bench");
        put(directory.join("report.html"), &page)?;
        let charts = run.results.iter().flat_map(html::charts).chain(html::memory(run));
        for (name, chart) in charts.filter(|(name, _)| KEPT.iter().any(|kept| name.starts_with(kept))) {
            put(directory.join(format!("{name}.svg")), &chart)?;
        }
        let document = root.join("docs/performance.md");
        let text = fs::read_to_string(&document).map_err(Failure::file("read", &document))?;
        put(document, &markdown::replace(&text, run))?;
        Ok(written)
    }
}
