//! Tables of renders and starts for the terminal.

use crate::isolate::PageResult;
use crate::start::StartResult;
use crate::statistics::Summary;

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
