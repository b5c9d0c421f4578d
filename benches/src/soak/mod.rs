//! A long run at a steady load: whether memory grows and whether latency stays.
//!
//! - [`load`]: an open loop, so that a late answer delays no other request.
//! - [`sample`]: what the processes hold, from the admin port.
//! - [`outcome`]: what became of requests, and whether a run says anything. Pure.
//! - [`trend`]: the slope of a line through samples. Pure.
//! - [`plot`]: the samples as a picture.

pub mod load;
mod outcome;
mod plot;
mod sample;
mod trend;

use std::ffi::OsString;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;
use xtask::demo;
use xtask::files;
use xtask::progress::{self, Task};
use xtask::server::Server;
use xtask::workspace::Workspace;

use crate::cli::SoakOptions;
use crate::contestants::launch::free_port;
use crate::error::BenchFailure;
use crate::machine::{self, Cores, Machine};
use crate::report;
use crate::selection;
use load::Load;
use outcome::Totals;
use sample::{Admin, Sample};

/// How long the capacity is measured, after as long a warm-up.
const CAPACITY_TIME: Duration = Duration::from_secs(10);

/// The time between two samples.
const SAMPLE_EVERY: Duration = Duration::from_secs(10);

/// The part of the run whose samples are no part of the trend: caches fill and the heap finds its size.
const WARM_UP_PART: usize = 3;

/// What came out.
#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    app: String,
    /// Answers per second that one core gave, closed loop.
    capacity: f64,
    /// Requests per second that were sent.
    rate: f64,
    /// MiB in ten minutes, over the last two thirds: the renderer's resident memory.
    resident_slope: f64,
    /// The same of the renderer's heap.
    heap_slope: f64,
    totals: Totals,
    samples: Vec<Sample>,
}

/// Runs the soak, shows what came out and writes the plots.
///
/// # Errors
/// When the gateway does not start or end well, when more than one request in a thousand failed, and when the generator
/// did not hold its rate. The report of such a run is written all the same, its plots are not.
pub fn run(workspace: &Workspace, options: &SoakOptions) -> Result<(), BenchFailure> {
    let cores = Cores::allowed()?;
    let app = selection::app(workspace, &options.app)?;
    let admin = format!("127.0.0.1:{}", free_port()?);
    let flags = ["--listen", "127.0.0.1:0", "--admin", &admin, "--threads", "1", "--renderers", "1"];
    let more = ["--spares", "0", "--isolates", "1", "--fn-workers", "0"];
    let flags: Vec<OsString> = flags.iter().chain(&more).map(OsString::from).collect();
    let gateway = machine::pinned(cores.server, &demo::gateway(workspace, &app.dist(), &flags));
    let server = Server::start("isopod", gateway, &workspace.log("bench-soak"))?;
    let url = format!("{}/", server.address());
    let task = Task::start("the capacity of one core");
    let load = Load::new(url)?;
    load.closed(CAPACITY_TIME)?;
    let capacity = load.closed(CAPACITY_TIME)?;
    task.done();
    let rate = options.rate.unwrap_or(capacity * f64::from(options.percent) / 100.0);
    progress::say(&format!("capacity {capacity:.0}/s; {rate:.0}/s for {} minutes", options.minutes));
    let (samples, totals) = soak(&load, &Admin::at(&admin), rate, options.time())?;
    server.stop()?;
    let steady = &samples[samples.len() / WARM_UP_PART..];
    let report = Report {
        machine: Machine::describe(workspace, cores),
        app: app.name,
        capacity,
        rate,
        resident_slope: trend::per_ten_minutes(steady, |sample| sample.renderer_resident),
        heap_slope: trend::per_ten_minutes(steady, |sample| sample.heap_used),
        totals,
        samples,
    };
    conclude(workspace, &report)
}

fn soak(
    load: &Load,
    admin: &Admin,
    rate: f64,
    time: Duration,
) -> Result<(Vec<Sample>, Totals), BenchFailure> {
    let started = Instant::now();
    let (mut samples, mut totals, mut lateness) = (Vec::new(), Totals::default(), None::<Histogram<u64>>);
    let task = Task::start("the soak");
    load.open(rate, time, SAMPLE_EVERY, |slice| {
        totals.answers += slice.answers;
        totals.failures = totals.failures.and(slice.failures);
        totals.seconds = started.elapsed().as_secs_f64();
        match &mut lateness {
            // It grows as needed.
            Some(all) => _ = all.add(&slice.lateness),
            none => *none = Some(slice.lateness.clone()),
        }
        // A sample that cannot be taken is missing; the run goes on.
        if let Some(memory) = admin.memory() {
            let sample = Sample::new(started.elapsed(), memory, &slice);
            task.detail(&sample.to_string());
            samples.push(sample);
        }
    })?;
    task.done();
    let p99 = lateness.map_or(0, |all| all.value_at_quantile(0.99));
    totals.lateness_p99_millis = Duration::from_micros(p99).as_secs_f64() * 1e3;
    Ok((samples, totals))
}

fn conclude(workspace: &Workspace, report: &Report) -> Result<(), BenchFailure> {
    let path = report::write(&workspace.root.join(".cache/bench"), "soak", report)?;
    progress::say(&format!("report: {}", path.display()));
    if let Some(problem) = report.totals.refusal(report.rate) {
        return Err(BenchFailure::Soak { problem });
    }
    let picture = workspace.root.join("docs/soak.svg");
    files::write(&picture, &plot::svg(&report.samples))?;
    progress::say(&format!(
        "{} answers, {}\nresident memory of the renderer: {:+.2} MiB in ten minutes; heap: {:+.2} MiB\nplots: {}",
        report.totals.answers,
        report.totals.failures,
        report.resident_slope,
        report.heap_slope,
        picture.display()
    ));
    Ok(())
}
