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
    let titles = ["process", "told", "spare"].map(|start| [start, "its CPU", "first page"]).concat();
    let titles: Vec<_> = titles.into_iter().map(str::to_owned).collect();
    let mut lines = vec![start_line("ms until ready", "code cache", &titles)];
    lines.extend(starts.iter().map(|start| {
        let figures = [&start.process, &start.told, &start.spare]
            .map(|one| [&one.wall, &one.cpu, &one.first_page].map(start_figure))
            .concat();
        start_line(&start.build, &cache_name(start), &figures)
    }));
    lines.join("\n")
}

/// The phases of spares' starts.
pub fn render_phases(starts: &[StartResult]) -> String {
    let titles = starts.first().map(|start| &start.spare.phases).into_iter().flatten();
    let titles: Vec<_> = titles.map(|(phase, _)| (*phase).to_owned()).collect();
    let mut lines = vec![start_line("ms of a spare's isolate", "code cache", &titles)];
    lines.extend(starts.iter().map(|start| {
        let figures = start.spare.phases.iter().map(|(_, figure)| start_figure(figure));
        start_line(&start.build, &cache_name(start), &figures.collect::<Vec<_>>())
    }));
    lines.join("\n")
}

fn start_figure(summary: &Summary) -> String {
    let places = usize::from(summary.median < 10.0);
    format!("{:.places$} ({:.places$})", summary.median, summary.min)
}

fn cache_name(start: &StartResult) -> String {
    format!("{:?}", start.cache).to_lowercase()
}

fn start_line(build: &str, cache: &str, figures: &[String]) -> String {
    let figures: String = figures.iter().map(|figure| format!("{figure:>12}")).collect();
    format!("{build:<30}{cache:>12}{figures}")
}

fn page_line(page: &str, who: &str, figure: &str, ratio: &str) -> String {
    format!("{page:<26}{figure:>16}{ratio:>8}  {who}")
}
