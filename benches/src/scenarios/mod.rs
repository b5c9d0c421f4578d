//! `cargo xtask bench [SCENARIO]...`: Isopod and its rivals in turn, each on the same core.
//!
//! - [`catalog`]: the scenarios as data. [`requests`]: what each asks of an app, and what right answers are.
//! - [`field`]: the servers that run side by side. [`throughput`], [`open`], [`faults`]: how they are measured.
//! - [`results`]: what came of it.

pub mod catalog;
mod faults;
mod field;
mod open;
mod requests;
pub mod results;
mod throughput;

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use xtask::apps::{self, App};
use xtask::digest;
use xtask::progress;
use xtask::tools;
use xtask::workspace::Workspace;

use crate::cli::ScenarioOptions;
use crate::contestants::Contestant;
use crate::error::BenchFailure;
use crate::machine::{self, Cores, Machine};
use crate::report::{self, Skipped, publish, text};
use crate::wrk::script;
use catalog::{Kind, SCENARIOS, Scenario};
use field::{Field, Ground};
use results::{Run, ScenarioResult};

/// Measures the scenarios that were asked for, all when none was, shows the tables and writes the reports.
///
/// # Errors
///
/// When Isopod fails or answers wrongly, or nothing can be measured. A rival that fails is skipped and reported.
pub fn run(workspace: &Workspace, options: &ScenarioOptions) -> Result<(), BenchFailure> {
    tools::require_taskset()?;
    tools::require_wrk()?;
    let scenarios = chosen(&options.scenarios)?;
    let apps = named(workspace, &options.apps)?;
    let cores = Cores::allowed()?;
    machine::pin_this_thread(cores.load)?;
    let ground = Ground {
        workspace,
        cache: workspace.root.join(".cache/bench"),
        cores,
        slice: options.slice(),
        warm_up: options.warm_up(),
        repeat: options.repeat.get(),
    };
    let mut skipped = Vec::new();
    let contestants = contestants(&ground, options, &mut skipped);
    progress::say(&format!("about {} minutes", minutes(&ground, &scenarios, apps.len(), contestants.len())));
    let mut run = Run {
        command: command(),
        machine: Machine::describe(workspace, cores),
        builds: apps.iter().map(build).collect::<Result<_, _>>()?,
        seconds: ground.slice.as_secs(),
        repeat: ground.repeat,
        results: Vec::new(),
        memory: Vec::new(),
        skipped: Vec::new(),
        has_failed: false,
    };
    for (place, app) in apps.iter().enumerate() {
        let wanted: Vec<&Scenario> =
            scenarios.iter().copied().filter(|scenario| scenario.each_app || place == 0).collect();
        side_by_side(&ground, app, &wanted, &contestants, &mut run, &mut skipped)?;
        one_by_one(&ground, app, &wanted, &contestants, &mut run, &mut skipped)?;
    }
    run.skipped = skipped;
    conclude(workspace, &ground, &run, options.publish)
}

/// Those that serve at the same time.
fn side_by_side(
    ground: &Ground<'_>,
    app: &App,
    scenarios: &[&Scenario],
    contestants: &[Contestant],
    run: &mut Run,
    skipped: &mut Vec<Skipped>,
) -> Result<(), BenchFailure> {
    let kinds = [Kind::Throughput, Kind::Visitors, Kind::Overload];
    let wanted: Vec<_> = scenarios.iter().filter(|scenario| kinds.contains(&scenario.kind)).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let field = Field::line_up(ground, app, contestants, 1, skipped)?;
    for scenario in wanted {
        take(throughput::measure(&field, scenario, skipped), scenario, run, skipped);
    }
    run.memory.extend(field.end()?);
    Ok(())
}

/// Those that break something.
fn one_by_one(
    ground: &Ground<'_>,
    app: &App,
    scenarios: &[&Scenario],
    contestants: &[Contestant],
    run: &mut Run,
    skipped: &mut Vec<Skipped>,
) -> Result<(), BenchFailure> {
    for scenario in scenarios {
        match scenario.kind {
            Kind::Poisoned | Kind::Deploy | Kind::Kill => {
                let documents: Vec<Contestant> =
                    contestants.iter().filter(|one| one.serves_documents()).cloned().collect();
                take(faults::measure(ground, scenario, app, &documents, skipped), scenario, run, skipped);
            }
            Kind::Missing(reason) => {
                progress::say(&format!("{} is skipped: {reason}", scenario.name));
                skipped.push(Skipped { server: scenario.name.to_owned(), reason: reason.to_owned() });
            }
            Kind::Throughput | Kind::Visitors | Kind::Overload => {}
        }
    }
    Ok(())
}

/// Shows and keeps what came of a scenario; one that failed is in the report, and the others are measured.
fn take(
    measured: Result<ScenarioResult, BenchFailure>,
    scenario: &Scenario,
    run: &mut Run,
    skipped: &mut Vec<Skipped>,
) {
    match measured {
        Ok(result) => {
            progress::say(&format!("\n{}", text::render(&result)));
            run.results.push(result);
        }
        Err(failure) => {
            run.has_failed = true;
            field::skip(skipped, &format!("isopod in {}", scenario.name), &failure);
        }
    }
}

fn conclude(
    workspace: &Workspace,
    ground: &Ground<'_>,
    run: &Run,
    is_published: bool,
) -> Result<(), BenchFailure> {
    let json = report::write(&ground.cache, "scenarios", run)?;
    progress::say(&format!("report: {}", json.display()));
    for file in publish::write(&ground.cache, run)? {
        progress::say(&format!("report: {}", file.display()));
    }
    if is_published {
        for file in publish::into_docs(workspace, run)? {
            progress::say(&format!("published: {}", file.display()));
        }
    }
    if run.has_failed {
        let problem = "it failed in a scenario; the report says in which".to_owned();
        return Err(BenchFailure::Load { contestant: "isopod".to_owned(), problem });
    }
    Ok(())
}

/// The script for wrk that asks a running Isopod for what a scenario asks for.
///
/// # Errors
///
/// When there is no such scenario, or an answer is wrong.
pub fn load_script(name: &str, app: &App, address: &str, cache: &Path) -> Result<PathBuf, BenchFailure> {
    let scenario = chosen(&[name.to_owned()])?;
    let mut requests = Vec::new();
    for scenario in scenario {
        requests.extend(requests::of(scenario, app, true)?);
    }
    for request in &mut requests {
        request.check("isopod", address)?;
    }
    let asks: Vec<_> = requests.iter().map(|request| &request.ask).collect();
    Ok(script::write(cache, &format!("wrk-profile-{name}"), &asks, false)?)
}

fn chosen(names: &[String]) -> Result<Vec<&'static Scenario>, BenchFailure> {
    if names.is_empty() {
        return Ok(SCENARIOS.iter().collect());
    }
    let find = |name: &String| {
        let known = || SCENARIOS.iter().map(|scenario| scenario.name).collect();
        catalog::named(name).ok_or_else(|| BenchFailure::NoScenario { name: name.clone(), known: known() })
    };
    names.iter().map(find).collect()
}

fn named(workspace: &Workspace, names: &[String]) -> Result<Vec<App>, BenchFailure> {
    let known = apps::all(workspace)?;
    let find = |name: &String| {
        known.iter().find(|app| app.name == *name).cloned().ok_or_else(|| BenchFailure::NoApp {
            name: name.clone(),
            known: known.iter().map(|app| app.name.clone()).collect(),
        })
    };
    names.iter().map(find).collect()
}

fn contestants(
    ground: &Ground<'_>,
    options: &ScenarioOptions,
    skipped: &mut Vec<Skipped>,
) -> Vec<Contestant> {
    let mut contestants = vec![Contestant::ISOPOD];
    for rival in options.rivals() {
        match Contestant::install(rival, ground.workspace, &ground.cache) {
            Ok(contestant) => contestants.push(contestant),
            Err(failure) => field::skip(skipped, rival.recipe().name, &failure),
        }
    }
    contestants
}

/// The app and the hash of its bundle.
fn build(app: &App) -> Result<(String, String), BenchFailure> {
    let hash = digest::of_trees(&[app.dist()], &|path| path.ends_with(".isopod-built"))?;
    Ok((app.name.clone(), hash.chars().take(16).collect()))
}

/// As it was typed.
fn command() -> String {
    let mut words = env::args().skip(1).peekable();
    let mut typed = vec!["cargo xtask bench".to_owned()];
    while let Some(word) = words.next() {
        if word == "--root" || word == "--target" {
            words.next();
        } else {
            typed.push(word);
        }
    }
    typed.join(" ")
}

fn minutes(ground: &Ground<'_>, scenarios: &[&Scenario], apps: usize, contestants: usize) -> u64 {
    let seconds: Duration = scenarios
        .iter()
        .map(|scenario| {
            let slices = match scenario.kind {
                Kind::Throughput => ground.repeat + if scenario.latencies { 2 } else { 0 },
                Kind::Visitors => 2,
                Kind::Overload => 10,
                Kind::Poisoned | Kind::Deploy | Kind::Kill => 4,
                Kind::Missing(_) => 0,
            };
            let one = ground.warm_up + ground.slice * u32::try_from(slices).unwrap_or(u32::MAX);
            let times = if scenario.each_app { apps } else { 1 };
            one * u32::try_from(times * contestants).unwrap_or(u32::MAX)
        })
        .sum();
    seconds.as_secs().div_ceil(60)
}

#[cfg(test)]
mod tests {
    use super::catalog::SCENARIOS;
    use super::chosen;

    #[test]
    fn no_name_is_all_and_a_wrong_one_is_told_what_there_is() {
        assert_eq!(chosen(&[]).unwrap().len(), SCENARIOS.len());
        assert_eq!(chosen(&["hello".to_owned()]).unwrap()[0].name, "hello");
        let failure = chosen(&["goodbye".to_owned()]).unwrap_err();
        assert!(failure.report().contains("links-100"), "{}", failure.report());
    }
}
