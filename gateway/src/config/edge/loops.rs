//! Rows that lead back to themselves.

use std::collections::{HashMap, HashSet, VecDeque};

use shared::route::flow::Paths;
use shared::route::pattern::Segment;
use shared::route::{Pattern, Policy};

use crate::config::read::Reader;

/// A row's path and its target on this site.
pub(super) type Way<'a> = (&'a Pattern, Option<&'a Pattern>);

/// Says which rows may lead back to themselves: the paths of each are followed through all rows that take them.
pub(super) fn refuse_loops(
    reader: &mut Reader<'_>,
    name: &'static str,
    policy: Policy,
    ways: &[Way<'_>],
) -> bool {
    let loops = Loops::of(ways, policy);
    let mut fine = true;
    let mut told = HashSet::new();
    for start in 0..ways.len() {
        let Some(way) = loops.way_back(start) else { continue };
        fine = false;
        // Each loop is told once, at its first row.
        if way.iter().any(|row| told.contains(row)) {
            continue;
        }
        told.extend(way.iter().copied());
        let steps = way.iter().map(|row| format!("{} -> row {}", ways[*row].0, row + 1));
        let given = format!("{} -> {}", steps.collect::<Vec<_>>().join(" -> "), ways[start].0);
        let allowed = "rows whose targets do not lead back".to_owned();
        let remedy = "make from more specific, or to a path that no row takes; path_trailing_slash and path_case say \
                      whether /a/ and /A are /a";
        reader.refuse_row(name, "to", start + 1, format!("a loop: {given}"), allowed, remedy.to_owned());
    }
    fine
}

/// The most different sets of paths with which one row is tried again while a loop is looked for.
const MAX_VISITS: usize = 8;

/// Rows, by what their paths begin with, in lower case whatever the policy: thousands of redirects are not tried in pairs.
struct Loops<'a> {
    policy: Policy,
    ways: &'a [Way<'a>],
    by_first: HashMap<String, Vec<usize>>,
    /// Those whose paths may begin with anything.
    open: Vec<usize>,
}

impl<'a> Loops<'a> {
    fn of(ways: &'a [Way<'a>], policy: Policy) -> Self {
        let mut loops = Self { policy, ways, by_first: HashMap::new(), open: Vec::new() };
        for (row, (from, _)) in ways.iter().enumerate() {
            match first_literal(from) {
                Some(first) => loops.by_first.entry(first).or_default().push(row),
                None => loops.open.push(row),
            }
        }
        loops
    }

    /// The rows that may take paths which begin so.
    fn takers(&self, first: Option<&str>) -> Vec<usize> {
        match first {
            Some(first) => {
                self.by_first.get(first).into_iter().flatten().chain(&self.open).copied().collect()
            }
            None => (0..self.ways.len()).collect(),
        }
    }

    /// The rows on a shortest way from `start` back to it.
    fn way_back(&self, start: usize) -> Option<Vec<usize>> {
        let (from, to) = self.ways[start];
        let to = to?;
        let policy = self.policy;
        let left = Paths::of(from, policy).into_iter().flat_map(|paths| paths.through(from, to, policy));
        let mut queue: VecDeque<(Paths, Vec<usize>)> = left.map(|paths| (paths, vec![start])).collect();
        let mut visits: HashMap<usize, HashSet<Paths>> = HashMap::new();
        while let Some((paths, way)) = queue.pop_front() {
            for row in self.takers(paths.first_literal().as_deref()) {
                let (from, to) = self.ways[row];
                // A target on another site is an end; that it takes paths of this row is no loop.
                let Some(to) = to else { continue };
                for next in paths.through(from, to, policy) {
                    if row == start {
                        return Some(way);
                    }
                    let seen = visits.entry(row).or_default();
                    if seen.len() < MAX_VISITS && seen.insert(next.clone()) {
                        queue.push_back((next, way.iter().copied().chain([row]).collect()));
                    }
                }
            }
        }
        None
    }
}

fn first_literal(pattern: &Pattern) -> Option<String> {
    match pattern.segments().first() {
        Some(Segment::Literal(text)) => Some(text.to_ascii_lowercase()),
        _ => None,
    }
}
