//! A flame graph as SVG: each frame a box as wide as its part of the time, its callees above it. Pure.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::stacks::Stacks;
use crate::plot::escaped;

const WIDTH: f64 = 1200.0;
const ROW: f64 = 16.0;
const TOP: f64 = 30.0;
/// A letter's width at the size that boxes are labelled with.
const LETTER: f64 = 6.6;
/// A narrower box is left out.
const NARROWEST: f64 = 0.4;

#[derive(Debug, Default)]
struct Frame<'s> {
    weight: u64,
    callees: BTreeMap<&'s str, Frame<'s>>,
}

impl Frame<'_> {
    fn depth(&self) -> usize {
        1 + self.callees.values().map(Frame::depth).max().unwrap_or(0)
    }
}

/// The whole graph.
pub fn svg(title: &str, stacks: &Stacks) -> String {
    let mut root = Frame::default();
    for (stack, weight) in &stacks.0 {
        root.weight += weight;
        let mut at = &mut root;
        for name in stack {
            at = at.callees.entry(name).or_default();
            at.weight += weight;
        }
    }
    let height = TOP + ROW * root.depth() as f64 + 8.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height:.0}\" font-family=\"monospace\" \
         font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"8\" y=\"18\" font-size=\"14\" font-weight=\"bold\">{}</text>\n",
        escaped(title)
    );
    let bottom = height - 8.0 - ROW;
    let scale = WIDTH / root.weight.max(1) as f64;
    draw(&mut out, ("all", &root), 0.0, bottom, scale, root.weight.max(1) as f64);
    out.push_str("</svg>\n");
    out
}

fn draw(out: &mut String, (name, frame): (&str, &Frame<'_>), x: f64, y: f64, scale: f64, total: f64) {
    let width = frame.weight as f64 * scale;
    if width < NARROWEST {
        return;
    }
    let part = frame.weight as f64 / total * 100.0;
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "<g><title>{} ({part:.1} %)</title><rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{:.1}\" \
         fill=\"{}\" stroke=\"white\" stroke-width=\"0.4\"/>{}</g>",
        escaped(name),
        ROW - 1.0,
        colour(name),
        label(name, x, y, width)
    );
    let mut at = x;
    for (name, callee) in &frame.callees {
        draw(out, (name, callee), at, y - ROW, scale, total);
        at += callee.weight as f64 * scale;
    }
}

fn label(name: &str, x: f64, y: f64, width: f64) -> String {
    let mut letters = 0;
    let mut shown = String::new();
    for letter in name.chars() {
        letters += 1;
        if f64::from(letters) * LETTER > width - 4.0 {
            break;
        }
        shown.push(letter);
    }
    if shown.chars().count() < 3 {
        return String::new();
    }
    format!("<text x=\"{:.1}\" y=\"{:.1}\">{}</text>", x + 2.0, y + ROW - 5.0, escaped(&shown))
}

/// The same for the same name: warm.
fn colour(name: &str) -> String {
    let sum = name.bytes().fold(7_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
    format!("rgb({},{},{})", 205 + sum % 50, 80 + (sum >> 8) % 130, 40 + (sum >> 16) % 50)
}

#[cfg(test)]
mod tests {
    use super::super::stacks::Stacks;
    use super::svg;

    #[test]
    fn a_box_is_as_wide_as_its_part() {
        let stack = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let stacks = Stacks([(stack(&["a", "b<c>"]), 3), (stack(&["a"]), 1)].into());
        let svg = svg("gateway", &stacks);
        assert!(svg.contains("<title>b&lt;c&gt; (75.0 %)</title><rect x=\"0.0\""), "{svg}");
        assert!(svg.contains("width=\"900.0\"") && svg.contains("width=\"1200.0\""));
    }
}
