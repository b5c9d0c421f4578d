//! Tables for the terminal.

use crate::scenarios::results::{Rated, Run, ScenarioResult, ServerResult};
use crate::statistics::Summary;

/// How a run was measured, in lines.
pub fn how(run: &Run) -> Vec<String> {
    let mut lines = vec![format!(
        "slices of {} s, {} of each server in turn, after {} s of warm-up for each scenario",
        run.seconds, run.repeat, run.warm_up
    )];
    if run.results.len() < run.planned {
        let so_far =
            format!("{} of {} scenarios: others failed or were not reached", run.results.len(), run.planned);
        lines.push(so_far);
    }
    lines
}

/// A scenario's tables.
pub fn render(result: &ScenarioResult) -> String {
    let bytes: Vec<String> = result.bytes.iter().map(usize::to_string).collect();
    let mut lines = vec![format!("{}: {} ({} bytes)", result.title(), result.about, bytes.join(", "))];
    if result.servers.iter().any(|server| server.saturated.is_some()) {
        lines.push(saturated_line(&HEADER.map(str::to_owned)));
        lines.extend(result.servers.iter().filter_map(saturated));
        lines.extend(result.servers.iter().filter_map(refused));
        lines.extend(ceiling(result));
    }
    if result.servers.iter().any(|server| !server.rated.is_empty()) {
        lines.push(rated_line(&RATED_HEADER.map(str::to_owned)));
        for server in &result.servers {
            lines.extend(server.rated.iter().map(|rated| rated_line(&rated_cells(server, rated))));
        }
    }
    lines.join("\n")
}

const HEADER: [&str; 8] = ["server", "req/s", "spread", "CPU us/req", "spread", "cores", "p50 ms", "p99 ms"];
const RATED_HEADER: [&str; 10] =
    ["server", "load", "asked/s", "good/s", "shell p50", "p50 ms", "p99 ms", "lost", "recovery", "CPU us"];

fn saturated(server: &ServerResult) -> Option<String> {
    let figures = server.saturated.as_ref()?;
    let median = |summary: &Summary, digits: usize| format!("{:.digits$}", summary.median);
    let spread = |summary: &Summary| format!("{:.0} %", summary.spread() * 100.0);
    Some(saturated_line(&[
        server.server.clone(),
        median(&figures.requests_per_second, 0),
        spread(&figures.requests_per_second),
        format!("{} ({:.0})", median(&figures.cpu_micros_per_request, 0), figures.cpu_micros_per_request.min),
        spread(&figures.cpu_micros_per_request),
        median(&figures.cores_used, 2),
        median(&figures.p50_millis, 2),
        median(&figures.p99_millis, 2),
    ]))
}

fn saturated_line(cells: &[String; 8]) -> String {
    let [server, rest @ ..] = cells;
    let rest: String =
        rest.iter().zip([9, 8, 16, 8, 7, 9, 9]).map(|(cell, width)| format!("{cell:>width$}")).collect();
    format!("{server:<16}{rest}")
}

/// What a server refused of a closed loop.
pub fn refused(server: &ServerResult) -> Option<String> {
    let slices = &server.saturated.as_ref()?.slices;
    let (refused, answered) = slices
        .iter()
        .fold((0, 0), |(refused, answered), slice| (refused + slice.refused, answered + slice.requests));
    let part = refused as f64 / (refused + answered).max(1) as f64 * 100.0;
    (refused > 0).then(|| format!("{} refused {refused} requests, {part:.1} %", server.server))
}

fn ceiling(result: &ScenarioResult) -> Option<String> {
    let ceiling = result.ceiling_micros.as_ref()?;
    let own = result.isopod()?.saturated.as_ref()?;
    Some(format!(
        "in an isolate without HTTP: {:.0} CPU us; Isopod does {:.0} % of what one core could",
        ceiling.median,
        own.requests_per_second.median * ceiling.median / 1e4
    ))
}

fn rated_cells(server: &ServerResult, rated: &Rated) -> [String; 10] {
    let right = rated.outcome.right();
    let millis = |micros: u64| format!("{:.1}", micros as f64 / 1e3);
    let shell = if right.shell.max_micros == 0 { "-".to_owned() } else { millis(right.shell.p50_micros) };
    [
        server.server.clone(),
        rated.label.clone(),
        format!("{:.0}", rated.rate),
        format!("{:.0}", rated.goodput),
        shell,
        millis(right.last_byte.p50_micros),
        millis(right.last_byte.p99_micros),
        rated.outcome.lost().to_string(),
        recovery(rated),
        rated.cpu_micros_per_request.map_or_else(|| "-".to_owned(), |micros| format!("{micros:.0}")),
    ]
}

/// How long until visitors are served again, where there was a peak.
pub fn recovery(rated: &Rated) -> String {
    match rated.recovery_millis {
        Some(millis) => format!("{millis} ms"),
        None if rated.label.ends_with('x') => "not seen".to_owned(),
        None => "-".to_owned(),
    }
}

fn rated_line(cells: &[String; 10]) -> String {
    let [server, rest @ ..] = cells;
    let widths = [10, 9, 9, 10, 9, 9, 8, 10, 9];
    let rest: String = rest.iter().zip(widths).map(|(cell, width)| format!("{cell:>width$}")).collect();
    format!("{server:<16}{rest}")
}

#[cfg(test)]
mod tests {
    use super::render;
    use crate::scenarios::catalog::named;
    use crate::scenarios::results::{Saturated, ScenarioResult, ServerResult};
    use crate::slice::Sample;

    fn server(name: &str, rates: [f64; 3]) -> ServerResult {
        let sample = |rate: f64| Sample {
            requests: 1000,
            refused: 0,
            requests_per_second: rate,
            cpu_micros_per_request: 1e6 / rate,
            cores_used: 1.0,
            p50_millis: 32_000.0 / rate,
            p99_millis: 64_000.0 / rate,
        };
        ServerResult {
            server: name.to_owned(),
            version: String::new(),
            command: String::new(),
            saturated: Saturated::of(rates.map(sample).to_vec()),
            rated: Vec::new(),
        }
    }

    #[test]
    fn a_table_shows_medians_and_spreads() {
        let mut result = ScenarioResult::new(named("hello").unwrap(), "threads-react");
        result.bytes = vec![5899];
        result.servers = vec![server("isopod", [1000.0, 950.0, 1050.0]), server("node26", [800.0; 3])];
        assert_eq!(
            render(&result),
            "hello, threads-react: a small document: 20 rows from a server function (5899 bytes)\n\
             server              req/s  spread      CPU us/req  spread  cores   p50 ms   p99 ms\n\
             isopod               1000    10 %      1000 (952)    10 %   1.00    32.00    64.00\n\
             node26                800     0 %     1250 (1250)     0 %   1.00    40.00    80.00"
        );
    }
}
