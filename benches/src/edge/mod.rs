//! What the gateway itself costs: files beside a bare actix-web handler, in slices that alternate on the same core, and
//! pages, whose cost is told apart by process.
//!
//! [`files`]: a load of files, whose answers wrk does not look into: that would cost it more than the server.

mod files;

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde::Serialize;
use xtask::demo;
use xtask::error::Failure;
use xtask::progress::{self, Task};
use xtask::server::Server;
use xtask::tools;
use xtask::workspace::Workspace;

use crate::cli::EdgeOptions;
use crate::cluster::Admin;
use crate::error::BenchFailure;
use crate::machine::{self, Cores, Machine};
use crate::page::Target;
use crate::report;
use crate::selection;
use crate::slice::order;
use crate::statistics::Summary;
use crate::traffic::Pace;
use files::{Files, Slice};

/// How the gateway is started.
const ONE_CORE: [&str; 10] =
    ["--threads", "1", "--renderers", "1", "--spares", "0", "--isolates", "1", "--fn-workers", "0"];

/// The files: their names and lengths in bytes. Both lie in the gateway's memory.
const FILES: [(&str, usize); 2] = [("small.js", 2 * 1024), ("large.js", 512 * 1024)];

/// The least part of the handler's throughput.
const FILE_AIM: f64 = 0.90;

/// The most that a page may cost the gateway, in microseconds.
const PAGE_AIM: f64 = 30.0;

/// Connections that ask for pages.
const CONNECTIONS: usize = 32;

/// A whole run.
#[derive(Debug, Serialize)]
struct Report {
    bench: &'static str,
    machine: Machine,
    files: Vec<FileResult>,
    pages: Vec<PageResult>,
}

/// A file, from both.
#[derive(Debug, Serialize)]
struct FileResult {
    file: String,
    bytes: usize,
    gateway: Vec<Slice>,
    bare: Vec<Slice>,
    /// The gateway's throughput as a part of the handler's in the slice beside it.
    ratio: Summary,
}

/// A page.
#[derive(Debug, Serialize)]
struct PageResult {
    path: String,
    pages_per_second: Summary,
    gateway_micros: Summary,
    renderer_micros: Summary,
}

/// Measures and shows the tables; the report goes below `.cache/bench`.
///
/// # Errors
///
/// When a server does not start, or an answer is wrong.
pub fn run(workspace: &Workspace, options: &EdgeOptions) -> Result<(), BenchFailure> {
    tools::require_taskset()?;
    tools::require_wrk()?;
    let cores = Cores::allowed()?;
    let files = measure_files(workspace, options, cores)?;
    let pages = measure_pages(workspace, options, cores)?;
    let report = Report { bench: "edge", machine: Machine::describe(workspace, cores), files, pages };
    progress::say(&report.render());
    let path = report::write(&workspace.root.join(".cache/bench"), report.bench, &report)?;
    progress::say(&format!("report: {}", path.display()));
    Ok(())
}

fn measure_files(
    workspace: &Workspace,
    options: &EdgeOptions,
    cores: Cores,
) -> Result<Vec<FileResult>, BenchFailure> {
    let app = workspace.root.join(".cache/bench/edge-app");
    write_app(&app)?;
    let gateway: Command = demo::gateway(workspace, &app, &ONE_CORE.map(OsString::from));
    let mut bare = Command::new(workspace.release_binary("benches"));
    bare.arg("floor").arg(app.join("client"));
    let start = |name: &str, command: &Command| {
        Server::start(
            name,
            machine::pinned(cores.server, command),
            &workspace.log(&format!("bench-edge-{name}")),
        )
    };
    let servers = [start("gateway", &gateway)?, start("bare", &bare)?];
    let mut results = Vec::new();
    for (name, bytes) in FILES {
        let load = Files::prepare(workspace, cores.load, name, content(bytes))?;
        let task = Task::start(&format!("{name}, {bytes} bytes"));
        for server in &servers {
            load.check(server)?;
            load.run(server, Duration::from_secs(1))?;
        }
        let mut slices = [Vec::new(), Vec::new()];
        for repeat in 0..options.repeat.get() {
            for index in order(servers.len(), repeat) {
                slices[index].push(load.run(&servers[index], options.slice())?);
            }
        }
        task.done();
        let [gateway, bare] = slices;
        let ratios =
            gateway.iter().zip(&bare).map(|(own, other)| own.requests_per_second / other.requests_per_second);
        let ratio = Summary::of(ratios).ok_or_else(|| nothing(name))?;
        results.push(FileResult { file: name.to_owned(), bytes, gateway, bare, ratio });
    }
    let [gateway, _bare] = servers;
    gateway.stop()?;
    Ok(results)
}

fn write_app(app: &Path) -> Result<(), Failure> {
    for directory in [app.join("client"), app.join("server")] {
        std::fs::create_dir_all(&directory).map_err(Failure::file("create", &directory))?;
    }
    let bundle = "export default { fetch: () => new Response('nothing') }\n";
    xtask::files::write(&app.join("server/server.js"), bundle)?;
    for (name, bytes) in FILES {
        let path = app.join("client").join(name);
        std::fs::write(&path, content(bytes)).map_err(Failure::file("write", &path))?;
    }
    Ok(())
}

/// The content of a file of so many bytes.
fn content(length: usize) -> Vec<u8> {
    b"// nothing to compress here \n".iter().copied().cycle().take(length).collect()
}

fn nothing(what: &str) -> BenchFailure {
    BenchFailure::Load { contestant: what.to_owned(), problem: "was not measured".into() }
}

fn measure_pages(
    workspace: &Workspace,
    options: &EdgeOptions,
    cores: Cores,
) -> Result<Vec<PageResult>, BenchFailure> {
    let app = selection::app(workspace, &options.app)?;
    let command = demo::gateway(workspace, &app.dist(), &ONE_CORE.map(OsString::from));
    let log = workspace.log("bench-edge-pages");
    let server = Server::start("the gateway", machine::pinned(cores.server, &command), &log)?;
    let admin = Admin::of(&server)?;
    machine::pin_this_thread(cores.load)?;
    let mut results = Vec::new();
    for path in &options.pages {
        let target = Target::of("the gateway", server.address(), path)?;
        let task = Task::start(&format!("{path}: the gateway beside its renderer"));
        let mut slices = Vec::new();
        for repeat in 0..=options.repeat.get() {
            let before = admin.now(server.pid())?;
            let outcome = target.load(Pace::Closed(options.slice()), CONNECTIONS)?;
            let cost = admin.now(server.pid())?.since(&before);
            // The first one warms up.
            if repeat > 0 {
                slices.push((outcome.per_second(200), cost));
            }
        }
        task.done();
        let micros = |part: f64, rate: f64| part / rate * 1e6;
        let summary = |figures: Vec<f64>| Summary::of(figures).ok_or_else(|| nothing(path));
        results.push(PageResult {
            path: path.clone(),
            pages_per_second: summary(slices.iter().map(|(rate, _)| *rate).collect())?,
            gateway_micros: summary(slices.iter().map(|(rate, cost)| micros(cost.gateway, *rate)).collect())?,
            renderer_micros: summary(
                slices.iter().map(|(rate, cost)| micros(cost.renderers, *rate)).collect(),
            )?,
        });
    }
    server.stop()?;
    Ok(results)
}

impl Report {
    fn render(&self) -> String {
        let shown = |summary: &Summary, digits: usize| {
            format!("{:.digits$} ({:.digits$}, {:.digits$})", summary.median, summary.min, summary.max)
        };
        let median = |slices: &[Slice], figure: fn(&Slice) -> f64| {
            Summary::of(slices.iter().map(figure))
                .map_or_else(|| "-".to_owned(), |found| format!("{:.1}", found.median))
        };
        let mut lines = vec![format!(
            "\n{:<20}{:>12}{:>12}{:>14}{:>12}{:>12}{:>24}{:>8}",
            "file", "gateway/s", "bare/s", "gateway us", "bare us", "cores used", "throughput", "aim"
        )];
        for file in &self.files {
            let used = [&file.gateway, &file.bare].map(|slices| median(slices, |slice| slice.cores_used));
            lines.push(format!(
                "{:<20}{:>12}{:>12}{:>14}{:>12}{:>12}{:>24}{:>8}",
                format!("{} {}", file.file, file.bytes),
                median(&file.gateway, |slice| slice.requests_per_second.round()),
                median(&file.bare, |slice| slice.requests_per_second.round()),
                median(&file.gateway, |slice| slice.cpu_micros),
                median(&file.bare, |slice| slice.cpu_micros),
                used.join(" "),
                shown(&file.ratio, 2),
                FILE_AIM
            ));
        }
        lines.push(format!(
            "\n{:<20}{:>24}{:>24}{:>8}{:>24}",
            "page", "pages/s", "gateway CPU us", "aim", "renderer CPU us"
        ));
        for page in &self.pages {
            lines.push(format!(
                "{:<20}{:>24}{:>24}{:>8}{:>24}",
                page.path,
                shown(&page.pages_per_second, 0),
                shown(&page.gateway_micros, 1),
                PAGE_AIM,
                shown(&page.renderer_micros, 0)
            ));
        }
        lines.join("\n")
    }
}
