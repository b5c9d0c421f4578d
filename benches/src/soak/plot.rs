//! The samples as a picture: memory and latency over time, as SVG.

use std::fmt::Write;

use super::sample::Sample;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 190.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 34.0;
const RIGHT: f64 = 20.0;

/// A line of a chart.
struct Line {
    name: &'static str,
    colour: &'static str,
    figure: fn(&Sample) -> f64,
}

/// A chart with its unit.
struct Chart {
    title: &'static str,
    lines: &'static [Line],
}

const CHARTS: &[Chart] = &[
    Chart {
        title: "Resident memory, MiB",
        lines: &[
            Line { name: "renderer", colour: "#1f77b4", figure: |sample| sample.renderer_resident },
            Line { name: "gateway", colour: "#7f7f7f", figure: |sample| sample.gateway_resident },
        ],
    },
    Chart {
        title: "V8's heap, MiB",
        lines: &[
            Line { name: "heap", colour: "#2ca02c", figure: |sample| sample.heap_used },
            Line { name: "external", colour: "#9467bd", figure: |sample| sample.external },
        ],
    },
    Chart {
        title: "Latency, ms",
        lines: &[
            Line { name: "p50", colour: "#ff7f0e", figure: |sample| sample.p50_millis },
            Line { name: "p90", colour: "#8c564b", figure: |sample| sample.p90_millis },
            Line { name: "p99", colour: "#d62728", figure: |sample| sample.p99_millis },
            Line { name: "p99.9", colour: "#e377c2", figure: |sample| sample.p999_millis },
        ],
    },
];

/// All charts below each other.
pub fn svg(samples: &[Sample]) -> String {
    let rows: f64 = CHARTS.iter().map(|_| HEIGHT + TOP).sum();
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{:.0}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        rows + TOP
    );
    let mut top = TOP;
    for chart in CHARTS {
        draw(&mut out, chart, samples, top);
        top += HEIGHT + TOP;
    }
    out.push_str("</svg>\n");
    out
}

fn draw(out: &mut String, chart: &Chart, samples: &[Sample], top: f64) {
    let figures = |line: &Line| samples.iter().map(line.figure).fold(0.0, f64::max);
    let most = chart.lines.iter().map(figures).fold(0.0, f64::max).max(1.0) * 1.1;
    let last = samples.last().map_or(1.0, |sample| sample.seconds).max(1.0);
    let x = |seconds: f64| LEFT + seconds / last * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| top + HEIGHT - value / most * (HEIGHT - TOP);
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "<text x=\"{LEFT}\" y=\"{:.0}\" font-weight=\"bold\">{}</text>",
        top + 8.0,
        chart.title
    );
    for part in 0..=4 {
        let value = most * f64::from(part) / 4.0;
        let _ = writeln!(
            out,
            "<line x1=\"{LEFT}\" x2=\"{:.0}\" y1=\"{:.1}\" y2=\"{:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{value:.0}</text>",
            WIDTH - RIGHT,
            y(value),
            y(value),
            LEFT - 6.0,
            y(value) + 4.0
        );
        let minutes = last / 60.0 * f64::from(part) / 4.0;
        let at = x(last * f64::from(part) / 4.0);
        let _ = writeln!(
            out,
            "<text x=\"{at:.0}\" y=\"{:.0}\" text-anchor=\"middle\">{minutes:.0} min</text>",
            top + HEIGHT + 16.0
        );
    }
    let mut legend = LEFT + 200.0;
    for line in chart.lines {
        let points: Vec<_> = samples
            .iter()
            .map(|sample| format!("{:.1},{:.1}", x(sample.seconds), y((line.figure)(sample))))
            .collect();
        let (points, colour, name) = (points.join(" "), line.colour, line.name);
        let _ = writeln!(
            out,
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>\
             <text x=\"{legend:.0}\" y=\"{:.0}\" fill=\"{colour}\">{name}</text>",
            top + 8.0
        );
        legend += 90.0;
    }
}
