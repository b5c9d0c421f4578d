//! `cargo xtask bench [SCENARIO]...`: Isopod and its rivals in turn, each on the same core.
//!
//! - [`catalog`]: the scenarios as data. [`requests`]: what each asks of an app, and what right answers are.
//! - [`field`]: the servers that run side by side. [`throughput`], [`open`], [`faults`]: how they are measured.
//! - [`plan`]: which of them with which app, and how long it takes. [`results`]: what came of it.

pub mod catalog;
mod faults;
mod field;
mod open;
mod plan;
mod requests;
pub mod results;
mod throughput;

use std::env;
use std::path::{Path, PathBuf};

use xtask::apps::App;
use xtask::digest;
use xtask::progress;
use xtask::tools;
use xtask::workspace::Workspace;

use crate::cli::ScenarioOptions;
use crate::contestants::{Contestant, Way};
use crate::error::BenchFailure;
use crate::machine::{self, Cores, Machine};
use crate::report::{Skipped, publish, text};
use crate::selection;
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
    let apps = selection::apps(workspace, &options.apps)?;
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
    let plan = plan::of(&scenarios, &apps);
    let time = plan::time(&ground, &plan, &contestants);
    progress::say(&format!("about {} minutes", time.as_secs().div_ceil(60)));
    let run = Run {
        command: command(),
        machine: Machine::describe(workspace, cores),
        builds: apps.iter().map(build).collect::<Result<_, _>>()?,
        seconds: ground.slice.as_secs(),
        warm_up: ground.warm_up.as_secs(),
        repeat: ground.repeat,
        planned: plan.iter().flat_map(|(_, scenarios)| scenarios).filter(|one| one.is_measured()).count(),
        results: Vec::new(),
        memory: Vec::new(),
        skipped,
        has_failed: false,
    };
    let files = publish::Files::new(&ground.cache, workspace, options.publish);
    let mut taking = Taking { root: workspace.root.clone(), run, files };
    for (app, scenarios) in &plan {
        taking.side_by_side(&ground, app, scenarios, &contestants)?;
        taking.one_by_one(&ground, app, scenarios, &contestants)?;
    }
    taking.conclude()
}

/// A run under way. What was measured is written after each scenario: a run that is ended keeps what it has.
struct Taking {
    root: PathBuf,
    run: Run,
    files: publish::Files,
}

impl Taking {
    /// Those that serve at the same time.
    fn side_by_side(
        &mut self,
        ground: &Ground<'_>,
        app: &App,
        scenarios: &[&Scenario],
        contestants: &[Contestant],
    ) -> Result<(), BenchFailure> {
        let wanted: Vec<_> = scenarios.iter().filter(|scenario| scenario.is_side_by_side()).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let mut field = Field::line_up(ground, app, contestants, Way::ALONE, &mut self.run.skipped)?;
        let earlier = self.run.memory.len();
        for scenario in wanted {
            field.revive(&mut self.run.skipped)?;
            let measured = throughput::measure(&field, scenario, &mut self.run.skipped);
            self.run.memory.truncate(earlier);
            self.run.memory.extend(field.memory());
            self.take(measured, scenario)?;
        }
        field.end()
    }

    /// Those that break something.
    fn one_by_one(
        &mut self,
        ground: &Ground<'_>,
        app: &App,
        scenarios: &[&Scenario],
        contestants: &[Contestant],
    ) -> Result<(), BenchFailure> {
        for scenario in scenarios {
            match scenario.kind {
                Kind::Poisoned | Kind::Deploy | Kind::Kill => {
                    let documents: Vec<Contestant> =
                        contestants.iter().filter(|one| one.serves_documents()).cloned().collect();
                    let measured = faults::measure(ground, scenario, app, &documents, &mut self.run.skipped);
                    self.take(measured, scenario)?;
                }
                Kind::Missing(reason) => {
                    progress::say(&format!("{} is skipped: {reason}", scenario.name));
                    let skipped = Skipped { server: scenario.name.to_owned(), reason: reason.to_owned() };
                    self.run.skipped.push(skipped);
                }
                Kind::Throughput | Kind::Visitors | Kind::Overload => {}
            }
        }
        Ok(())
    }

    /// Shows, keeps and writes what came of a scenario; one that failed is in the report, and the others are measured.
    fn take(
        &mut self,
        measured: Result<ScenarioResult, BenchFailure>,
        scenario: &Scenario,
    ) -> Result<(), BenchFailure> {
        match measured {
            Ok(result) => {
                progress::say(&format!("\n{}", text::render(&result)));
                self.run.has_failed |= !result.is_sound;
                self.run.results.push(result);
            }
            Err(failure) => {
                self.run.has_failed = true;
                field::skip(&mut self.run.skipped, &format!("isopod in {}", scenario.name), &failure);
            }
        }
        // Nobody is to read where this checkout lies.
        let place = format!("{}/", self.root.display());
        self.run.skipped.iter_mut().for_each(|one| one.reason = one.reason.replace(&place, ""));
        self.files.write(&self.run)?;
        Ok(())
    }

    fn conclude(&self) -> Result<(), BenchFailure> {
        for file in self.files.write(&self.run)? {
            progress::say(&format!("report: {}", file.display()));
        }
        if self.run.has_failed {
            let problem =
                "it failed in a scenario, or in a slice of one; the report says in which".to_owned();
            return Err(BenchFailure::Load { contestant: "isopod".to_owned(), problem });
        }
        Ok(())
    }
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
