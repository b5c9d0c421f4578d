//! The same function in Rust behind the gateway, in JavaScript behind Node, and behind actix-web alone; and what a call
//! from an isolate costs.
//!
//! | server | function |
//! |---|---|
//! | `isopod` | direct native call: gateway, fn worker; two processes |
//! | `isopod-within` | direct native call of a function that the gateway has itself; one process |
//! | `node26+srvx` | Start's own server function, the app's real build |
//! | `actix` | a handler of actix-web that takes and gives JSON; one process |
//!
//! Each with its whole process tree on one core, the load on another, in turns.

mod contestants;
mod load;
mod round_trip;

use std::path::PathBuf;

use serde::Serialize;
use xtask::progress::{self, Task};
use xtask::tools;
use xtask::workspace::Workspace;

use crate::cli::FunctionsOptions;
use crate::error::BenchFailure;
use crate::machine::{Cores, Machine};
use crate::report;
use crate::slice::order;
use crate::statistics::Summary;
use contestants::{Ask, Contestant, Running};
use load::{Sample, Wrk};

/// The two that are compared with all others, by their names.
const ISOPOD: [&str; 2] = ["isopod", "isopod-within"];

/// One server and one kind of call.
#[derive(Debug, Serialize)]
struct Standing {
    server: &'static str,
    ask: &'static str,
    answer_bytes: usize,
    requests_per_second: Summary,
    requests_per_cpu_second: Summary,
    cpu_micros_per_request: Summary,
    p99_millis: Summary,
    slices: Vec<Sample>,
}

#[derive(Debug, Serialize)]
struct Report {
    bench: &'static str,
    machine: Machine,
    standings: Vec<Standing>,
    /// CPU time of the whole process tree for one call of an isolate, microseconds.
    round_trip_cpu_micros: Summary,
    /// The same where the gateway has the function itself.
    round_trip_within_cpu_micros: Summary,
}

/// Measures and shows the table; the report goes below `.cache/bench`.
///
/// # Errors
///
/// When a server does not come up or answers wrongly.
pub fn run(workspace: &Workspace, options: &FunctionsOptions) -> Result<(), BenchFailure> {
    tools::require_taskset()?;
    tools::require_wrk()?;
    let cores = Cores::allowed()?;
    let cache: PathBuf = workspace.root.join(".cache/bench");
    let wrk = Wrk::prepare(&cache, cores.load)?;
    let contestants = Contestant::all(&cache)?;
    let mut running = Vec::new();
    for contestant in contestants {
        let task = Task::start(&format!("{} starts and warms up", contestant.name()));
        running.push(Running::start(workspace, contestant, cores.server, &wrk)?);
        task.done();
    }
    let mut standings = Vec::new();
    for ask in Ask::ALL {
        let mut slices: Vec<Vec<Sample>> = running.iter().map(|_| Vec::new()).collect();
        for repeat in 0..options.repeat.get() {
            let task = Task::start(&format!("{}: repeat {} of {}", ask.name(), repeat + 1, options.repeat));
            for index in order(running.len(), repeat) {
                task.detail(running[index].contestant.name());
                slices[index].push(running[index].slice(ask, &wrk, options.slice())?);
            }
            task.done();
        }
        standings.extend(running.iter().zip(slices).filter_map(|(one, slices)| standing(one, ask, slices)));
    }
    progress::say(&format!("\n{}", table(&standings)));
    let round_trip = |way: &str, name: &str| -> Result<Summary, BenchFailure> {
        let cost = round_trip::measure(&running, name, options)?;
        let Summary { median, min, max, .. } = cost;
        progress::say(&format!("isolate -> {way} -> isolate: {median:.1} us of CPU ({min:.1} to {max:.1})"));
        Ok(cost)
    };
    let round_trip_cpu_micros = round_trip("worker", ISOPOD[0])?;
    let round_trip_within_cpu_micros = round_trip("gateway", ISOPOD[1])?;
    let machine = Machine::describe(workspace, cores);
    let report = Report {
        bench: "functions",
        machine,
        standings,
        round_trip_cpu_micros,
        round_trip_within_cpu_micros,
    };
    let path = report::write(&cache, report.bench, &report)?;
    progress::say(&format!("report: {}", path.display()));
    Ok(())
}

fn standing(one: &Running, ask: Ask, slices: Vec<Sample>) -> Option<Standing> {
    let summary = |figure: fn(&Sample) -> f64| Summary::of(slices.iter().map(figure));
    Some(Standing {
        server: one.contestant.name(),
        ask: ask.name(),
        answer_bytes: one.answer_bytes(ask),
        requests_per_second: summary(|slice| slice.requests_per_second)?,
        requests_per_cpu_second: summary(|slice| 1e6 / slice.cpu_micros_per_request)?,
        cpu_micros_per_request: summary(|slice| slice.cpu_micros_per_request)?,
        p99_millis: summary(|slice| slice.p99_millis)?,
        slices,
    })
}

fn table(standings: &[Standing]) -> String {
    let mut lines = vec![format!(
        "{:<14}{:<6}{:>8}{:>10}{:>12}{:>12}{:>9}{:>8}{:>8}",
        "server", "", "bytes", "req/s", "req/CPU-s", "us/req", "p99 ms", "isopod", "within"
    )];
    for standing in standings {
        let own = standing.requests_per_cpu_second.median;
        let ratios = ISOPOD.map(|server| {
            let beside = standings.iter().find(|other| other.ask == standing.ask && other.server == server);
            beside.map_or(1.0, |beside| beside.requests_per_cpu_second.median / own)
        });
        lines.push(format!(
            "{:<14}{:<6}{:>8}{:>10.0}{:>12.0}{:>12.1}{:>9.2}{:>8.2}{:>8.2}",
            standing.server,
            standing.ask,
            standing.answer_bytes,
            standing.requests_per_second.median,
            own,
            standing.cpu_micros_per_request.median,
            standing.p99_millis.median,
            ratios[0],
            ratios[1]
        ));
    }
    lines.push(
        "isopod, within: answers per second of CPU time with a worker's process, and in the gateway's own, beside this \
         server's"
            .to_owned(),
    );
    lines.join("\n")
}
