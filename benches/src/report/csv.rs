//! All figures as comma-separated values, one line for each server and load.

use crate::scenarios::results::{Run, ScenarioResult, ServerResult};

const HEADER: &str = "scenario,app,server,version,load,asked_per_second,answers_per_second,answers_min,answers_max,\
                      cpu_micros_per_request,cpu_min,cpu_max,p50_millis,p99_millis,lost,recovery_millis";

/// The whole run.
pub fn render(run: &Run) -> String {
    let mut lines = vec![HEADER.to_owned()];
    for result in &run.results {
        for server in &result.servers {
            lines.extend(saturated(result, server));
            lines.extend(rated(result, server));
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

fn begin(result: &ScenarioResult, server: &ServerResult, load: &str) -> String {
    format!(
        "{},{},{},\"{}\",{load}",
        result.scenario,
        result.app,
        server.server,
        server.version.replace('"', "'")
    )
}

fn saturated(result: &ScenarioResult, server: &ServerResult) -> Option<String> {
    let figures = server.saturated.as_ref()?;
    let (rate, cpu) = (figures.requests_per_second, figures.cpu_micros_per_request);
    Some(format!(
        "{},,{:.1},{:.1},{:.1},{:.1},{:.1},{:.1},{:.3},{:.3},0,",
        begin(result, server, "saturation"),
        rate.median,
        rate.min,
        rate.max,
        cpu.median,
        cpu.min,
        cpu.max,
        figures.p50_millis.median,
        figures.p99_millis.median
    ))
}

fn rated(result: &ScenarioResult, server: &ServerResult) -> Vec<String> {
    let line = |rated: &crate::scenarios::results::Rated| {
        let times = rated.outcome.right().last_byte;
        format!(
            "{},{:.1},{:.1},,,{},,,{:.3},{:.3},{},{}",
            begin(result, server, &rated.label),
            rated.rate,
            rated.goodput,
            rated.cpu_micros_per_request.map_or_else(String::new, |micros| format!("{micros:.1}")),
            times.p50_micros as f64 / 1e3,
            times.p99_micros as f64 / 1e3,
            rated.outcome.lost(),
            rated.recovery_millis.map_or_else(String::new, |millis| millis.to_string())
        )
    };
    server.rated.iter().map(line).collect()
}
