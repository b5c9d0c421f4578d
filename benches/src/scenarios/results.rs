//! What came of scenarios.

use std::time::Duration;

use serde::Serialize;

use super::catalog::Scenario;
use crate::machine::Machine;
use crate::report::Skipped;
use crate::slice::Sample;
use crate::statistics::Summary;
use crate::traffic::Outcome;

/// A whole run.
#[derive(Debug, Serialize)]
pub struct Run {
    /// The command.
    pub command: String,
    /// Where it ran.
    pub machine: Machine,
    /// The apps' builds and the hashes of their bundles.
    pub builds: Vec<(String, String)>,
    /// Length of a slice, seconds.
    pub seconds: u64,
    /// Length of the load on each server before a scenario is measured, seconds.
    pub warm_up: u64,
    /// Slices of each.
    pub repeat: usize,
    /// How many results there are to be.
    pub planned: usize,
    /// What was measured.
    pub results: Vec<ScenarioResult>,
    /// Memory over time, by app and server.
    pub memory: Vec<MemoryOverTime>,
    /// Who was to take part and did not, and what was not measured, and why.
    pub skipped: Vec<Skipped>,
    /// Whether Isopod itself failed in a scenario.
    pub has_failed: bool,
}

/// One scenario with one app.
#[derive(Debug, Serialize)]
pub struct ScenarioResult {
    /// Which one.
    pub scenario: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// The app.
    pub app: String,
    /// What is asked for.
    pub paths: Vec<String>,
    /// Bytes of the answers, in the order of the paths.
    pub bytes: Vec<usize>,
    /// Isopod first.
    pub servers: Vec<ServerResult>,
    /// CPU-microseconds of a render in an isolate without HTTP: what no gateway can go below.
    pub ceiling_micros: Option<Summary>,
    /// None of Isopod's slices was invalid.
    pub is_sound: bool,
}

/// One server in one scenario.
#[derive(Debug, Clone, Serialize)]
pub struct ServerResult {
    /// Which one.
    pub server: String,
    /// Its version.
    pub version: String,
    /// How it was started.
    pub command: String,
    /// At saturation, closed loop.
    pub saturated: Option<Saturated>,
    /// Open loop.
    pub rated: Vec<Rated>,
}

/// At saturation.
#[derive(Debug, Clone, Serialize)]
pub struct Saturated {
    /// Answers per second.
    pub requests_per_second: Summary,
    /// CPU time of the process tree for each answer, microseconds.
    pub cpu_micros_per_request: Summary,
    /// CPU time per second, in cores.
    pub cores_used: Summary,
    /// Median latency, milliseconds.
    pub p50_millis: Summary,
    /// 99th percentile of latency, milliseconds.
    pub p99_millis: Summary,
    /// All slices.
    pub slices: Vec<Sample>,
}

/// An open loop.
#[derive(Debug, Clone, Serialize)]
pub struct Rated {
    /// What it is: `50 %`, `5x`, `deploy`.
    pub label: String,
    /// Requests per second that were asked for in the part that matters.
    pub rate: f64,
    /// Right answers in time per second, in the part that matters.
    pub goodput: f64,
    /// From the end of the peak until visitors are served again as before it, milliseconds; for a peak.
    pub recovery_millis: Option<u64>,
    /// CPU time of the process tree for each right answer, microseconds; `None` when its root has ended.
    pub cpu_micros_per_request: Option<f64>,
    /// Everything else.
    pub outcome: Outcome,
}

/// What a server's processes hold over time.
#[derive(Debug, Clone, Serialize)]
pub struct MemoryOverTime {
    /// The app.
    pub app: String,
    /// The server.
    pub server: String,
    /// Seconds and MiB; memory that processes share counts in parts.
    pub samples: Vec<(f64, f64)>,
}

impl MemoryOverTime {
    /// The most, MiB.
    pub fn peak(&self) -> f64 {
        self.samples.iter().map(|(_, mib)| *mib).fold(0.0, f64::max)
    }
}

impl Saturated {
    /// Of slices; `None` when there are none.
    pub fn of(slices: Vec<Sample>) -> Option<Self> {
        let summary = |figure: fn(&Sample) -> f64| Summary::of(slices.iter().map(figure));
        Some(Self {
            requests_per_second: summary(|slice| slice.requests_per_second)?,
            cpu_micros_per_request: summary(|slice| slice.cpu_micros_per_request)?,
            cores_used: summary(|slice| slice.cores_used)?,
            p50_millis: summary(|slice| slice.p50_millis)?,
            p99_millis: summary(|slice| slice.p99_millis)?,
            slices,
        })
    }
}

impl ScenarioResult {
    /// Without servers so far.
    pub fn new(scenario: &Scenario, app: &str) -> Self {
        Self {
            scenario: scenario.name,
            about: scenario.about,
            app: app.to_owned(),
            paths: Vec::new(),
            bytes: Vec::new(),
            servers: Vec::new(),
            ceiling_micros: None,
            is_sound: true,
        }
    }

    /// As headings name it.
    pub fn title(&self) -> String {
        format!("{}, {}", self.scenario, self.app)
    }

    /// Isopod.
    pub fn isopod(&self) -> Option<&ServerResult> {
        self.servers.iter().find(|server| server.server == "isopod")
    }

    /// The rival with the highest figure.
    pub fn best(&self, figure: impl Fn(&ServerResult) -> Option<f64>) -> Option<(&ServerResult, f64)> {
        let rivals =
            self.servers.iter().filter(|server| server.server != "isopod" && server.server != "actix");
        let figures = rivals.filter_map(|server| figure(server).map(|figure| (server, figure)));
        figures.max_by(|one, other| one.1.total_cmp(&other.1))
    }
}

/// From the end of a peak until every slot of the next half second holds nine tenths of the visitors served.
pub fn recovery(outcome: &Outcome, peak_end: Duration, base_rate: f64) -> Option<u64> {
    let slot = crate::traffic::tally::SLOT;
    let end = outcome.seconds;
    let mut at = peak_end;
    while at.as_secs_f64() + 0.5 <= end {
        if outcome.goodput(at, at + 5 * slot) >= base_rate * 0.9 {
            return u64::try_from((at - peak_end).as_millis()).ok();
        }
        at += slot;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::recovery;
    use crate::traffic::connections::Answer;
    use crate::traffic::schedule::Shape;
    use crate::traffic::{Pace, Tally};

    #[test]
    fn recovery_is_when_visitors_are_served_again() {
        let start = Instant::now();
        let mut tally = Tally::new(start, Duration::from_secs(1));
        // 100 a second for three seconds; nobody is served from 1.0 to 2.4.
        for number in (0..300_u32).filter(|number| !(100..240).contains(number)) {
            let due = start + Duration::from_millis(10) * number;
            let (status, is_right, has_left) = (200, true, false);
            tally.answered(
                Answer { status, head: due, shell: None, end: due, bytes: 1, is_right, has_left },
                due,
            );
        }
        let outcome = tally.conclude(&Pace::Open(Shape::constant(100.0, Duration::from_secs(3))));
        let after = |seconds| recovery(&outcome, Duration::from_secs(seconds), 100.0);
        // A slot of the half second may be empty.
        assert_eq!(after(2), Some(400));
        assert_eq!(after(0), Some(0));
    }
}
