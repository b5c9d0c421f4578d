//! The report of an overload, and its table.

use std::time::Duration;

use serde::Serialize;

use super::FACTORS;
use crate::cluster::Cost;
use crate::machine::Machine;
use crate::statistics::Summary;
use crate::traffic::Outcome;

/// The gateway's default time in the queue; the aim for admitted requests is relative to it.
const QUEUE_WAIT: Duration = Duration::from_millis(250);

/// The most that the 99th percentile of refusals may be.
const REFUSAL_AIM: Duration = Duration::from_millis(5);

/// The least part of saturation that is to be left.
fn aim(factor: f64) -> f64 {
    if factor <= 2.0 {
        0.90
    } else if factor <= 5.0 {
        0.85
    } else {
        0.75
    }
}

/// A whole run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub bench: &'static str,
    pub machine: Machine,
    pub app: String,
    pub path: String,
    pub command: String,
    pub unloaded: Vec<Unloaded>,
    pub overloads: Vec<Overload>,
}

/// A slice at a fifth of saturation.
#[derive(Debug, Serialize)]
pub(super) struct Unloaded {
    pub round: usize,
    pub outcome: Outcome,
}

/// What the cluster can do.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Saturation {
    pub pages_per_second: f64,
    pub cost: Cost,
}

/// One overload, between two measurements of saturation.
#[derive(Debug, Serialize)]
pub(super) struct Overload {
    pub round: usize,
    pub factor: f64,
    pub outcome: Outcome,
    /// Pages in a second, as a part of the mean saturation before and after.
    pub goodput: f64,
    pub saturation: [Saturation; 2],
    pub cost: Cost,
}

impl Overload {
    pub fn new(round: usize, factor: f64, saturation: [Saturation; 2], outcome: Outcome, cost: Cost) -> Self {
        let mean = f64::midpoint(saturation[0].pages_per_second, saturation[1].pages_per_second);
        Self { round, factor, goodput: outcome.per_second(200) / mean, outcome, saturation, cost }
    }
}

fn millis(outcome: &Outcome, status: u16) -> Option<f64> {
    outcome.statuses.get(&status).map(|seen| seen.last_byte.p99_micros as f64 / 1000.0)
}

impl Report {
    pub fn render(&self) -> String {
        let saturation = Summary::of(
            self.overloads
                .iter()
                .flat_map(|overload| &overload.saturation)
                .map(|found| found.pages_per_second),
        );
        let unloaded = Summary::of(self.unloaded.iter().filter_map(|slice| millis(&slice.outcome, 200)));
        let (saturation, unloaded) = (shown(saturation, 0, ""), unloaded.map_or(0.0, |found| found.median));
        let mut lines = vec![
            format!(
                "\n{} {}, saturation {saturation} pages/s, unloaded p99 {unloaded:.1} ms; medians of {} (least, greatest)",
                self.app,
                self.path,
                self.unloaded.len()
            ),
            line(&["asked", "goodput", "aim", "admitted p99 ms", "aim", "refusals p99 ms", "aim"]),
        ];
        let admitted_aim = 3.0 * unloaded + QUEUE_WAIT.as_secs_f64() * 1000.0;
        for factor in FACTORS {
            let of =
                |figure: &dyn Fn(&Overload) -> Option<f64>| Summary::of(self.of(factor).filter_map(figure));
            lines.push(line(&[
                &format!("{factor}x"),
                &shown(of(&|overload| Some(overload.goodput * 100.0)), 0, " %"),
                &format!("{:.0} %", aim(factor) * 100.0),
                &shown(of(&|overload| millis(&overload.outcome, 200)), 0, ""),
                &format!("{admitted_aim:.0}"),
                &shown(of(&|overload| millis(&overload.outcome, 503)), 1, ""),
                &format!("{:.0}", REFUSAL_AIM.as_secs_f64() * 1000.0),
            ]));
        }
        lines.push(String::new());
        lines.push(line(&[
            "asked",
            "gateway CPU",
            "us/refusal",
            "renderer CPU",
            "rest",
            "limit",
            "refused as",
        ]));
        for factor in FACTORS {
            let of = |figure: &dyn Fn(&Overload) -> f64| {
                shown(Summary::of(self.of(factor).map(|overload| figure(overload) * 100.0)), 0, " %")
            };
            let limit = Summary::of(self.of(factor).map(|overload| overload.cost.job_limit));
            let refusal = Summary::of(self.of(factor).map(Overload::micros_per_refusal));
            lines.push(line(&[
                &format!("{factor}x"),
                &of(&|overload| overload.cost.gateway),
                &shown(refusal, 0, ""),
                &of(&|overload| overload.cost.renderers),
                &of(&|overload| overload.cost.rest),
                &shown(limit, 0, ""),
                &self.reasons(factor),
            ]));
        }
        let lost: u64 =
            self.overloads.iter().map(|overload| overload.outcome.broken + overload.outcome.timeouts).sum();
        lines.push(format!("without an answer: {lost}"));
        lines.join("\n")
    }

    fn of(&self, factor: f64) -> impl Iterator<Item = &Overload> {
        self.overloads.iter().filter(move |overload| (overload.factor - factor).abs() < f64::EPSILON)
    }

    fn reasons(&self, factor: f64) -> String {
        let mut counts = std::collections::BTreeMap::<&str, f64>::new();
        for (reason, count) in self.of(factor).flat_map(|overload| &overload.cost.refusals) {
            *counts.entry(reason).or_default() += count;
        }
        let all: f64 = counts.values().sum();
        let parts: Vec<_> =
            counts.iter().map(|(reason, count)| format!("{reason} {:.1} %", count / all * 100.0)).collect();
        parts.join(", ")
    }
}

impl Overload {
    /// What the gateway spent beyond what its pages cost it at saturation, for each refusal.
    fn micros_per_refusal(&self) -> f64 {
        let refusals = self.outcome.per_second(503);
        let per_page = |found: &Saturation| found.cost.gateway / found.pages_per_second;
        let page = f64::midpoint(per_page(&self.saturation[0]), per_page(&self.saturation[1]));
        (self.cost.gateway - page * self.outcome.per_second(200)).max(0.0) / refusals.max(1.0) * 1e6
    }
}

fn shown(summary: Option<Summary>, digits: usize, unit: &str) -> String {
    match summary {
        None => "-".to_owned(),
        Some(Summary { median, min, max }) => {
            format!("{median:.digits$}{unit} ({min:.digits$}, {max:.digits$})")
        }
    }
}

fn line(cells: &[&str; 7]) -> String {
    let [first, rest @ ..] = cells;
    let widths = [19, 14, 20, 19, 20, 6];
    let rest: Vec<_> = rest.iter().zip(widths).map(|(cell, width)| format!("{cell:>width$}")).collect();
    format!("{first:<6}{}", rest.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_aims_fall_with_what_is_asked() {
        assert_eq!(FACTORS.map(aim), [0.90, 0.85, 0.75]);
    }
}
