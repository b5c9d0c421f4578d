//! Tables for `docs/performance.md`, between two markers, so that a run replaces those of the run before it.

use std::fmt::Write;

use super::text::{self, recovery};
use crate::scenarios::results::{Rated, Run, ScenarioResult, ServerResult};

/// Where the tables begin.
pub const BEGIN: &str = "<!-- begin: written by `cargo xtask bench --publish` -->";
/// Where they end.
pub const END: &str = "<!-- end -->";

/// The document with the tables of this run; appended where it has none.
pub fn replace(document: &str, run: &Run) -> String {
    let tables = format!("{BEGIN}\n\n{}{END}", render(run));
    match document.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1))) {
        Some((before, after)) => format!("{before}{tables}{after}"),
        None => format!("{}\n\n{tables}\n", document.trim_end()),
    }
}

fn render(run: &Run) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(out, "```\n{}\n```\n", run.command);
    for (name, value) in run.machine.facts() {
        let _ = writeln!(out, "- {name}: {value}");
    }
    let builds: Vec<String> = run.builds.iter().map(|(app, hash)| format!("{app} {hash}")).collect();
    let _ = writeln!(out, "- builds: {}", builds.join(", "));
    for line in text::how(run) {
        let _ = writeln!(out, "- {line}");
    }
    out.push('\n');
    for result in &run.results {
        let _ = writeln!(out, "### {}\n\n{}.\n", result.title(), capitalised(result.about));
        saturated(&mut out, result);
        rated(&mut out, result);
    }
    memory(&mut out, run);
    if !run.skipped.is_empty() {
        out.push_str("### Not measured\n\n");
        for skipped in &run.skipped {
            let _ = writeln!(out, "- {}: {}", skipped.server, skipped.reason.trim_end_matches('.'));
        }
        out.push('\n');
    }
    out
}

fn saturated(out: &mut String, result: &ScenarioResult) {
    if result.servers.iter().all(|server| server.saturated.is_none()) {
        return;
    }
    out.push_str(
        "| server | req/s (spread) | CPU us/request (least) | p50 ms | p99 ms |\n|---|---|---|---|---|\n",
    );
    for server in &result.servers {
        let Some(figures) = &server.saturated else { continue };
        let _ = writeln!(
            out,
            "| {} | {:.0} ({:.0} %) | {:.0} ({:.0}) | {:.1} | {:.1} |",
            server.server,
            figures.requests_per_second.median,
            figures.requests_per_second.spread() * 100.0,
            figures.cpu_micros_per_request.median,
            figures.cpu_micros_per_request.min,
            figures.p50_millis.median,
            figures.p99_millis.median
        );
    }
    let _ = writeln!(out, "\n{}", ratios(result));
    for line in result.servers.iter().filter_map(text::refused) {
        let _ = writeln!(out, "{}.\n", capitalised(&line));
    }
}

/// How Isopod stands beside the best rival, and beside the limit.
fn ratios(result: &ScenarioResult) -> String {
    let mut said = Vec::new();
    let rate = |server: &ServerResult| Some(server.saturated.as_ref()?.requests_per_second.median);
    let cpu = |server: &ServerResult| Some(-server.saturated.as_ref()?.cpu_micros_per_request.median);
    let Some(own) = result.isopod().and_then(|isopod| isopod.saturated.as_ref()) else {
        return String::new();
    };
    if let Some((rival, best)) = result.best(rate) {
        let ratio = own.requests_per_second.median / best;
        said.push(format!("{ratio:.2} times the throughput of the best rival ({})", rival.server));
    }
    if let Some((rival, least)) = result.best(cpu) {
        let ratio = own.cpu_micros_per_request.median / -least;
        said.push(format!("{ratio:.2} times the CPU of the thriftiest ({})", rival.server));
    }
    if let Some(ceiling) = &result.ceiling_micros {
        let part = own.requests_per_second.median * ceiling.median / 1e4;
        said.push(format!("{part:.0} % of what the isolate alone does ({:.0} us)", ceiling.median));
    }
    let floor = result.servers.iter().find(|server| server.server == "actix").and_then(rate);
    if let Some(floor) = floor {
        let part = own.requests_per_second.median / floor * 100.0;
        said.push(format!("{part:.0} % of bare actix-web"));
    }
    if said.is_empty() { String::new() } else { format!("Isopod: {}.\n", said.join(", ")) }
}

fn rated(out: &mut String, result: &ScenarioResult) {
    if result.servers.iter().all(|server| server.rated.is_empty()) {
        return;
    }
    out.push_str(
        "| server | load | asked/s | good/s | shell p50 ms | p50 ms | p99 ms | lost | recovery |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    let labels = result.servers.iter().flat_map(|server| &server.rated).map(|rated| &rated.label);
    let mut seen: Vec<&String> = Vec::new();
    for label in labels {
        if !seen.contains(&label) {
            seen.push(label);
        }
    }
    for label in seen {
        for server in &result.servers {
            for one in server.rated.iter().filter(|rated| rated.label == *label) {
                let _ = writeln!(out, "{}", rated_row(server, one));
            }
        }
    }
    out.push('\n');
}

fn rated_row(server: &ServerResult, rated: &Rated) -> String {
    let right = rated.outcome.right();
    let millis = |micros: u64| format!("{:.1}", micros as f64 / 1e3);
    format!(
        "| {} | {} | {:.0} | {:.0} | {} | {} | {} | {} | {} |",
        server.server,
        rated.label,
        rated.rate,
        rated.goodput,
        millis(right.shell.p50_micros),
        millis(right.last_byte.p50_micros),
        millis(right.last_byte.p99_micros),
        rated.outcome.lost(),
        recovery(rated)
    )
}

fn memory(out: &mut String, run: &Run) {
    if run.memory.is_empty() {
        return;
    }
    out.push_str("### Memory\n\nThe most that each process tree held while it was measured, shared memory in parts, MiB.\n\n");
    out.push_str("| app | server | MiB |\n|---|---|---|\n");
    for one in &run.memory {
        let _ = writeln!(out, "| {} | {} | {:.0} |", one.app, one.server, one.peak());
    }
    out.push('\n');
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::{BEGIN, END, replace};
    use crate::machine::{Cores, Machine};
    use crate::scenarios::results::Run;

    fn run(command: &str) -> Run {
        Run {
            command: command.to_owned(),
            machine: Machine::unknown(Cores { server: 0, load: 1 }),
            builds: Vec::new(),
            seconds: 5,
            warm_up: 5,
            repeat: 5,
            planned: 0,
            results: Vec::new(),
            memory: Vec::new(),
            skipped: Vec::new(),
            has_failed: false,
        }
    }

    #[test]
    fn tables_of_a_run_replace_those_of_the_last() {
        let first = replace("# Performance\n\nWords.\n", &run("one"));
        assert!(first.contains("# Performance\n\nWords.\n\n<!-- begin"), "{first}");
        let document = format!("{first}\nAfter.\n");
        let second = replace(&document, &run("two"));
        assert!(second.contains("two") && !second.contains("one"), "{second}");
        assert!(second.ends_with("After.\n"));
        assert_eq!((second.matches(BEGIN).count(), second.matches(END).count()), (1, 1));
    }
}
