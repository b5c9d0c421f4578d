//! The lines of source around the place where an error was thrown. Pure.

use std::fmt::Write as _;

/// So many lines are shown before and after the one at fault.
const AROUND: usize = 3;

/// Longer lines are cut, in characters: a bundle may be one line.
const MAX_WIDTH: usize = 160;

/// A place in a source file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place<'a> {
    /// The file's URL.
    pub url: &'a str,
    /// From 1.
    pub line: usize,
    /// From 1.
    pub column: usize,
}

/// The first place of a stack that is in a file of the app, not in a package; else the first in any file.
pub fn first_place(stack: &str) -> Option<Place<'_>> {
    let places = || stack.lines().filter_map(place);
    places().find(|place| !place.url.contains("/node_modules/")).or_else(|| places().next())
}

/// Reads `    at name (file:///a/b.js:1:2)` and `    at file:///a/b.js:1:2`.
fn place(line: &str) -> Option<Place<'_>> {
    let frame = line.trim_start().strip_prefix("at ")?;
    let start = frame.find("file:///")?;
    let mut parts = frame[start..].trim_end_matches(')').rsplitn(3, ':');
    let column = parts.next()?.parse().ok()?;
    let line = parts.next()?.parse().ok()?;
    Some(Place { url: parts.next()?, line, column })
}

/// The lines of `source` around a place, with their numbers and a mark below the column.
pub fn excerpt(source: &str, place: &Place<'_>) -> Option<String> {
    let first = place.line.saturating_sub(AROUND).max(1);
    let lines: Vec<_> =
        source.lines().enumerate().skip(first - 1).take(place.line + AROUND - first + 1).collect();
    let (last, _) = *lines.last()?;
    if last + 1 < place.line {
        return None;
    }
    let width = (last + 1).to_string().len();
    let mut text = String::new();
    for (index, line) in lines {
        let number = index + 1;
        let mark = if number == place.line { '>' } else { ' ' };
        let shown: String = line.chars().take(MAX_WIDTH).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{mark} {number:>width$} | {shown}");
        if number == place.line && (1..=MAX_WIDTH).contains(&place.column) {
            let _ = writeln!(text, "  {:width$} | {:>column$}", "", '^', column = place.column);
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STACK: &str = "Error: boom (file:///not/this.js)\n    at ext:core/01_core.js:1:2\n    \
        at parse (file:///app/node_modules/pg/index.js:3:4)\n    at loader (file:///app/src/a b.tsx:12:9)\n    \
        at async file:///app/src/other.ts:1:1";

    #[test]
    fn the_first_place_of_the_app_is_found() {
        assert_eq!(first_place(STACK), Some(Place { url: "file:///app/src/a b.tsx", line: 12, column: 9 }));
        let package = STACK.lines().take(3).collect::<Vec<_>>().join("\n");
        assert_eq!(first_place(&package).unwrap().url, "file:///app/node_modules/pg/index.js");
        assert_eq!(first_place("Error: boom\n    at <anonymous>"), None);
    }

    #[test]
    fn lines_around_it_are_shown_with_a_mark() {
        let source: String = (1..=12).map(|number| format!("line {number}\n")).collect();
        let text = excerpt(&source, &Place { url: "", line: 9, column: 3 }).unwrap();
        assert_eq!(
            text,
            "   6 | line 6\n   7 | line 7\n   8 | line 8\n>  9 | line 9\n     |   ^\n  10 | line 10\n  11 | line 11\n  \
             12 | line 12\n"
        );
    }

    #[test]
    fn what_is_not_there_is_not_shown_and_long_lines_are_cut() {
        let place = |line, column| Place { url: "", line, column };
        assert_eq!(excerpt("one\n", &place(7, 1)), None);
        assert_eq!(excerpt("", &place(1, 1)), None);
        let text = excerpt(&"x".repeat(10_000), &place(1, 9000)).unwrap();
        assert!(text.len() < 200 && !text.contains('^'), "{text}");
    }
}
