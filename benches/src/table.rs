//! The table in the terminal.

use crate::isolate::PageResult;
use crate::report::Standing;
use crate::start::StartResult;
use crate::statistics::Summary;

const HEADER: [&str; 7] = ["server", "req/s", "spread", "CPU us/req", "spread", "p50 ms", "p99 ms"];

/// One line for each server, then how the first stands beside each other one.
pub fn render(standings: &[Standing]) -> String {
    let mut rows = vec![HEADER.map(str::to_owned)];
    rows.extend(standings.iter().map(row));
    let mut text: Vec<String> = rows.iter().map(line).collect();
    if let Some((first, others)) = standings.split_first() {
        text.extend(others.iter().map(|other| comparison(first, other)));
    }
    text.join("\n")
}

fn row(standing: &Standing) -> [String; 7] {
    let median = |summary: &Summary, digits: usize| format!("{:.digits$}", summary.median);
    let spread = |summary: &Summary| format!("{:.0} %", summary.spread() * 100.0);
    [
        standing.server.clone(),
        median(&standing.requests_per_second, 0),
        spread(&standing.requests_per_second),
        format!(
            "{} ({:.0})",
            median(&standing.cpu_micros_per_request, 0),
            standing.cpu_micros_per_request.min
        ),
        spread(&standing.cpu_micros_per_request),
        median(&standing.p50_millis, 1),
        median(&standing.p99_millis, 1),
    ]
}

fn line(cells: &[String; 7]) -> String {
    let [server, rest @ ..] = cells;
    let widths = [9, 8, 14, 8, 9, 9];
    let rest: String = rest.iter().zip(widths).map(|(cell, width)| format!("{cell:>width$}")).collect();
    format!("{server:<14}{rest}")
}

fn comparison(first: &Standing, other: &Standing) -> String {
    format!(
        "{} beside {}: {:.2} times the throughput, {:.2} times the CPU per request",
        first.server,
        other.server,
        first.requests_per_second.median / other.requests_per_second.median,
        first.cpu_micros_per_request.median / other.cpu_micros_per_request.median
    )
}

/// One line for each page and contestant: CPU-microseconds per render, median and least, and how they compare with
/// the first one's.
pub fn render_pages(pages: &[PageResult]) -> String {
    let mut lines = vec![page_line("CPU us/render", "", "median (least)", "ratio")];
    for page in pages {
        let first = page.figures.first().map_or(f64::NAN, |(_, figure)| figure.median);
        lines.extend(page.figures.iter().map(|(who, figure)| {
            let (median, least) = (figure.median, figure.min);
            let name = format!("{} {}", page.app, page.path);
            page_line(&name, who, &format!("{median:.0} ({least:.0})"), &format!("{:.2}", median / first))
        }));
    }
    lines.join("\n")
}

/// One line for each build and cache: milliseconds by the clock and on CPUs, median and least.
pub fn render_starts(starts: &[StartResult]) -> String {
    let figure = |summary: &Summary| format!("{:.0} ({:.0})", summary.median, summary.min);
    let titles = ["process", "its CPU", "spare", "its CPU"].map(str::to_owned);
    let mut lines = vec![start_line("ms until ready", "code cache", &titles)];
    lines.extend(starts.iter().map(|start| {
        let cache = format!("{:?}", start.cache).to_lowercase();
        let (process, spare) = (&start.process, &start.spare);
        let figures = [&process.wall, &process.cpu, &spare.wall, &spare.cpu].map(figure);
        start_line(&start.build, &cache, &figures)
    }));
    lines.join("\n")
}

fn start_line(build: &str, cache: &str, figures: &[String; 4]) -> String {
    let figures: String = figures.iter().map(|figure| format!("{figure:>12}")).collect();
    format!("{build:<30}{cache:>12}{figures}")
}

fn page_line(page: &str, who: &str, figure: &str, ratio: &str) -> String {
    format!("{page:<26}{figure:>16}{ratio:>8}  {who}")
}

#[cfg(test)]
mod tests {
    use super::render;
    use crate::report::Standing;
    use crate::slice::Sample;

    fn standing(server: &str, rates: [f64; 3]) -> Standing {
        let sample = |rate: f64| Sample {
            requests: 1000,
            requests_per_second: rate,
            cpu_micros_per_request: 1e6 / rate,
            cores_used: 1.0,
            p50_millis: 32_000.0 / rate,
            p99_millis: 64_000.0 / rate,
        };
        Standing::of(server, String::new(), String::new(), rates.map(sample).to_vec()).unwrap()
    }

    #[test]
    fn the_first_server_is_compared_with_the_others() {
        let table = render(&[standing("isopod", [1000.0, 950.0, 1050.0]), standing("node26", [800.0; 3])]);
        assert_eq!(
            table,
            "server            req/s  spread    CPU us/req  spread   p50 ms   p99 ms\n\
             isopod             1000    10 %    1000 (952)    10 %     32.0     64.0\n\
             node26              800     0 %   1250 (1250)     0 %     40.0     80.0\n\
             isopod beside node26: 1.25 times the throughput, 0.80 times the CPU per request"
        );
    }
}
