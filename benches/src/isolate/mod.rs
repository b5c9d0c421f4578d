//! Microseconds of CPU per render, without HTTP: an isolate of `renderer-pool` beside Node in process.
//!
//! Both answer the same requests with the same bundle through `fetch()` and drain the body. The isolate gets its
//! requests over the wire, as from a gateway, and that is part of its figure; Node calls `fetch()` itself. There are several
//! processes of each, since no two of them are optimised alike.

mod node;
pub mod renderer;

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use xtask::apps::App;
use xtask::progress::{self, Task};
use xtask::workspace::Workspace;

use crate::cli::IsolateOptions;
use crate::contestants;
use crate::error::BenchFailure;
use crate::machine::{Cores, Machine};
use crate::process_tree;
use crate::report;
use crate::selection;
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

/// The pages that there are.
pub const PAGES: [Page; 4] = [
    Page { path: "/", concurrency: 8, warm_up: 3000 },
    Page { path: "/links-100", concurrency: 8, warm_up: 3000 },
    // A megabyte.
    Page { path: "/large", concurrency: 8, warm_up: 600 },
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
    /// CPU-microseconds per render of each contestant; Node is the first.
    pub figures: Vec<(String, Summary)>,
}

/// Who renders, in several processes of its own, and its name in the table.
struct Contestant {
    name: String,
    processes: Vec<Box<dyn Renders>>,
}

impl Contestant {
    fn start<R: Renders + 'static>(
        name: &str,
        processes: NonZeroUsize,
        start: impl Fn() -> Result<R, BenchFailure>,
    ) -> Result<Self, BenchFailure> {
        let processes = (0..processes.get()).map(|_| Ok(Box::new(start()?) as Box<dyn Renders>));
        Ok(Self { name: name.to_owned(), processes: processes.collect::<Result<_, BenchFailure>>()? })
    }
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
    for app in selection::apps(workspace, &options.apps)? {
        let dist = options.dist.clone().unwrap_or_else(|| app.dist());
        let of_node = || NodeRenders::start(&node, &workspace.root, &dist, cores.server);
        let mut contestants = vec![Contestant::start("node26", options.processes, of_node)?];
        contestants.extend(isolates(workspace, options, &dist, cores.server)?);
        for page in PAGES.iter().filter(|page| options.pages.iter().any(|path| path == page.path)) {
            pages.push(measure(&app, page, options, &mut contestants)?);
        }
    }
    progress::say(&format!("\n{}\n", table::render_pages(&pages)));
    let report = Report { bench: "isolate", machine: Machine::describe(workspace, cores), pages };
    progress::say(&format!("report: {}", report::write(&cache, report.bench, &report)?.display()));
    Ok(())
}

/// This build's isolate, and the variants of it that are asked for.
fn isolates(
    workspace: &Workspace,
    options: &IsolateOptions,
    dist: &Path,
    core: usize,
) -> Result<Vec<Contestant>, BenchFailure> {
    let own = workspace.release_binary("renderer-pool");
    let start = |name: &str, program: &Path, flags: &str| {
        let flags: Vec<_> = flags.split_whitespace().map(str::to_owned).collect();
        Contestant::start(name, options.processes, || Renderer::start(program, dist, core, flags.clone()))
    };
    let mut isolates = vec![start("isopod", &own, "")?];
    for flags in &options.v8_flags {
        isolates.push(start(flags, &own, flags)?);
    }
    for program in &options.beside {
        isolates.push(start(&program.display().to_string(), program, "")?);
    }
    Ok(isolates)
}

fn measure(
    app: &App,
    page: &Page,
    options: &IsolateOptions,
    contestants: &mut [Contestant],
) -> Result<PageResult, BenchFailure> {
    let path = page.path;
    let task = Task::start(&format!("{}: {path}", app.name));
    let mut sizes = Vec::new();
    for Contestant { name, processes } in contestants.iter_mut() {
        for process in processes {
            let size = process.render(page, page.warm_up)?;
            let expected = *sizes.first().unwrap_or(&size);
            if size.abs_diff(expected) > expected / 10 {
                let problem = format!("{name} renders {size} bytes of {path}, the first {expected}");
                return Err(BenchFailure::Render { who: "a contestant", problem });
            }
            sizes.push(size);
        }
    }
    let mut figures = vec![Vec::new(); contestants.len()];
    for repeat in 0..options.repeat.get() * options.processes.get() {
        for index in order(contestants.len(), repeat) {
            let processes = &mut contestants[index].processes;
            let process = repeat % processes.len();
            figures[index].push(slice(&mut *processes[process], page, options.renders.get())?);
        }
    }
    task.done();
    let names = contestants.iter().map(|contestant| contestant.name.clone());
    // At least one slice is taken of each.
    let figures = names.zip(figures).filter_map(|(name, taken)| Some((name, Summary::of(taken)?))).collect();
    Ok(PageResult { app: app.name.clone(), path, figures })
}

/// CPU-microseconds per render over one slice.
#[expect(clippy::cast_precision_loss, reason = "a slice's renders are far below 2^52")]
fn slice(subject: &mut dyn Renders, page: &Page, renders: usize) -> Result<f64, BenchFailure> {
    let before = process_tree::precise_cpu_time(subject.pid())?;
    subject.render(page, renders)?;
    let used: Duration = process_tree::precise_cpu_time(subject.pid())?.saturating_sub(before);
    Ok(used.as_secs_f64() * 1e6 / renders as f64)
}
