//! Microseconds of CPU per render, without HTTP: an isolate of `renderer-pool` beside Node in process.
//!
//! Both answer the same requests with the same bundle through `fetch()` and drain the body. The isolate gets its
//! requests over the wire, as from a gateway, and that is part of its figure; Node calls `fetch()` itself.

mod node;
pub mod renderer;

use std::time::Duration;

use serde::Serialize;
use xtask::apps::{self, App};
use xtask::progress::{self, Task};
use xtask::workspace::Workspace;

use crate::cli::IsolateOptions;
use crate::contestants;
use crate::error::BenchFailure;
use crate::machine::{Cores, Machine};
use crate::process_tree;
use crate::report;
use crate::slice::order;
use crate::statistics::Summary;
use crate::table;

use node::NodeRenders;
use renderer::Renderer;

/// A page, and how it is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// Its path.
    pub path: &'static str,
    /// Renders at the same time: so many keep the event loop busy while some of them wait.
    pub concurrency: usize,
    /// Renders before anything is measured.
    pub warm_up: usize,
}

const PAGES: [Page; 3] = [
    Page { path: "/", concurrency: 8, warm_up: 3000 },
    Page { path: "/links-100", concurrency: 8, warm_up: 3000 },
    // Each waits for 300 ms.
    Page { path: "/deferred", concurrency: MAX_CONCURRENCY, warm_up: 1500 },
];

/// The most renders at the same time.
pub const MAX_CONCURRENCY: usize = 64;

/// What asks for the pages: a browser, since servers hold pages back for what they take for crawlers.
const USER_AGENT: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36";

/// Something that renders a page so and so many times.
pub trait Renders {
    /// Its process.
    fn pid(&self) -> u32;

    /// Renders a page `count` times; returns its bytes.
    fn render(&mut self, page: &Page, count: usize) -> Result<usize, BenchFailure>;
}

/// One page's figures.
#[derive(Debug, Serialize)]
pub struct PageResult {
    /// The app.
    pub app: String,
    /// The page.
    pub path: &'static str,
    /// CPU-microseconds per render in the isolate.
    pub isopod: Summary,
    /// CPU-microseconds per render in Node.
    pub node: Summary,
}

#[derive(Debug, Serialize)]
struct Report {
    bench: &'static str,
    machine: Machine,
    pages: Vec<PageResult>,
}

/// Measures and shows the table; the report goes below `.cache/bench`.
///
/// # Errors
///
/// When either side fails or they answer different pages.
pub fn run(workspace: &Workspace, options: &IsolateOptions) -> Result<(), BenchFailure> {
    let cache = workspace.root.join(".cache/bench");
    let cores = Cores::allowed()?;
    let node = contestants::node(&cache)?;
    let mut pages = Vec::new();
    for app in apps::all(workspace)?.into_iter().filter(|app| options.apps.contains(&app.name)) {
        let mut isopod =
            Renderer::start(&workspace.release_binary("renderer-pool"), &app.dist(), cores.server)?;
        let mut rival = NodeRenders::start(&node, &workspace.root, &app.dist(), cores.server)?;
        for page in &PAGES {
            pages.push(measure(&app, page, options, &mut isopod, &mut rival)?);
        }
    }
    progress::say(&format!("\n{}\n", table::render_pages(&pages)));
    let report = Report { bench: "isolate", machine: Machine::describe(workspace, cores), pages };
    progress::say(&format!("report: {}", report::write(&cache, report.bench, &report)?.display()));
    Ok(())
}

fn measure(
    app: &App,
    page: &Page,
    options: &IsolateOptions,
    isopod: &mut Renderer,
    node: &mut NodeRenders,
) -> Result<PageResult, BenchFailure> {
    let path = page.path;
    let task = Task::start(&format!("{}: {path}", app.name));
    let sizes = [isopod.render(page, page.warm_up)?, node.render(page, page.warm_up)?];
    if sizes[0].abs_diff(sizes[1]) > sizes[0] / 10 {
        let problem = format!("renders {} bytes of {path}, Isopod {}", sizes[1], sizes[0]);
        return Err(BenchFailure::Render { who: "node26", problem });
    }
    let mut figures = [Vec::new(), Vec::new()];
    for repeat in 0..options.repeat.get() {
        for index in order(2, repeat) {
            let subject: &mut dyn Renders = if index == 0 { isopod } else { node };
            figures[index].push(slice(subject, page, options.renders.get())?);
        }
    }
    task.done();
    let [isopod, node] = figures.map(Summary::of);
    match (isopod, node) {
        (Some(isopod), Some(node)) => Ok(PageResult { app: app.name.clone(), path, isopod, node }),
        _ => Err(BenchFailure::Render { who: "the bench", problem: "took no slice".to_owned() }),
    }
}

/// CPU-microseconds per render over one slice.
#[expect(clippy::cast_precision_loss, reason = "a slice's renders are far below 2^52")]
fn slice(subject: &mut dyn Renders, page: &Page, renders: usize) -> Result<f64, BenchFailure> {
    let before = process_tree::precise_cpu_time(subject.pid())?;
    subject.render(page, renders)?;
    let used: Duration = process_tree::precise_cpu_time(subject.pid())?.saturating_sub(before);
    Ok(used.as_secs_f64() * 1e6 / renders as f64)
}
