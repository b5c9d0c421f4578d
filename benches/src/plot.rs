//! Charts as SVG: lines over an axis, and bars.

use std::fmt::Write;

const WIDTH: f64 = 760.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 40.0;
const PLOT_HEIGHT: f64 = 220.0;
const LINES_HEIGHT: f64 = TOP + PLOT_HEIGHT + BOTTOM;
const BAR_HEIGHT: f64 = 18.0;
const BAR_LEFT: f64 = 130.0;

const COLOURS: [&str; 10] = [
    "#d62728", "#1f77b4", "#2ca02c", "#ff7f0e", "#9467bd", "#8c564b", "#17becf", "#7f7f7f", "#bcbd22",
    "#e377c2",
];

/// A line's points.
#[derive(Debug, Clone)]
pub struct Series {
    /// As the legend names it.
    pub name: String,
    /// Along and up.
    pub points: Vec<(f64, f64)>,
}

/// Lines over an axis.
#[derive(Debug, Clone)]
pub struct Lines {
    /// The heading.
    pub title: String,
    /// What goes along, with its unit.
    pub along: &'static str,
    /// Whether each step along is ten times the last.
    pub is_logarithmic: bool,
    /// All of them; the first is drawn thicker.
    pub series: Vec<Series>,
}

/// A bar with its spread.
#[derive(Debug, Clone)]
pub struct Bar {
    /// Whose.
    pub name: String,
    /// The median.
    pub value: f64,
    /// The least and the greatest.
    pub spread: (f64, f64),
}

/// Draws lines; nothing when there is no point.
pub fn lines(chart: &Lines) -> String {
    let all = || chart.series.iter().flat_map(|series| &series.points);
    let place = |value: f64| if chart.is_logarithmic { value.max(1e-3).log10() } else { value };
    let least = all().map(|point| place(point.0)).fold(f64::INFINITY, f64::min);
    let most = all().map(|point| place(point.0)).fold(f64::NEG_INFINITY, f64::max);
    if !least.is_finite() {
        return String::new();
    }
    let (least, most) = if chart.is_logarithmic {
        (least.floor(), most.ceil().max(least.floor() + 1.0))
    } else {
        (0.0, most.max(f64::MIN_POSITIVE))
    };
    let highest = all().map(|point| point.1).fold(f64::MIN_POSITIVE, f64::max);
    let x = |value: f64| LEFT + (place(value) - least) / (most - least) * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| TOP + PLOT_HEIGHT * (1.0 - value / highest);
    let mut out = head(LINES_HEIGHT, &chart.title);
    for part in 0..=4 {
        let value = highest * f64::from(part) / 4.0;
        grid_line(&mut out, (LEFT, y(value)), (WIDTH - RIGHT, y(value)));
        text(&mut out, (LEFT - 6.0, y(value) + 4.0), "end", &short(value));
    }
    for at in steps(chart.is_logarithmic, least, most) {
        grid_line(&mut out, (x(at), TOP), (x(at), TOP + PLOT_HEIGHT));
        text(&mut out, (x(at), TOP + PLOT_HEIGHT + 16.0), "middle", &short(at));
    }
    text(&mut out, ((LEFT + WIDTH - RIGHT) / 2.0, TOP + PLOT_HEIGHT + 32.0), "middle", chart.along);
    for (number, series) in chart.series.iter().enumerate() {
        let colour = colour(number);
        let points: Vec<_> =
            series.points.iter().map(|(a, b)| format!("{:.1},{:.1}", x(*a), y(*b))).collect();
        let thickness = if number == 0 { 2.5 } else { 1.3 };
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{thickness}\"/>\n\
             <text x=\"{:.0}\" y=\"{:.0}\" fill=\"{colour}\">{}</text>",
            points.join(" "),
            WIDTH - RIGHT + 10.0,
            TOP + 12.0 + 16.0 * number as f64,
            escaped(&series.name)
        );
    }
    out.push_str("</svg>\n");
    out
}

/// Draws charts below each other as one picture; those without a point are left out.
pub fn stacked(charts: &[Lines]) -> String {
    let drawn: Vec<String> = charts.iter().map(lines).filter(|chart| !chart.is_empty()).collect();
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{:.0}\">\n",
        LINES_HEIGHT * drawn.len() as f64
    );
    for (number, chart) in drawn.iter().enumerate() {
        // Writing to a string cannot fail.
        let _ =
            writeln!(out, "<g transform=\"translate(0 {:.0})\">\n{chart}</g>", LINES_HEIGHT * number as f64);
    }
    out.push_str("</svg>\n");
    out
}

/// Draws bars below each other; nothing when there is none.
pub fn bars(title: &str, bars: &[Bar]) -> String {
    let highest = bars.iter().map(|bar| bar.spread.1.max(bar.value)).fold(0.0, f64::max);
    if highest <= 0.0 {
        return String::new();
    }
    let mut out = head(TOP + (BAR_HEIGHT + 6.0) * bars.len() as f64 + 6.0, title);
    let width = |value: f64| value / highest * (WIDTH - BAR_LEFT - 80.0);
    for (number, bar) in bars.iter().enumerate() {
        let top = TOP + (BAR_HEIGHT + 6.0) * number as f64;
        let middle = top + BAR_HEIGHT / 2.0;
        text(&mut out, (BAR_LEFT - 6.0, middle + 4.0), "end", &escaped(&bar.name));
        let _ = writeln!(
            out,
            "<rect x=\"{BAR_LEFT}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{BAR_HEIGHT}\" fill=\"{}\" opacity=\"0.8\"/>\n\
             <path d=\"M{:.1} {middle:.1}H{:.1}\" stroke=\"#222\" stroke-width=\"1.5\"/>",
            width(bar.value),
            if number == 0 { COLOURS[0] } else { COLOURS[1] },
            BAR_LEFT + width(bar.spread.0),
            BAR_LEFT + width(bar.spread.1),
        );
        let end = BAR_LEFT + width(bar.value.max(bar.spread.1)) + 6.0;
        text(&mut out, (end, middle + 4.0), "start", &short(bar.value));
    }
    out.push_str("</svg>\n");
    out
}

/// Text for SVG and HTML.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn head(height: f64, title: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height:.0}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"8\" y=\"18\" font-weight=\"bold\">{}</text>\n",
        escaped(title)
    )
}

fn grid_line(out: &mut String, from: (f64, f64), to: (f64, f64)) {
    let _ =
        writeln!(out, "<path d=\"M{:.1} {:.1}L{:.1} {:.1}\" stroke=\"#ddd\"/>", from.0, from.1, to.0, to.1);
}

fn text(out: &mut String, at: (f64, f64), anchor: &str, text: &str) {
    let _ = writeln!(out, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{text}</text>", at.0, at.1);
}

fn colour(number: usize) -> &'static str {
    COLOURS.get(number % COLOURS.len()).copied().unwrap_or("#000")
}

fn steps(is_logarithmic: bool, least: f64, most: f64) -> Vec<f64> {
    if !is_logarithmic {
        return (0..=4).map(|part| most * f64::from(part) / 4.0).collect();
    }
    let mut at = least;
    let mut found = Vec::new();
    while at <= most {
        found.push(10.0_f64.powf(at));
        at += 1.0;
    }
    found
}

/// With as many digits as say something.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 10.0 || size == 0.0 => format!("{value:.0}"),
        size if size >= 1.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_has_a_line_and_a_name_for_each_series() {
        let series = |name: &str| Series { name: name.to_owned(), points: vec![(1.0, 0.0), (100.0, 1.0)] };
        let chart = Lines {
            title: "a < b".to_owned(),
            along: "ms",
            is_logarithmic: true,
            series: vec![series("isopod"), series("node26")],
        };
        let svg = lines(&chart);
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert!(svg.contains("a &lt; b") && svg.contains(">node26<") && svg.contains(">100<"));
        assert_eq!(lines(&Lines { series: Vec::new(), ..chart }), "");
    }

    #[test]
    fn charts_are_drawn_below_each_other() {
        let chart = |title: &str, points: Vec<(f64, f64)>| Lines {
            title: title.to_owned(),
            along: "minutes",
            is_logarithmic: false,
            series: vec![Series { name: "x".to_owned(), points }],
        };
        let points = vec![(0.0, 1.0), (1.0, 2.0)];
        let svg = stacked(&[chart("one", points.clone()), chart("none", Vec::new()), chart("two", points)]);
        assert!(svg.contains(">one<") && svg.contains(">two<") && !svg.contains(">none<"), "{svg}");
        assert!(
            svg.contains("translate(0 0)")
                && svg.contains("translate(0 294)")
                && svg.contains("height=\"588\"")
        );
    }

    #[test]
    fn the_longest_bar_is_the_greatest_value() {
        let bar = |value: f64| Bar { name: "x".to_owned(), value, spread: (value, value) };
        let svg = bars("CPU", &[bar(100.0), bar(50.0)]);
        assert!(svg.contains("width=\"550.0\"") && svg.contains("width=\"275.0\""), "{svg}");
        assert_eq!(bars("CPU", &[]), "");
    }
}
