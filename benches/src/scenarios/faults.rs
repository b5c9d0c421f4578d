//! Open loops while something goes wrong: a request that never returns, a new build, a process that dies.

use std::fs;
use std::sync::mpsc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use xtask::apps::App;
use xtask::progress::Task;

use super::catalog::{Kind, Scenario};
use super::field::{Field, Ground, Runner, skip};
use super::open;
use super::requests::{self, Request};
use super::results::{Rated, ScenarioResult, ServerResult};
use crate::cluster::Admin;
use crate::contestants::{Contestant, Way};
use crate::error::BenchFailure;
use crate::process_tree;
use crate::report::Skipped;
use crate::traffic::connections::Protocol;
use crate::traffic::schedule::Shape;

/// Requests per second: well below what two processes on one core can do, so that losses are the fault's.
const RATE: f64 = 300.0;

/// Processes that run the bundle, where a server has a choice: one is lost.
const PROCESSES: usize = 2;

/// The least time of a run: three poisoned requests.
const LEAST_TIME: Duration = Duration::from_secs(10);

/// Measures one scenario, each server by itself.
///
/// # Errors
///
/// When Isopod does not start or does not end well. Else who cannot be measured is skipped.
pub fn measure(
    ground: &Ground<'_>,
    scenario: &Scenario,
    app: &App,
    contestants: &[Contestant],
    skipped: &mut Vec<Skipped>,
) -> Result<ScenarioResult, BenchFailure> {
    let mut result = ScenarioResult::new(scenario, &app.name);
    for contestant in contestants {
        let who = format!("{} in {}", contestant.name(), scenario.name);
        if let Some(reason) = unfit(contestant, scenario.kind) {
            skip(skipped, &who, &BenchFailure::Unfit { rival: contestant.name(), reason });
            continue;
        }
        // One after the other: a server that spins would take the others' core.
        let way = Way { processes: PROCESSES };
        let field = Field::line_up(ground, app, std::slice::from_ref(contestant), way, skipped)?;
        let Some(runner) = field.runners.first() else { continue };
        let task = Task::start(&format!("{}, {}: {}", scenario.name, app.name, contestant.name()));
        match suffer(&field, scenario, runner) {
            Ok(rated) => result.servers.push(ServerResult {
                server: contestant.name().to_owned(),
                version: runner.version.clone(),
                command: runner.started.command.clone(),
                saturated: None,
                rated: vec![rated],
            }),
            // The others are measured all the same.
            Err(failure) => {
                result.is_sound &= !contestant.is_isopod();
                skip(skipped, &who, &failure);
            }
        }
        task.done();
        field.end()?;
    }
    Ok(result)
}

/// How long the load runs.
pub fn time(ground: &Ground<'_>) -> Duration {
    (2 * ground.slice).max(LEAST_TIME)
}

/// Why a server has no such scenario.
fn unfit(contestant: &Contestant, kind: Kind) -> Option<&'static str> {
    let recipe = contestant.recipe()?;
    match kind {
        Kind::Deploy if !recipe.reloads => Some("it has no way to load another build while it serves"),
        Kind::Kill if !recipe.heals => Some("nothing starts it again"),
        _ => None,
    }
}

fn suffer(field: &Field<'_>, scenario: &Scenario, runner: &Runner) -> Result<Rated, BenchFailure> {
    let (ground, app) = (field.ground, field.app);
    let name = runner.contestant.name();
    let mut requests: Vec<Request> = requests::of(scenario, app, runner.contestant.is_isopod())?;
    for request in &mut requests {
        request.check(name, runner.address())?;
    }
    let innocent: Vec<Request> = requests.iter().take(1).cloned().collect();
    open::load(
        runner,
        &innocent,
        Shape::constant(RATE, ground.warm_up.max(open::LEAST_TIME)),
        Protocol::Http1,
    )?;
    let shape = Shape::constant(RATE, time(ground));
    let half = shape.time() / 2;
    std::thread::scope(|scope| {
        let (load, is_over) = mpsc::channel::<()>();
        let fault = scope.spawn(move || {
            std::thread::sleep(half);
            let struck = strike(runner, scenario.kind);
            // What is not over before the load would be measured too lightly. An error is the end of the load.
            match is_over.try_recv() {
                Err(mpsc::TryRecvError::Disconnected) if struck.is_ok() => Err(BenchFailure::Load {
                    contestant: name.to_owned(),
                    problem: "the fault took longer than the load".into(),
                }),
                _ => struck,
            }
        });
        let rated = open::rated(runner, &requests, scenario.name, shape, Protocol::Http1);
        drop(load);
        match fault.join() {
            Ok(Ok(())) => rated,
            Ok(Err(failure)) => Err(failure),
            Err(_) => {
                let problem = "the fault failed".to_owned();
                Err(BenchFailure::Load { contestant: name.to_owned(), problem })
            }
        }
    })
}

/// What happens in the middle of the run.
fn strike(runner: &Runner, kind: Kind) -> Result<(), BenchFailure> {
    let root = runner.pid();
    match kind {
        // As SIGHUP, but it says how it ended: all renderers have changed over then.
        Kind::Deploy if runner.contestant.is_isopod() => Admin::of(&runner.started.server)?.reload(),
        Kind::Deploy => signal(root, Signal::SIGHUP),
        Kind::Kill => signal(victim(root)?, Signal::SIGKILL),
        _ => Ok(()),
    }
}

fn signal(victim: u32, signal: Signal) -> Result<(), BenchFailure> {
    let failure = |problem: String| BenchFailure::CpuTime { pid: victim, problem };
    let pid = i32::try_from(victim).map_err(|error| failure(error.to_string()))?;
    kill(Pid::from_raw(pid), signal).map_err(|error| failure(error.to_string()))
}

/// A process that runs the bundle: a renderer of Isopod's, else any child.
fn victim(root: u32) -> Result<u32, BenchFailure> {
    let children = process_tree::pids(root)?;
    let is_renderer = |pid: &&u32| {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with("renderer"))
    };
    let below = children.get(1..).unwrap_or_default();
    let found = below.iter().find(is_renderer).or_else(|| below.first());
    found
        .copied()
        .ok_or_else(|| BenchFailure::CpuTime { pid: root, problem: "it has no children".to_owned() })
}
