//! Which scenarios are measured with which app, and how long that takes.

use std::time::Duration;

use xtask::apps::App;

use super::catalog::{Kind, Scenario};
use super::field::Ground;
use super::{faults, open, throughput};
use crate::contestants::Contestant;

/// What a server takes to start, to be asked and to end, and what wrk takes to begin.
const AROUND: Duration = Duration::from_millis(500);

/// The apps with their scenarios: some are measured with the first alone.
pub fn of<'a>(scenarios: &[&'a Scenario], apps: &'a [App]) -> Vec<(&'a App, Vec<&'a Scenario>)> {
    let of_app = |(place, app)| {
        let wanted = scenarios.iter().copied().filter(|scenario| scenario.each_app || place == 0);
        (app, wanted.collect())
    };
    apps.iter().enumerate().map(of_app).collect()
}

/// About how long a plan takes, what is installed and built before left out.
pub fn time(ground: &Ground<'_>, plan: &[(&App, Vec<&Scenario>)], contestants: &[Contestant]) -> Duration {
    let of_app = |scenarios: &Vec<&Scenario>| {
        let lined_up = AROUND * count(contestants.len());
        lined_up
            + scenarios.iter().map(|scenario| of_scenario(ground, scenario, contestants)).sum::<Duration>()
    };
    plan.iter().map(|(_, scenarios)| of_app(scenarios)).sum()
}

fn of_scenario(ground: &Ground<'_>, scenario: &Scenario, contestants: &[Contestant]) -> Duration {
    let takes_part = |one: &&Contestant| scenario.is_for(one) && scenario.is_spoken_by(one);
    let servers: Duration =
        contestants.iter().filter(takes_part).map(|one| of_server(ground, scenario, one)).sum();
    let ceiling =
        throughput::CEILING_WARM_UP.min(ground.warm_up) + ground.slice * count(ground.repeat) + AROUND;
    servers + scenario.page().map_or(Duration::ZERO, |_| ceiling)
}

fn of_server(ground: &Ground<'_>, scenario: &Scenario, contestant: &Contestant) -> Duration {
    let warm_up = throughput::warm_up(scenario, contestant, ground.warm_up);
    let rated = ground.slice.max(open::LEAST_TIME);
    let measured = match scenario.kind {
        Kind::Throughput => {
            let parts = if scenario.latencies { throughput::PARTS.len() } else { 0 };
            ground.slice * count(ground.repeat) + rated * count(parts)
        }
        Kind::Visitors => ground.slice + rated,
        // Who refuses nothing answers until its visitors give up.
        Kind::Overload => ground.slice + (3 * rated + open::TIMEOUT / 2) * count(open::FACTORS.len()),
        Kind::Poisoned => faults::time(ground) + open::TIMEOUT,
        Kind::Deploy | Kind::Kill => faults::time(ground),
        Kind::Missing(_) => return Duration::ZERO,
    };
    AROUND + warm_up + measured
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use xtask::apps::App;
    use xtask::workspace::Workspace;

    use super::super::catalog::{SCENARIOS, named};
    use super::super::field::Ground;
    use super::{of, time};
    use crate::contestants::Contestant;
    use crate::machine::Cores;

    fn apps() -> Vec<App> {
        ["react", "solid"].map(|name| App { name: name.to_owned(), directory: PathBuf::new() }).to_vec()
    }

    #[test]
    fn some_scenarios_are_measured_with_the_first_app_alone() {
        let (scenarios, apps) = (SCENARIOS.iter().collect::<Vec<_>>(), apps());
        let plan = of(&scenarios, &apps);
        assert_eq!(plan[0].1.len(), SCENARIOS.len());
        assert!(plan[1].1.iter().all(|scenario| scenario.each_app) && !plan[1].1.is_empty());
    }

    #[test]
    fn the_time_is_that_of_warm_ups_slices_and_open_loops() {
        let workspace = Workspace { root: PathBuf::new(), target: PathBuf::new() };
        let ground = Ground {
            workspace: &workspace,
            cache: PathBuf::new(),
            cores: Cores { server: 0, load: 1 },
            slice: Duration::from_secs(2),
            warm_up: Duration::from_secs(5),
            repeat: 3,
        };
        let (scenarios, apps) = ([named("hello").unwrap()], apps());
        let plan = of(&scenarios, &apps[..1]);
        // 5 + 3 * 2 + 2 * 2 with the server, 2 + 3 * 2 with an isolate by itself, and what is around.
        let seconds = time(&ground, &plan, &[Contestant::ISOPOD]).as_secs_f64();
        assert!((23.0..25.5).contains(&seconds), "{seconds}");
        let cached = of(&[named("cached").unwrap()], &apps[..1])[0].1.clone();
        assert!(time(&ground, &[(&apps[0], cached)], &[Contestant::ISOPOD]) < Duration::from_secs(1));
    }
}
