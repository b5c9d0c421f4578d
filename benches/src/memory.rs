//! What an isolate keeps and what its process takes, as renders go by; resident memory beside Node's.
//!
//! Two runs of Isopod for each app. One looks at the heap: V8 collects all garbage before it takes a snapshot, and the
//! sizes in the snapshot add up to what lives. The other one looks at resident memory alone, which snapshots would raise.

use std::ffi::OsString;
use std::fs;
use std::time::Duration;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use xtask::apps::App;
use xtask::demo;
use xtask::progress::{self, Task};
use xtask::server::Server;
use xtask::workspace::Workspace;

use crate::cli::MemoryOptions;
use crate::contestants::launch::free_port;
use crate::contestants::{Contestant, Rival, Way};
use crate::error::BenchFailure;
use crate::machine::{self, Cores, Machine};
use crate::report;
use crate::selection;
use crate::soak::load::Load;

/// The heap is flat when what lives after the most renders is within this part of what lived after the fewest.
const FLAT: f64 = 0.05;

/// How long a process is left alone before its resident memory is read: collectors give memory back in idle time.
const PAUSE: Duration = Duration::from_secs(3);

const MIB: f64 = 1024.0 * 1024.0;

/// One app.
#[derive(Debug, Serialize)]
struct Outcome {
    app: String,
    rows: Vec<Row>,
}

/// After so many renders, MiB.
#[derive(Debug, Serialize)]
struct Row {
    renders: u64,
    heap: f64,
    renderer: Resident,
    gateway: Resident,
    node: Resident,
}

/// Resident memory of a process, MiB.
#[derive(Debug, Clone, Copy, Serialize)]
struct Resident {
    all: f64,
    /// Without files that are mapped, such as the program itself.
    anonymous: f64,
}

#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    apps: Vec<Outcome>,
}

/// Measures every app and shows the tables.
///
/// # Errors
/// When a server does not start, an answer is wrong, or a heap is not flat.
pub fn run(workspace: &Workspace, options: &MemoryOptions) -> Result<(), BenchFailure> {
    let cores = Cores::allowed()?;
    let cache = workspace.root.join(".cache/bench");
    let node = Contestant::install(Rival::Node26, workspace, &cache)?;
    let mut outcomes = Vec::new();
    for app in selection::apps(workspace, &options.apps)? {
        let bench = Bench { workspace, app: &app, core: cores.server, counts: &options.renders };
        let (heaps, own, nodes) = (bench.heaps()?, bench.isopod()?, bench.node(&node)?);
        let rows = options.renders.iter().zip(heaps).zip(own).zip(nodes);
        let rows = rows.map(|(((&renders, heap), (renderer, gateway)), node)| Row {
            renders,
            heap,
            renderer,
            gateway,
            node,
        });
        outcomes.push(Outcome { app: app.name.clone(), rows: rows.collect() });
        progress::say(&table(&outcomes[outcomes.len() - 1]));
    }
    let report = Report { machine: Machine::describe(workspace, cores), apps: outcomes };
    let path = report::write(&cache, "memory", &report)?;
    progress::say(&format!("report: {}", path.display()));
    match report.apps.iter().find(|outcome| !is_flat(&outcome.rows)) {
        None => Ok(()),
        Some(outcome) => Err(wrong(&format!("the heap of {} is not flat within 5 %", outcome.app))),
    }
}

/// What is measured of one app.
struct Bench<'a> {
    workspace: &'a Workspace,
    app: &'a App,
    core: usize,
    /// Renders after which is measured, ascending.
    counts: &'a [u64],
}

impl Bench<'_> {
    fn heaps(&self) -> Result<Vec<f64>, BenchFailure> {
        let (server, admin) = self.gateway(&["--debug-endpoints", "true"])?;
        let heaps = self.after_each("heap", &server, || live_heap(&admin))?;
        server.stop()?;
        Ok(heaps)
    }

    fn isopod(&self) -> Result<Vec<(Resident, Resident)>, BenchFailure> {
        let (server, admin) = self.gateway(&[])?;
        let renderer = renderer_pid(&admin)?;
        let gateway = server.pid();
        let both = || Ok((resident(renderer)?, resident(gateway)?));
        let resident = self.after_each("isopod", &server, both)?;
        server.stop()?;
        Ok(resident)
    }

    fn node(&self, node: &Contestant) -> Result<Vec<Resident>, BenchFailure> {
        let server = node.start(self.workspace, self.app, &self.core.to_string(), Way::ALONE)?.server;
        let pid = server.pid();
        self.after_each(node.name(), &server, || resident(pid))
    }

    fn gateway(&self, flags: &[&str]) -> Result<(Server, String), BenchFailure> {
        let admin = format!("127.0.0.1:{}", free_port()?);
        let all = ["--listen", "127.0.0.1:0", "--admin", &admin, "--threads", "1", "--renderers", "1"]
            .iter()
            .chain(&["--spares", "0", "--isolates", "1", "--fn-workers", "0"])
            .chain(flags)
            .map(OsString::from)
            .collect::<Vec<_>>();
        let command = demo::gateway(self.workspace, &self.app.dist(), &all);
        let log = self.workspace.log("bench-memory");
        let server = Server::start("isopod", machine::pinned(self.core, &command), &log)?;
        Ok((server, admin))
    }

    /// What `measure` finds after each of the counts.
    fn after_each<T>(
        &self,
        who: &str,
        server: &Server,
        mut measure: impl FnMut() -> Result<T, BenchFailure>,
    ) -> Result<Vec<T>, BenchFailure> {
        let load = Load::new(format!("{}/", server.address()))?;
        let task = Task::start(&format!("{}: {who}", self.app.name));
        let (mut done, mut found) = (0, Vec::new());
        for &count in self.counts {
            load.requests(count.saturating_sub(done))?;
            done = count;
            task.detail(&format!("{count} renders"));
            std::thread::sleep(PAUSE);
            found.push(measure()?);
        }
        task.done();
        Ok(found)
    }
}

/// What lives in the first isolate's heap, MiB, after all garbage was collected.
fn live_heap(admin: &str) -> Result<f64, BenchFailure> {
    let failed = |problem: &dyn std::fmt::Display| wrong(&format!("no heap snapshot: {problem}"));
    let answer = ureq::post(format!("http://{admin}/debug/heapsnapshot?isolate=0.0")).send_empty();
    let text =
        answer.map_err(|error| failed(&error))?.body_mut().with_config().limit(1 << 30).read_to_string();
    let text = text.map_err(|error| failed(&error))?;
    let snapshot: Snapshot = serde_json::from_str(&text).map_err(|error| failed(&error))?;
    snapshot.self_sizes().ok_or_else(|| failed(&"it has no sizes"))
}

/// A heap snapshot as V8 writes it: nodes are rows of numbers, one after the other.
#[derive(Deserialize)]
struct Snapshot {
    snapshot: Description,
    nodes: Vec<u64>,
    #[serde(rename = "edges")]
    _edges: IgnoredAny,
}

#[derive(Deserialize)]
struct Description {
    meta: Meta,
}

#[derive(Deserialize)]
struct Meta {
    node_fields: Vec<String>,
    /// Those of the first field are a list, the others words.
    node_types: Vec<serde_json::Value>,
}

impl Snapshot {
    /// MiB; `None` when there is no such field. What lies outside of V8's heap (`native`) does not count.
    #[expect(clippy::cast_precision_loss, reason = "a heap is far below 2^52 bytes")]
    fn self_sizes(&self) -> Option<f64> {
        let Meta { node_fields, node_types } = &self.snapshot.meta;
        let column = |name: &str| node_fields.iter().position(|field| field == name);
        let (size, kind) = (column("self_size")?, column("type")?);
        let native = node_types.first()?.as_array()?.iter().position(|name| name == "native")? as u64;
        let rows = self.nodes.chunks_exact(node_fields.len());
        let bytes: u64 = rows.filter(|row| row[kind] != native).map(|row| row[size]).sum();
        Some(bytes as f64 / MIB)
    }
}

fn renderer_pid(admin: &str) -> Result<u32, BenchFailure> {
    let answer = ureq::get(format!("http://{admin}/status")).call();
    let text = answer.and_then(|mut answer| answer.body_mut().read_to_string());
    let text = text.map_err(|error| wrong(&format!("no status: {error}")))?;
    let status: serde_json::Value = serde_json::from_str(&text).map_err(|error| wrong(&error.to_string()))?;
    let children = status["pool"]["children"].as_array().into_iter().flatten();
    let mut pids =
        children.filter(|child| child["kind"] == "renderer").filter_map(|child| child["pid"].as_u64());
    let pid = pids.next().and_then(|pid| u32::try_from(pid).ok());
    pid.ok_or_else(|| wrong(&format!("the status names no renderer: {text}")))
}

fn resident(pid: u32) -> Result<Resident, BenchFailure> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"));
    let status = status.map_err(|error| wrong(&format!("process {pid}: {error}")))?;
    Resident::parse(&status).ok_or_else(|| wrong(&format!("process {pid} has no resident memory")))
}

impl Resident {
    /// Takes `/proc/PID/status`.
    fn parse(status: &str) -> Option<Self> {
        let of = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim().strip_suffix(" kB")?.parse::<f64>().ok()? / 1024.0)
        };
        Some(Self { all: of("VmRSS:")?, anonymous: of("RssAnon:")? })
    }
}

fn is_flat(rows: &[Row]) -> bool {
    match rows {
        [first, .., last] => last.heap <= first.heap * (1.0 + FLAT),
        _ => true,
    }
}

fn table(outcome: &Outcome) -> String {
    let mut text = format!(
        "\n| {} after renders | live heap, MiB | renderer, MiB (anonymous) | gateway, MiB | Node 26, MiB (anonymous) |\n\
         |---|---|---|---|---|",
        outcome.app
    );
    for Row { renders, heap, renderer, gateway, node } in &outcome.rows {
        text.push_str(&format!(
            "\n| {renders} | {heap:.2} | {:.0} ({:.0}) | {:.0} | {:.0} ({:.0}) |",
            renderer.all, renderer.anonymous, gateway.all, node.all, node.anonymous
        ));
    }
    text + "\n"
}

fn wrong(problem: &str) -> BenchFailure {
    BenchFailure::Memory { problem: problem.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sizes_of_a_snapshot_add_up_without_what_lies_outside() {
        let text = r#"{"snapshot":{"meta":{"node_fields":["type","name","id","self_size"],
            "node_types":[["hidden","native","object"],"string","number","number"]},"node_count":3},
            "nodes":[2,0,1,1048576, 1,0,3,777, 0,0,5,524288],"edges":[],"strings":["a"]}"#;
        let snapshot: Snapshot = serde_json::from_str(text).unwrap();
        assert_eq!(snapshot.self_sizes(), Some(1.5));
    }

    #[test]
    fn resident_memory_is_read_from_the_status() {
        let found = Resident::parse("Name:\tx\nVmRSS:\t    2048 kB\nRssAnon:\t    1024 kB\n").unwrap();
        assert_eq!((found.all, found.anonymous), (2.0, 1.0));
    }

    #[test]
    fn five_percent_are_flat_and_six_are_not() {
        let resident = Resident { all: 0.0, anonymous: 0.0 };
        let row = |heap| Row { renders: 1, heap, renderer: resident, gateway: resident, node: resident };
        assert!(is_flat(&[row(100.0), row(120.0), row(104.9)]));
        assert!(!is_flat(&[row(100.0), row(106.0)]));
    }
}
