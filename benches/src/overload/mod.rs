//! What is left of the throughput when more is asked for than there is: open loop, the whole cluster on one core, the
//! generator on another.
//!
//! The machine may change its speed from one second to the next. So each overload stands between two measurements of what
//! the cluster can do, and is compared with their mean; rounds are repeated, and medians shown.
//!
//! [`shown`] is the report and its table.

mod shown;

use std::process::Command;
use std::time::Duration;

use xtask::demo;
use xtask::progress::{self, Task};
use xtask::run;
use xtask::server::Server;
use xtask::tools;
use xtask::workspace::Workspace;

use crate::cli::OverloadOptions;
use crate::cluster::{Admin, Cost};
use crate::error::BenchFailure;
use crate::machine::{self, Cores, Machine};
use crate::page::Target;
use crate::report;
use crate::selection;
use crate::traffic::schedule::Shape;
use crate::traffic::{Outcome, Pace};
use shown::{Overload, Report, Saturation, Unloaded};

/// How the gateway is started: one of everything.
const ONE_OF_EACH: [&str; 10] =
    ["--threads", "1", "--renderers", "1", "--spares", "0", "--isolates", "1", "--fn-workers", "0"];

/// How much more than saturation is asked for.
const FACTORS: [f64; 3] = [2.0, 5.0, 10.0];

/// Connections of the closed loop that finds out what the cluster can do.
const SATURATING: usize = 32;

/// Measures and shows the table; the report goes below `.cache/bench`.
///
/// # Errors
///
/// When the server does not start, a page is not one, or the generator cannot hold its rate.
pub fn run(workspace: &Workspace, options: &OverloadOptions) -> Result<(), BenchFailure> {
    tools::require_taskset()?;
    let cores = Cores::allowed()?;
    machine::pin_this_thread(cores.load)?;
    let app = selection::app(workspace, &options.app)?;
    let gateway_args: Vec<_> =
        ONE_OF_EACH.iter().map(Into::into).chain(options.gateway.iter().cloned()).collect();
    let command: Command = demo::gateway(workspace, &app.dist(), &gateway_args);
    let described = run::describe(&command);
    let server = Server::start(
        &format!("isopod for {}", app.name),
        machine::pinned(cores.server, &command),
        &workspace.log(&format!("bench-overload-{}", app.name)),
    )?;
    let bench = Overloading {
        target: Target::of("isopod", server.address(), &options.path)?,
        admin: Admin::of(&server)?,
        gateway: server.pid(),
        options,
    };
    let (unloaded, overloads) = bench.rounds()?;
    server.stop()?;
    let report = Report {
        bench: "overload",
        machine: Machine::describe(workspace, cores),
        app: app.name,
        path: options.path.clone(),
        command: described,
        unloaded,
        overloads,
    };
    progress::say(&report.render());
    let path = report::write(&workspace.root.join(".cache/bench"), report.bench, &report)?;
    progress::say(&format!("report: {}", path.display()));
    Ok(())
}

struct Overloading<'a> {
    target: Target,
    admin: Admin,
    gateway: u32,
    options: &'a OverloadOptions,
}

impl Overloading<'_> {
    fn rounds(&self) -> Result<(Vec<Unloaded>, Vec<Overload>), BenchFailure> {
        let task = Task::start("the app warms up");
        let mut saturation = self.saturation(self.options.warm_up())?.pages_per_second;
        task.detail(&format!("{saturation:.0} pages a second"));
        task.done();
        let (mut unloaded, mut overloads) = (Vec::new(), Vec::new());
        for round in 1..=self.options.rounds.get() {
            let task = Task::start(&format!("round {round}: a fifth of saturation"));
            let outcome = self.measure(saturation / 5.0)?.0;
            task.done();
            unloaded.push(Unloaded { round, outcome });
            for factor in FACTORS {
                let before = self.saturation(self.options.slice())?;
                saturation = before.pages_per_second;
                let rate = saturation * factor;
                let task = Task::start(&format!(
                    "round {round}: {factor} times saturation, {rate:.0} requests a second"
                ));
                let (outcome, cost) = self.measure(rate)?;
                let after = self.saturation(self.options.slice())?;
                let overload = Overload::new(round, factor, [before, after], outcome, cost);
                task.detail(&format!("{:.0} %", overload.goodput * 100.0));
                task.done();
                overloads.push(overload);
            }
        }
        Ok((unloaded, overloads))
    }

    fn load(&self, pace: Pace, connections: usize) -> Result<(Outcome, Cost), BenchFailure> {
        let failure = |problem: String| BenchFailure::Load { contestant: "isopod".into(), problem };
        let before = self.admin.now(self.gateway)?;
        let outcome = self.target.load(pace, connections)?;
        let cost = self.admin.now(self.gateway)?.since(&before);
        if let Some(status) = outcome.statuses.keys().find(|status| ![200, 503].contains(*status)) {
            return Err(failure(format!("answers with the status {status}")));
        }
        if outcome.per_second(200) < 1.0 {
            return Err(failure("answers less than one page in a second".into()));
        }
        Ok((outcome, cost))
    }

    /// After a while of the same load: what the limits of admission have become belongs to it.
    fn measure(&self, rate: f64) -> Result<(Outcome, Cost), BenchFailure> {
        let connections = self.options.connections.get();
        let pace = |time| Pace::Open(Shape::constant(rate, time));
        self.load(pace(self.options.warm_up()), connections)?;
        self.load(pace(self.options.slice()), connections)
    }

    /// The most pages in a second: as many requests at a time as keep it busy, and none is refused.
    fn saturation(&self, time: Duration) -> Result<Saturation, BenchFailure> {
        let (outcome, cost) = self.load(Pace::Closed(time), SATURATING)?;
        let pages_per_second = outcome.per_second(200);
        let refused = outcome.per_second(503);
        if refused > pages_per_second / 100.0 {
            let problem = format!("refuses {refused:.0} requests a second of {SATURATING} clients");
            return Err(BenchFailure::Load { contestant: "isopod".into(), problem });
        }
        Ok(Saturation { pages_per_second, cost })
    }
}
