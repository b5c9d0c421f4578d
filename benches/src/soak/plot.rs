//! The samples as a picture: memory and latency over time.

use super::sample::Sample;
use crate::plot::{self, Lines, Series};

/// A line's name, and what it shows.
type Line = (&'static str, fn(&Sample) -> f64);

/// Titles with their units, and their lines.
const CHARTS: &[(&str, &[Line])] = &[
    (
        "Resident memory, MiB",
        &[("renderer", |sample| sample.renderer_resident), ("gateway", |sample| sample.gateway_resident)],
    ),
    ("V8's heap, MiB", &[("heap", |sample| sample.heap_used), ("external", |sample| sample.external)]),
    (
        "Latency, ms",
        &[
            ("p50", |sample| sample.p50_millis),
            ("p90", |sample| sample.p90_millis),
            ("p99", |sample| sample.p99_millis),
            ("p99.9", |sample| sample.p999_millis),
        ],
    ),
];

/// All charts below each other, as SVG.
pub fn svg(samples: &[Sample]) -> String {
    let series = |(name, figure): &Line| Series {
        name: (*name).to_owned(),
        points: samples.iter().map(|sample| (sample.seconds / 60.0, figure(sample))).collect(),
    };
    let chart = |(title, lines): &(&str, &[Line])| Lines {
        title: (*title).to_owned(),
        along: "minutes",
        is_logarithmic: false,
        series: lines.iter().map(series).collect(),
    };
    plot::stacked(&CHARTS.iter().map(chart).collect::<Vec<_>>())
}
