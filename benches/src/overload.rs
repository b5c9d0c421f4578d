//! What is left of the throughput when more is asked for than there is: open loop, the whole cluster on one core, the
//! generator on another.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use http::{HeaderName, HeaderValue, header};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use serde::Serialize;
use xtask::apps;
use xtask::demo;
use xtask::progress::{self, Task};
use xtask::run;
use xtask::server::Server;
use xtask::tools;
use xtask::workspace::Workspace;

use crate::cli::OverloadOptions;
use crate::error::BenchFailure;
use crate::load::{self, Load, Outcome, Target};
use crate::machine::{self, Cores, Machine};
use crate::report;

/// How the gateway is started: one of everything.
const ONE_OF_EACH: [&str; 8] = ["--threads", "1", "--renderers", "1", "--isolates", "1", "--fn-workers", "0"];

/// The gateway's default time in the queue; the aim for admitted requests is relative to it.
const QUEUE_WAIT: Duration = Duration::from_millis(250);

/// How often the rate is doubled until the server is saturated.
const MOST_STEPS: usize = 12;

/// The first rate of the search.
const FIRST_RATE: f64 = 100.0;

/// The least part of saturation that is to be left, by how much more is asked for.
const AIMS: [(f64, f64); 3] = [(2.0, 0.90), (5.0, 0.85), (10.0, 0.75)];

/// The most that the 99th percentile of refusals may be.
const REFUSAL_AIM: Duration = Duration::from_millis(5);

/// A whole run.
#[derive(Debug, Serialize)]
struct Report {
    bench: &'static str,
    machine: Machine,
    app: String,
    command: String,
    saturation_per_second: f64,
    unloaded: Outcome,
    overloads: Vec<Overload>,
}

/// One overload.
#[derive(Debug, Serialize)]
struct Overload {
    factor: f64,
    outcome: Outcome,
    /// Pages in a second, as a part of saturation.
    goodput: f64,
    aim: f64,
}

/// Measures and shows the table; the report goes below `.cache/bench`.
///
/// # Errors
///
/// When the server does not start, a page is not one, or the generator cannot hold its rate.
pub fn run(workspace: &Workspace, options: &OverloadOptions) -> Result<(), BenchFailure> {
    tools::require_taskset()?;
    let cores = Cores::allowed()?;
    pin_this_thread(cores.load)?;
    let known = apps::all(workspace)?;
    let app =
        known.iter().find(|app| app.name == options.app).cloned().ok_or_else(|| BenchFailure::NoApp {
            name: options.app.clone(),
            known: known.iter().map(|app| app.name.clone()).collect(),
        })?;
    let command: Command = demo::gateway(workspace, &app.dist(), &ONE_OF_EACH.map(Into::into));
    let described = run::describe(&command);
    let server = Server::start(
        &format!("isopod for {}", app.name),
        machine::pinned(cores.server, &command),
        &workspace.log(&format!("bench-overload-{}", app.name)),
    )?;
    let bench = Overloading { target: target(server.address(), &options.path)?, options };
    let task = Task::start("the generator warms the app up and looks for its saturation");
    let saturation = bench.saturation()?;
    task.detail(&format!("{saturation:.0} pages a second"));
    task.done();
    let unloaded = bench.measure("a fifth of saturation", saturation / 5.0)?;
    let mut overloads = Vec::new();
    for (factor, aim) in AIMS {
        let outcome = bench.measure(&format!("{factor} times saturation"), saturation * factor)?;
        overloads.push(Overload { factor, goodput: outcome.per_second(200) / saturation, aim, outcome });
    }
    server.stop()?;
    let machine = Machine::describe(workspace, cores);
    let report = Report {
        bench: "overload",
        machine,
        app: app.name,
        command: described,
        saturation_per_second: saturation,
        unloaded,
        overloads,
    };
    progress::say(&render(&report));
    let path = report::write(&workspace.root.join(".cache/bench"), report.bench, &report)?;
    progress::say(&format!("report: {}", path.display()));
    Ok(())
}

struct Overloading<'a> {
    target: Target,
    options: &'a OverloadOptions,
}

impl Overloading<'_> {
    fn load(&self, rate: f64, time: Duration) -> Result<Outcome, BenchFailure> {
        let load = Load {
            rate,
            time,
            timeout: Duration::from_secs(10),
            connections: self.options.connections.get(),
        };
        let failure = |problem: String| BenchFailure::Load { contestant: "isopod".into(), problem };
        let outcome = load::run(&self.target, load).map_err(|error| failure(error.to_string()))?;
        match outcome.statuses.keys().find(|status| ![200, 503].contains(*status)) {
            Some(status) => Err(failure(format!("answers with the status {status}"))),
            None => Ok(outcome),
        }
    }

    fn measure(&self, what: &str, rate: f64) -> Result<Outcome, BenchFailure> {
        let task = Task::start(&format!("{what}: {rate:.0} requests a second"));
        // What the limits of admission have become belongs to the load that is measured.
        self.load(rate, self.options.warm_up())?;
        let outcome = self.load(rate, self.options.slice())?;
        task.done();
        match outcome.problem() {
            Some(problem) => Err(BenchFailure::Load { contestant: "the load".into(), problem }),
            None => Ok(outcome),
        }
    }

    /// The most pages in a second that it answers, whatever is asked for: twice as much is asked for until no more come.
    fn saturation(&self) -> Result<f64, BenchFailure> {
        self.load(FIRST_RATE, self.options.warm_up())?;
        let (mut rate, mut best) = (FIRST_RATE, 0.0f64);
        for _ in 0..MOST_STEPS {
            let pages = self.load(rate, self.options.warm_up())?.per_second(200);
            if pages < rate * 0.9 {
                // Asked for a little more than it does, it refuses little.
                for factor in [1.0, 1.1, 1.25] {
                    let asked = best.max(pages) * factor;
                    best = best.max(self.load(asked, self.options.slice())?.per_second(200));
                }
                return Ok(best);
            }
            best = best.max(pages);
            rate *= 2.0;
        }
        Ok(best)
    }
}

fn target(address: &str, path: &str) -> Result<Target, BenchFailure> {
    let failure =
        || BenchFailure::Load { contestant: "isopod".into(), problem: format!("{address} is no address") };
    let address: SocketAddr =
        address.strip_prefix("http://").and_then(|text| text.parse().ok()).ok_or_else(failure)?;
    let field = |name: HeaderName, value: &'static str| (name, HeaderValue::from_static(value));
    let headers = vec![
        field(header::ACCEPT, "text/html"),
        field(header::USER_AGENT, "Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0.0.0"),
    ];
    Ok(Target { address, path: path.to_owned(), headers })
}

fn pin_this_thread(core: usize) -> Result<(), BenchFailure> {
    let failure = |error: nix::Error| BenchFailure::Load {
        contestant: "the load".into(),
        problem: format!("cannot be pinned to core {core}: {error}"),
    };
    let mut set = CpuSet::new();
    set.set(core).map_err(failure)?;
    sched_setaffinity(Pid::from_raw(0), &set).map_err(failure)
}

fn millis(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

fn render(report: &Report) -> String {
    let p99 =
        |outcome: &Outcome, status: u16| outcome.statuses.get(&status).map(|seen| seen.last_byte.p99_micros);
    let unloaded = p99(&report.unloaded, 200).unwrap_or(0);
    let admitted_aim = 3 * unloaded + u64::try_from(QUEUE_WAIT.as_micros()).unwrap_or(u64::MAX);
    let mut lines = vec![
        format!(
            "\n{}, saturation {:.0} pages/s, unloaded p99 {:.1} ms",
            report.app,
            report.saturation_per_second,
            millis(unloaded)
        ),
        format!(
            "{:<8}{:>10}{:>12}{:>8}{:>14}{:>8}{:>14}{:>8}{:>10}",
            "asked", "req/s", "goodput", "aim", "admitted p99", "aim", "refusals p99", "aim", "lost"
        ),
    ];
    for overload in &report.overloads {
        let outcome = &overload.outcome;
        let shown =
            |status| p99(outcome, status).map_or("-".to_owned(), |micros| format!("{:.1}", millis(micros)));
        lines.push(format!(
            "{:<8}{:>10.0}{:>11.1}%{:>7.0}%{:>14}{:>8.0}{:>14}{:>8.0}{:>10}",
            format!("{}x", overload.factor),
            outcome.rate,
            overload.goodput * 100.0,
            overload.aim * 100.0,
            shown(200),
            millis(admitted_aim),
            shown(503),
            REFUSAL_AIM.as_secs_f64() * 1000.0,
            outcome.broken + outcome.timeouts
        ));
    }
    lines.join("\n")
}
