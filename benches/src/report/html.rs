//! One page with tables and charts.

use std::fmt::Write;

use crate::plot::{self, Bar, Lines, Series, escaped};
use crate::scenarios::results::{Run, ScenarioResult};
use crate::statistics::Summary;

use super::text;

const STYLE: &str = "body{font:14px/1.45 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}\
                     pre{overflow-x:auto;background:#f6f6f6;padding:.8rem;font-size:12px}svg{max-width:100%;height:auto}\
                     h2{margin-top:2.5rem}td,th{padding:.1rem .8rem .1rem 0;text-align:left}";

/// A whole run.
pub fn render(run: &Run) -> String {
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Isopod: benches</title>\
         <style>{STYLE}</style></head><body>\n<h1>Isopod beside other servers</h1>\n<pre>{}</pre>\n<table>",
        escaped(&run.command)
    );
    // Writing to a string cannot fail.
    for (name, value) in run.machine.facts() {
        let _ = write!(out, "<tr><th>{name}</th><td>{}</td></tr>", escaped(&value));
    }
    for (app, hash) in &run.builds {
        let _ = write!(out, "<tr><th>build of {}</th><td>{hash}</td></tr>", escaped(app));
    }
    for line in text::how(run) {
        let _ = write!(out, "<tr><th></th><td>{line}</td></tr>");
    }
    out.push_str("</table>");
    for result in &run.results {
        let _ = write!(
            out,
            "\n<h2>{}</h2>\n<pre>{}</pre>\n",
            escaped(&result.title()),
            escaped(&text::render(result))
        );
        charts(result).into_iter().for_each(|(_, chart)| out.push_str(&chart));
    }
    let memory = memory(run);
    if !memory.is_empty() {
        out.push_str("<h2>Memory over time</h2>\n");
        memory.into_iter().for_each(|(_, chart)| out.push_str(&chart));
    }
    skipped(&mut out, run);
    servers(&mut out, run);
    out.push_str("</body></html>\n");
    out
}

/// A scenario's charts with names for files.
pub fn charts(result: &ScenarioResult) -> Vec<(String, String)> {
    let name = |kind: &str| format!("{}-{}-{kind}", result.scenario, result.app);
    let mut charts = vec![
        (name("throughput"), bars(result, "answers per second", |one| one.requests_per_second)),
        (name("cpu"), bars(result, "CPU-microseconds per request", |one| one.cpu_micros_per_request)),
        (name("goodput"), goodput(result)),
    ];
    let mut labels: Vec<&str> = Vec::new();
    for rated in result.servers.iter().flat_map(|server| &server.rated) {
        if !labels.contains(&rated.label.as_str()) {
            labels.push(&rated.label);
        }
    }
    for label in labels {
        let kind = format!("latency-{}", label.replace([' ', '%'], ""));
        charts.push((name(&kind), latencies(result, label)));
        charts.push((name(&format!("timeline-{kind}")), timeline(result, label)));
    }
    charts.retain(|(_, chart)| !chart.is_empty());
    charts
}

/// Memory over time, a chart for each app.
pub fn memory(run: &Run) -> Vec<(String, String)> {
    let mut apps: Vec<&str> = run.memory.iter().map(|one| one.app.as_str()).collect();
    apps.dedup();
    let chart = |app: &str| {
        let of_app = run.memory.iter().filter(|one| one.app == app);
        let series = of_app.map(|one| Series { name: one.server.clone(), points: thinned(&one.samples) });
        plot::lines(&Lines {
            title: format!("{app}: MiB, shared memory in parts"),
            along: "seconds",
            is_logarithmic: false,
            series: series.collect(),
        })
    };
    apps.into_iter().map(|app| (format!("memory-{app}"), chart(app))).collect()
}

fn bars(
    result: &ScenarioResult,
    what: &str,
    figure: impl Fn(&crate::scenarios::results::Saturated) -> Summary,
) -> String {
    let bars: Vec<Bar> = result
        .servers
        .iter()
        .filter_map(|server| {
            let summary = figure(server.saturated.as_ref()?);
            let spread = (summary.min, summary.max);
            Some(Bar { name: server.server.clone(), value: summary.median, spread })
        })
        .collect();
    plot::bars(&format!("{}: {what}", result.title()), &bars)
}

/// The part of visitors served within a time.
fn latencies(result: &ScenarioResult, label: &str) -> String {
    let series = result.servers.iter().filter_map(|server| {
        let rated = server.rated.iter().find(|rated| rated.label == label)?;
        let points = rated.outcome.distribution.iter();
        let points = points.map(|(part, micros)| (*micros as f64 / 1e3, part * 100.0)).collect();
        Some(Series { name: server.server.clone(), points })
    });
    plot::lines(&Lines {
        title: format!("{}, {label}: percent of right answers within", result.title()),
        along: "milliseconds from when the request was due",
        is_logarithmic: true,
        series: series.collect(),
    })
}

/// Goodput over time: what a peak or a fault leaves.
fn timeline(result: &ScenarioResult, label: &str) -> String {
    if label.ends_with('%') {
        return String::new();
    }
    let slots = 1.0 / crate::traffic::tally::SLOT.as_secs_f64();
    let series = result.servers.iter().filter_map(|server| {
        let rated = server.rated.iter().find(|rated| rated.label == label)?;
        let points = rated.outcome.timeline.iter().enumerate();
        let points = points.map(|(slot, count)| (slot as f64 / slots, f64::from(*count) * slots)).collect();
        Some(Series { name: server.server.clone(), points })
    });
    plot::lines(&Lines {
        title: format!("{}, {label}: right answers within a second, per second", result.title()),
        along: "seconds",
        is_logarithmic: false,
        series: series.collect(),
    })
}

/// Goodput against offered load, where several were offered.
fn goodput(result: &ScenarioResult) -> String {
    let is_peak = |label: &str| label.ends_with('x');
    let series: Vec<Series> = result
        .servers
        .iter()
        .filter_map(|server| {
            let own = server.saturated.as_ref()?.requests_per_second.median;
            let peaks = server.rated.iter().filter(|rated| is_peak(&rated.label));
            let peaks: Vec<_> = peaks.map(|rated| (rated.rate / own, rated.goodput / own * 100.0)).collect();
            let points = [(0.0, 0.0), (1.0, 100.0)].into_iter().chain(peaks).collect::<Vec<_>>();
            (points.len() > 2).then(|| Series { name: server.server.clone(), points })
        })
        .collect();
    plot::lines(&Lines {
        title: format!("{}: goodput, percent of own saturation", result.title()),
        along: "offered load, times own saturation",
        is_logarithmic: false,
        series,
    })
}

fn skipped(out: &mut String, run: &Run) {
    if run.skipped.is_empty() {
        return;
    }
    out.push_str("<h2>Not measured</h2>\n<ul>");
    for one in &run.skipped {
        let _ = write!(out, "<li>{}: {}</li>", escaped(&one.server), escaped(&one.reason));
    }
    out.push_str("</ul>\n");
}

fn servers(out: &mut String, run: &Run) {
    out.push_str("<h2>Servers</h2>\n<table><tr><th>server</th><th>version</th><th>command</th></tr>");
    let mut seen = Vec::new();
    for server in run.results.iter().flat_map(|result| &result.servers) {
        if seen.contains(&&server.server) {
            continue;
        }
        seen.push(&server.server);
        let (name, version) = (escaped(&server.server), escaped(&server.version));
        let _ = write!(
            out,
            "<tr><td>{name}</td><td>{version}</td><td><code>{}</code></td></tr>",
            escaped(&placeless(&server.command))
        );
    }
    out.push_str("</table>\n");
}

/// A command without the places of this machine: each path by its last part.
pub fn placeless(command: &str) -> String {
    let word = |word: &str| match word.rsplit_once('/') {
        Some((_, name)) if word.starts_with('/') => name.to_owned(),
        _ => word.to_owned(),
    };
    command.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// At most some hundred points.
fn thinned(samples: &[(f64, f64)]) -> Vec<(f64, f64)> {
    samples.iter().step_by(samples.len().div_ceil(200).max(1)).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::placeless;

    #[test]
    fn a_command_is_shown_without_places() {
        assert_eq!(
            placeless("/t/release/gateway --app /c/dist --threads 1"),
            "gateway --app dist --threads 1"
        );
    }
}
