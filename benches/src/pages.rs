//! `GET /` of the apps: Isopod and its rivals in turn, each on the same core.

use std::cmp::Reverse;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use xtask::apps::{self, App};
use xtask::error::Failure;
use xtask::progress::{self, Task};
use xtask::server::Server;
use xtask::tools;
use xtask::workspace::Workspace;

use crate::cli::PagesOptions;
use crate::contestants::{Contestant, Started};
use crate::error::BenchFailure;
use crate::machine::{Cores, Machine};
use crate::page::{MARKERS, Page};
use crate::report::{self, AppReport, Report, Skipped, Standing};
use crate::slice::{Sample, order};
use crate::table;
use crate::wrk::{Load, Wrk};

/// How long a server runs under load before it is measured: its compiler has seen the page by then.
const WARM_UP: Duration = Duration::from_secs(5);

/// Measures every app and shows the tables; the report goes below `.cache/bench`.
///
/// # Errors
///
/// When Isopod fails or answers wrongly, or nothing can be measured. A rival that fails is skipped and reported.
pub fn run(workspace: &Workspace, options: &PagesOptions) -> Result<(), BenchFailure> {
    tools::require_taskset()?;
    tools::require_wrk()?;
    let bench = PagesBench::prepare(workspace, options)?;
    let mut skipped = Vec::new();
    let contestants = bench.contestants(&mut skipped);
    let mut reports = Vec::new();
    for app in bench.apps()? {
        let report = bench.measure(&app, &contestants, &mut skipped)?;
        progress::say(&format!("\n{}, GET /, {} bytes", app.name, report.page_bytes));
        progress::say(&format!("{}\n", table::render(&report.servers)));
        reports.push(report);
    }
    let machine = Machine::describe(workspace, bench.cores);
    let report = Report { bench: "pages", machine, apps: reports, skipped };
    let path = report::write(&bench.cache, report.bench, &report)?;
    progress::say(&format!("report: {}", path.display()));
    Ok(())
}

/// Its place among those that run.
const ISOPOD: usize = 0;

struct PagesBench<'a> {
    workspace: &'a Workspace,
    options: &'a PagesOptions,
    cache: PathBuf,
    cores: Cores,
    wrk: Wrk,
}

/// A contestant that serves, and what was measured of it.
struct Running<'a> {
    contestant: &'a Contestant,
    server: Server,
    page: Page,
    command: String,
    slices: Vec<Sample>,
}

impl<'a> PagesBench<'a> {
    fn prepare(workspace: &'a Workspace, options: &'a PagesOptions) -> Result<Self, BenchFailure> {
        let cache = workspace.root.join(".cache/bench");
        let cores = Cores::allowed()?;
        let wrk = Wrk::prepare(&cache, cores.load)?;
        Ok(Self { workspace, options, cache, cores, wrk })
    }

    fn apps(&self) -> Result<Vec<App>, BenchFailure> {
        let known = apps::all(self.workspace)?;
        let named = |name: &String| {
            known.iter().find(|app| app.name == *name).cloned().ok_or_else(|| BenchFailure::NoApp {
                name: name.clone(),
                known: known.iter().map(|app| app.name.clone()).collect(),
            })
        };
        self.options.apps.iter().map(named).collect()
    }

    fn contestants(&self, skipped: &mut Vec<Skipped>) -> Vec<Contestant> {
        let mut contestants = vec![Contestant::ISOPOD];
        for rival in &self.options.against {
            match Contestant::install(*rival, self.workspace, &self.cache) {
                Ok(contestant) => contestants.push(contestant),
                Err(failure) => skip(skipped, format!("{rival:?}"), &failure),
            }
        }
        contestants
    }

    fn measure(
        &self,
        app: &App,
        contestants: &[Contestant],
        skipped: &mut Vec<Skipped>,
    ) -> Result<AppReport, BenchFailure> {
        let mut running = self.line_up(app, contestants, skipped)?;
        let mut lost = Vec::new();
        for repeat in 0..self.options.repeat.get() {
            let task =
                Task::start(&format!("{}: repeat {} of {}", app.name, repeat + 1, self.options.repeat));
            for index in order(running.len(), repeat) {
                let one = &mut running[index];
                task.detail(one.contestant.name());
                match self.slice(one) {
                    Ok(sample) => one.slices.push(sample),
                    Err(failure) if index == ISOPOD => return Err(failure),
                    Err(failure) => lost.push((index, failure)),
                }
            }
            // From the last on, so that those before keep their places.
            lost.sort_by_key(|(index, _)| Reverse(*index));
            for (index, failure) in lost.drain(..) {
                let one = running.remove(index);
                skip(skipped, format!("{} for {}", one.contestant.name(), app.name), &failure);
            }
            task.done();
        }
        let page_bytes = running.get(ISOPOD).map_or(0, |isopod| isopod.page.body.len());
        let mut servers = Vec::new();
        for one in running {
            servers.extend(self.conclude(one)?);
        }
        Ok(AppReport { app: app.name.clone(), page_bytes, servers })
    }

    /// Starts, checks and warms all of them; Isopod, the first, must come up, a rival may fail.
    fn line_up<'c>(
        &self,
        app: &App,
        contestants: &'c [Contestant],
        skipped: &mut Vec<Skipped>,
    ) -> Result<Vec<Running<'c>>, BenchFailure> {
        let mut running: Vec<Running<'c>> = Vec::new();
        for contestant in contestants {
            let reference = running.get(ISOPOD).map(|isopod| &isopod.page);
            match self.bring_up(app, contestant, reference) {
                Ok(one) => running.push(one),
                Err(failure) if running.is_empty() => return Err(failure),
                Err(failure) => skip(skipped, format!("{} for {}", contestant.name(), app.name), &failure),
            }
        }
        Ok(running)
    }

    fn bring_up<'c>(
        &self,
        app: &App,
        contestant: &'c Contestant,
        reference: Option<&Page>,
    ) -> Result<Running<'c>, BenchFailure> {
        let task = Task::start(&format!("{}: {} starts and warms up", app.name, contestant.name()));
        let started = contestant.start(self.workspace, app, &self.cores.server.to_string(), 1)?;
        let Started { server, command } = started;
        let page = Page::fetch(contestant.name(), server.address())?;
        page.check(contestant.name(), reference)?;
        let running = Running { contestant, server, page, command, slices: Vec::new() };
        self.load(&running, WARM_UP)?;
        task.done();
        Ok(running)
    }

    fn slice(&self, one: &Running<'_>) -> Result<Sample, BenchFailure> {
        Sample::take(one.server.pid(), || self.load(one, self.options.slice()))
    }

    fn load(&self, one: &Running<'_>, time: Duration) -> Result<Load, BenchFailure> {
        let mut command: Command =
            self.wrk.command(one.server.address(), time, &one.page.lengths(), &MARKERS);
        self.wrk.run(one.contestant.name(), &mut command)
    }

    /// Isopod must also end well; a rival is just ended.
    fn conclude(&self, one: Running<'_>) -> Result<Option<Standing>, Failure> {
        let version = one.contestant.version(self.workspace);
        if one.contestant.is_isopod() {
            one.server.stop()?;
        }
        Ok(Standing::of(one.contestant.name(), version, one.command, one.slices))
    }
}

fn skip(skipped: &mut Vec<Skipped>, server: String, failure: &BenchFailure) {
    progress::say(&format!("{server} is skipped: {}", failure.report()));
    skipped.push(Skipped { server, reason: failure.to_string() });
}
