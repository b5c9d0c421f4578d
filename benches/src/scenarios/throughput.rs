//! A scenario at saturation, closed loop, and the latencies at parts of it, open loop.

use std::cmp::Reverse;
use std::path::PathBuf;
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use xtask::progress::Task;

use super::catalog::{Kind, Scenario};
use super::field::{Field, Runner, skip};
use super::open;
use super::requests::{self, Request};
use super::results::{Rated, Saturated, ScenarioResult, ServerResult};
use crate::contestants::Contestant;
use crate::contestants::recipe::Serves;
use crate::error::BenchFailure;
use crate::isolate;
use crate::isolate::renderer::Renderer;
use crate::process_tree;
use crate::report::Skipped;
use crate::slice::{Sample, order};
use crate::statistics::Summary;
use crate::traffic::schedule::Shape;
use crate::wrk::{Load, Wrk, script};

/// The parts of the best rival's saturation at which latencies are measured.
pub const PARTS: [f64; 2] = [0.5, 0.8];

/// A server with so many invalid slices is out of a scenario.
const MOST_INVALID: usize = 2;

/// How long an isolate by itself is warmed up: its code is compiled by then, and nothing else is to warm.
pub const CEILING_WARM_UP: Duration = Duration::from_secs(2);

/// How long servers are under load before files are measured, and those that nothing compiles at run time before
/// anything is.
const SHORT_WARM_UP: Duration = Duration::from_secs(1);

/// A server in one scenario.
pub struct Entrant<'f> {
    /// The server.
    pub runner: &'f Runner,
    /// Its requests, checked.
    pub requests: Vec<Request>,
    script: PathBuf,
    slices: Vec<Sample>,
    /// Slices that say nothing.
    invalid: usize,
    /// Open loops.
    pub rated: Vec<Rated>,
}

impl Entrant<'_> {
    /// Answers per second, the median of its slices.
    pub fn saturation(&self) -> Option<f64> {
        Summary::of(self.slices.iter().map(|slice| slice.requests_per_second)).map(|summary| summary.median)
    }

    fn name(&self) -> &'static str {
        self.runner.contestant.name()
    }
}

/// Measures one scenario with one app.
///
/// # Errors
///
/// When Isopod fails, answers wrongly, or nothing can be measured. A rival that does is skipped.
pub fn measure(
    field: &Field<'_>,
    scenario: &Scenario,
    skipped: &mut Vec<Skipped>,
) -> Result<ScenarioResult, BenchFailure> {
    let mut entrants = enter(field, scenario, skipped)?;
    let repeats = if scenario.kind == Kind::Throughput { field.ground.repeat } else { 1 };
    for repeat in 0..repeats {
        let task = Task::start(&format!(
            "{}, {}: repeat {} of {repeats}",
            scenario.name,
            field.app.name,
            repeat + 1,
        ));
        each(&mut entrants, repeat, field, scenario, skipped, |entrant| {
            task.detail(entrant.name());
            Sample::take(entrant.runner.pid(), || saturate(field, scenario, entrant, field.ground.slice))
        })?;
        task.done();
    }
    entrants.retain(|entrant| !entrant.slices.is_empty());
    if !entrants.first().is_some_and(|first| first.runner.contestant.is_isopod()) {
        let problem = "none of its slices is valid".to_owned();
        return Err(BenchFailure::Load { contestant: "isopod".to_owned(), problem });
    }
    match scenario.kind {
        Kind::Overload => {
            for factor in open::FACTORS {
                let task = Task::start(&format!("{}, {}: {factor} times", scenario.name, field.app.name));
                rate_each(&mut entrants, field, scenario, skipped, &format!("{factor}x"), |entrant| {
                    task.detail(entrant.name());
                    let saturation = entrant.saturation().unwrap_or_default();
                    open::spike(entrant.runner, &entrant.requests, saturation, factor, field.ground)
                });
                task.done();
            }
        }
        Kind::Visitors => latencies(field, scenario, &mut entrants, &PARTS[..1], skipped),
        _ if scenario.latencies => latencies(field, scenario, &mut entrants, &PARTS, skipped),
        _ => {}
    }
    conclude(field, scenario, entrants)
}

fn latencies(
    field: &Field<'_>,
    scenario: &Scenario,
    entrants: &mut [Entrant<'_>],
    parts: &[f64],
    skipped: &mut Vec<Skipped>,
) {
    let rivals = entrants.iter().filter(|entrant| !entrant.runner.contestant.is_isopod());
    let best = rivals.filter_map(Entrant::saturation).fold(0.0, f64::max);
    let own = entrants.first().and_then(Entrant::saturation).unwrap_or_default();
    let reference = if best > 0.0 { best } else { own };
    for part in parts {
        let rate = reference * part;
        let label = format!("{:.0} %", part * 100.0);
        let task = Task::start(&format!("{}, {}: {rate:.0} a second", scenario.name, field.app.name));
        rate_each(entrants, field, scenario, skipped, &label, |entrant| {
            task.detail(entrant.name());
            let shape = Shape::constant(rate, field.ground.slice.max(open::LEAST_TIME));
            open::rated(entrant.runner, &entrant.requests, &label, shape, scenario.protocol)
        });
        task.done();
    }
}

/// Checks the answers of all that can take part, compares them, and warms the servers up.
fn enter<'f>(
    field: &'f Field<'_>,
    scenario: &Scenario,
    skipped: &mut Vec<Skipped>,
) -> Result<Vec<Entrant<'f>>, BenchFailure> {
    let mut entrants: Vec<Entrant<'f>> = Vec::new();
    let task = Task::start(&format!("{}, {}: answers are compared", scenario.name, field.app.name));
    for runner in &field.runners {
        if !scenario.is_for(&runner.contestant) {
            continue;
        }
        if !scenario.is_spoken_by(&runner.contestant) {
            let reason = "it takes HTTP/2 with TLS alone, or not at all";
            let failure = BenchFailure::Unfit { rival: runner.contestant.name(), reason };
            skip(skipped, &called(runner, scenario, field), &failure);
            continue;
        }
        task.detail(runner.contestant.name());
        let reference = entrants.first().map(|isopod| isopod.requests.as_slice());
        match entrant(field, scenario, runner, reference) {
            Ok(one) => entrants.push(one),
            Err(failure) if runner.contestant.is_isopod() => return Err(failure),
            Err(failure) => skip(skipped, &called(runner, scenario, field), &failure),
        }
    }
    task.done();
    Ok(entrants)
}

fn entrant<'f>(
    field: &'f Field<'_>,
    scenario: &Scenario,
    runner: &'f Runner,
    reference: Option<&[Request]>,
) -> Result<Entrant<'f>, BenchFailure> {
    let name = runner.contestant.name();
    let mut requests = requests::of(scenario, field.app, runner.contestant.is_isopod())?;
    for (place, request) in requests.iter_mut().enumerate() {
        request.check(name, runner.address())?;
        if let Some(other) = reference.and_then(|reference| reference.get(place)) {
            request.compare(name, other)?;
        }
    }
    let asks: Vec<_> = requests.iter().map(|request| &request.ask).collect();
    let checks = !requests.iter().all(Request::is_static);
    let file = format!("wrk-{}-{}-{name}", scenario.name, field.app.name);
    let script = script::write(&field.ground.cache, &file, &asks, checks)?;
    let entrant = Entrant { runner, requests, script, slices: Vec::new(), invalid: 0, rated: Vec::new() };
    let time = warm_up(scenario, &runner.contestant, field.ground.warm_up);
    Wrk::on(field.ground.cores.load).warm_up(&mut loaded(field, scenario, &entrant, time))?;
    Ok(entrant)
}

fn saturate(
    field: &Field<'_>,
    scenario: &Scenario,
    entrant: &Entrant<'_>,
    time: Duration,
) -> Result<Load, BenchFailure> {
    let load =
        Wrk::on(field.ground.cores.load).run(entrant.name(), &mut loaded(field, scenario, entrant, time))?;
    let least: usize = if entrant.requests.iter().all(Request::is_static) {
        entrant.requests.iter().map(|request| request.body.len()).min().unwrap_or(0)
    } else {
        0
    };
    if load.bytes < load.requests * least as u64 {
        let problem = format!("{} bytes in {} answers of at least {least}", load.bytes, load.requests);
        return Err(BenchFailure::Load { contestant: entrant.name().to_owned(), problem });
    }
    Ok(load)
}

fn loaded(field: &Field<'_>, scenario: &Scenario, entrant: &Entrant<'_>, time: Duration) -> Command {
    let wrk = Wrk::on(field.ground.cores.load);
    wrk.mix(&entrant.script, entrant.runner.address(), time, scenario.connections)
}

/// How long a server is under load before a scenario is measured.
pub fn warm_up(scenario: &Scenario, contestant: &Contestant, usual: Duration) -> Duration {
    let is_native = contestant.recipe().is_some_and(|recipe| recipe.serves == Serves::Static);
    if is_native || scenario.asks_for_files_alone() { usual.min(SHORT_WARM_UP) } else { usual }
}

/// Takes a slice of each in turn. An invalid one is told and left out; a rival with [`MOST_INVALID`] of them is out of
/// the scenario, Isopod's end it.
fn each<'f>(
    entrants: &mut Vec<Entrant<'f>>,
    repeat: usize,
    field: &Field<'_>,
    scenario: &Scenario,
    skipped: &mut Vec<Skipped>,
    mut slice: impl FnMut(&Entrant<'f>) -> Result<Sample, BenchFailure>,
) -> Result<(), BenchFailure> {
    let mut lost = Vec::new();
    for index in order(entrants.len(), repeat) {
        let one = &mut entrants[index];
        let sampled = slice(one);
        field.look();
        match sampled {
            Ok(sample) => one.slices.push(sample),
            Err(failure) => {
                one.invalid += 1;
                let is_out = one.invalid >= MOST_INVALID;
                if is_out && one.runner.contestant.is_isopod() {
                    return Err(failure);
                }
                let what = if is_out { "" } else { "a slice of " };
                skip(skipped, &format!("{what}{}", called(one.runner, scenario, field)), &failure);
                if is_out {
                    lost.push(index);
                }
            }
        }
    }
    // From the last on, so that those before keep their places.
    lost.sort_by_key(|index| Reverse(*index));
    for index in lost {
        entrants.remove(index);
    }
    Ok(())
}

/// Runs an open loop on each in turn; one that cannot be measured so is out of this loop alone.
fn rate_each<'f>(
    entrants: &mut [Entrant<'f>],
    field: &Field<'_>,
    scenario: &Scenario,
    skipped: &mut Vec<Skipped>,
    label: &str,
    mut action: impl FnMut(&Entrant<'f>) -> Result<Rated, BenchFailure>,
) {
    for one in entrants {
        let measured = action(one);
        field.look();
        match measured {
            Ok(rated) => one.rated.push(rated),
            Err(failure) => {
                skip(skipped, &format!("{} at {label}", called(one.runner, scenario, field)), &failure)
            }
        }
    }
}

fn called(runner: &Runner, scenario: &Scenario, field: &Field<'_>) -> String {
    format!("{} in {} for {}", runner.contestant.name(), scenario.name, field.app.name)
}

fn conclude(
    field: &Field<'_>,
    scenario: &Scenario,
    entrants: Vec<Entrant<'_>>,
) -> Result<ScenarioResult, BenchFailure> {
    let mut result = ScenarioResult::new(scenario, &field.app.name);
    if let Some(isopod) = entrants.first() {
        result.paths = isopod.requests.iter().map(|request| request.ask.path.clone()).collect();
        result.bytes = isopod.requests.iter().map(|request| request.body.len()).collect();
    }
    result.is_sound = entrants.first().is_some_and(|isopod| isopod.invalid == 0);
    for entrant in entrants {
        result.servers.push(ServerResult {
            server: entrant.name().to_owned(),
            version: entrant.runner.version.clone(),
            command: entrant.runner.started.command.clone(),
            saturated: Saturated::of(entrant.slices),
            rated: entrant.rated,
        });
    }
    if let Some(path) = scenario.page() {
        result.ceiling_micros = ceiling(field, path, scenario.connections)?;
    }
    Ok(result)
}

/// CPU-microseconds of a render in an isolate that is spoken to over its wire alone.
fn ceiling(
    field: &Field<'_>,
    path: &'static str,
    connections: usize,
) -> Result<Option<Summary>, BenchFailure> {
    let ground = field.ground;
    let task = Task::start(&format!("{}: {path} in an isolate without HTTP", field.app.name));
    let program = ground.workspace.release_binary("renderer-pool");
    let mut renderer = Renderer::start(&program, &field.app.dist(), ground.cores.server, Vec::new())?;
    let page = isolate::Page { path, concurrency: connections.min(isolate::MAX_CONCURRENCY), warm_up: 0 };
    let slice_micros = ground.slice.as_secs_f64() * 1e6;
    let mut cost = render(&mut renderer, &page, isolate::MAX_CONCURRENCY)?;
    let warm_up = ground.warm_up.min(CEILING_WARM_UP);
    cost = render(&mut renderer, &page, count(warm_up.as_secs_f64() * 1e6 / cost))?;
    let mut figures = Vec::new();
    for _ in 0..ground.repeat {
        figures.push(render(&mut renderer, &page, count(slice_micros / cost))?);
    }
    task.done();
    Ok(Summary::of(figures))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a slice's renders are few and positive"
)]
fn count(renders: f64) -> usize {
    (renders as usize).clamp(64, 20_000)
}

fn render(renderer: &mut Renderer, page: &isolate::Page, count: usize) -> Result<f64, BenchFailure> {
    use crate::isolate::Renders;
    let before = process_tree::precise_cpu_time(renderer.pid())?;
    renderer.render(page, count)?;
    let used = process_tree::precise_cpu_time(renderer.pid())?.saturating_sub(before);
    Ok(used.as_secs_f64() * 1e6 / count as f64)
}

/// The asks of checked requests, for the open loop.
pub fn asks(requests: &[Request]) -> Vec<Rc<crate::traffic::ask::Ask>> {
    requests.iter().map(|request| Rc::new(request.ask.clone())).collect()
}
