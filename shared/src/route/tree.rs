//! Many patterns, and the one that a path matches best.
//!
//! A tree of segments: literals are looked up, parameters are tried, the most specific first. As in TanStack Router,
//! what is literal counts before what is a parameter, that before an optional and that before a splat, and an
//! earlier segment before a later one; the order of insertion never counts. Two patterns between which that does
//! not decide are a [`Conflict`], so that every path has one answer.

use std::borrow::Cow;
use std::collections::HashMap;

use super::pattern::{Named, Pattern, Segment};

/// Whether upper and lower case of ASCII letters are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CasePolicy {
    /// They differ.
    Sensitive,
    /// They are one, as TanStack Router has it unless told otherwise.
    #[default]
    Insensitive,
}

/// Whether `/a` and `/a/` are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TrailingSlash {
    /// They are one.
    #[default]
    Ignore,
    /// They are two: a pattern says which it means. A splat takes both.
    Strict,
}

/// What counts as equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    /// Of letters.
    pub case: CasePolicy,
    /// Of slashes at the end.
    pub trailing_slash: TrailingSlash,
}

/// Two patterns that match the same paths equally well.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{new} and {existing} match the same paths")]
pub struct Conflict {
    /// The pattern that was there.
    pub existing: Pattern,
    /// The one that did not get in.
    pub new: Pattern,
}

/// Takes patterns until it is built into a [`Tree`].
#[derive(Debug)]
pub struct TreeBuilder<T>(Tree<T>);

/// Patterns with their values.
#[derive(Debug)]
pub struct Tree<T> {
    policy: Policy,
    nodes: Vec<Node>,
    routes: Vec<Route<T>>,
}

#[derive(Debug)]
struct Route<T> {
    pattern: Pattern,
    variants: Vec<Vec<usize>>,
    value: T,
}

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<Box<str>, usize>,
    params: Vec<Edge>,
    optionals: Vec<Edge>,
    splats: Vec<Rest>,
    end: Option<Leaf>,
    /// Where slashes at the end count: of the path that has one.
    end_with_slash: Option<Leaf>,
}

/// The way on through a parameter.
#[derive(Debug)]
struct Edge {
    around: Around,
    node: usize,
}

/// The end in a splat.
#[derive(Debug)]
struct Rest {
    around: Around,
    leaf: Leaf,
}

/// What stands around a parameter, its case folded as the policy says.
#[derive(Debug, PartialEq, Eq)]
struct Around {
    prefix: String,
    suffix: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Leaf {
    route: usize,
    variant: usize,
}

/// A match.
#[derive(Debug)]
pub struct Match<'t, T> {
    /// The pattern.
    pub pattern: &'t Pattern,
    /// What was inserted with it.
    pub value: &'t T,
    variant: &'t [usize],
}

impl<T> Clone for Match<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Match<'_, T> {}

impl<T> TreeBuilder<T> {
    /// An empty tree.
    pub fn new(policy: Policy) -> Self {
        Self(Tree { policy, nodes: vec![Node::default()], routes: Vec::new() })
    }

    /// Adds a pattern.
    ///
    /// # Errors
    /// [`Conflict`] when another matches the same paths equally well; the tree is as it was.
    pub fn insert(&mut self, pattern: Pattern, value: T) -> Result<(), Conflict> {
        let variants = pattern.variants();
        for variant in &variants {
            if let Some(existing) = self.0.taken(&pattern, variant) {
                return Err(Conflict { existing: self.0.routes[existing].pattern.clone(), new: pattern });
            }
        }
        let route = self.0.routes.len();
        for (number, variant) in variants.iter().enumerate() {
            self.0.add(&pattern, variant, Leaf { route, variant: number });
        }
        self.0.routes.push(Route { pattern, variants, value });
        Ok(())
    }

    /// The tree.
    pub fn build(self) -> Tree<T> {
        self.0
    }
}

impl<T> Tree<T> {
    /// How many patterns it holds.
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// All patterns with their values, in the order of insertion.
    pub fn iter(&self) -> impl Iterator<Item = (&Pattern, &T)> {
        self.routes.iter().map(|route| (&route.pattern, &route.value))
    }

    /// The best match of a request's path: percent-encoded as it was sent, without query. What is no path, or is
    /// badly encoded, matches nothing.
    pub fn find(&self, path: &str) -> Option<Match<'_, T>> {
        if self.routes.is_empty() {
            return None;
        }
        let (parts, has_slash) = parts(path)?;
        let search = Search { tree: self, parts: &parts, has_slash };
        let (_, leaf) = search.from(0, 0, Score::default())?;
        let route = &self.routes[leaf.route];
        Some(Match { pattern: &route.pattern, value: &route.value, variant: &route.variants[leaf.variant] })
    }

    fn folded<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.policy.case {
            CasePolicy::Insensitive if text.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                text.to_ascii_lowercase().into()
            }
            _ => text.into(),
        }
    }

    fn around(&self, named: &Named) -> Around {
        Around {
            prefix: self.folded(&named.prefix).into_owned(),
            suffix: self.folded(&named.suffix).into_owned(),
        }
    }

    fn needs_slash(&self, pattern: &Pattern) -> bool {
        self.policy.trailing_slash == TrailingSlash::Strict && pattern.has_trailing_slash()
    }

    /// The route that has this variant's place already.
    fn taken(&self, pattern: &Pattern, variant: &[usize]) -> Option<usize> {
        let mut node = &self.nodes[0];
        for at in variant {
            let (edges, named) = match &pattern.segments()[*at] {
                Segment::Literal(text) => {
                    node = &self.nodes[*node.literals.get(&*self.folded(text))?];
                    continue;
                }
                Segment::Param(named) => (&node.params, named),
                Segment::Optional(named) => (&node.optionals, named),
                Segment::Splat(named) => {
                    let around = self.around(named);
                    return node.splats.iter().find(|rest| rest.around == around).map(|rest| rest.leaf.route);
                }
            };
            let around = self.around(named);
            node = &self.nodes[edges.iter().find(|edge| edge.around == around)?.node];
        }
        let end = if self.needs_slash(pattern) { node.end_with_slash } else { node.end };
        end.map(|leaf| leaf.route)
    }

    fn add(&mut self, pattern: &Pattern, variant: &[usize], leaf: Leaf) {
        let mut node = 0;
        for at in variant {
            node = match &pattern.segments()[*at] {
                Segment::Literal(text) => {
                    let text: Box<str> = self.folded(text).into();
                    let next = self.nodes.len();
                    let child = *self.nodes[node].literals.entry(text).or_insert(next);
                    self.grow_to(child)
                }
                Segment::Param(named) => {
                    let (around, next) = (self.around(named), self.nodes.len());
                    let child = child(&mut self.nodes[node].params, around, next);
                    self.grow_to(child)
                }
                Segment::Optional(named) => {
                    let (around, next) = (self.around(named), self.nodes.len());
                    let child = child(&mut self.nodes[node].optionals, around, next);
                    self.grow_to(child)
                }
                Segment::Splat(named) => {
                    let around = self.around(named);
                    let splats = &mut self.nodes[node].splats;
                    // Another variant of the same pattern may have come first, with more of its optionals there.
                    if splats.iter().all(|rest| rest.around != around) {
                        splats.push(Rest { around, leaf });
                        splats.sort_by(|a, b| a.around.order().cmp(&b.around.order()));
                    }
                    return;
                }
            };
        }
        let needs_slash = self.needs_slash(pattern);
        let node = &mut self.nodes[node];
        let end = if needs_slash { &mut node.end_with_slash } else { &mut node.end };
        end.get_or_insert(leaf);
    }

    fn grow_to(&mut self, node: usize) -> usize {
        if node == self.nodes.len() {
            self.nodes.push(Node::default());
        }
        node
    }
}

/// The child behind this edge; `next` where there was none.
fn child(edges: &mut Vec<Edge>, around: Around, next: usize) -> usize {
    if let Some(edge) = edges.iter().find(|edge| edge.around == around) {
        return edge.node;
    }
    edges.push(Edge { around, node: next });
    edges.sort_by(|a, b| a.around.order().cmp(&b.around.order()));
    next
}

impl Around {
    /// Longer prefixes first, then longer suffixes; what is left is decided by the text, and cannot both match.
    fn order(&self) -> (std::cmp::Reverse<usize>, std::cmp::Reverse<usize>, &str, &str) {
        use std::cmp::Reverse;
        (Reverse(self.prefix.len()), Reverse(self.suffix.len()), &self.prefix, &self.suffix)
    }

    fn is_bare(&self) -> bool {
        self.prefix.is_empty() && self.suffix.is_empty()
    }

    /// Whether `text` is more than prefix and suffix.
    fn fits(&self, text: &str) -> bool {
        text.len() > self.prefix.len() + self.suffix.len()
            && text.starts_with(&self.prefix)
            && text.ends_with(&self.suffix)
    }
}

/// How specific a match is: for each kind a bit for each of the path's first 64 segments, the first the highest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Score {
    literals: u64,
    params: u64,
    optionals: u64,
    /// The path ends where the pattern does, and not in a splat.
    ends: bool,
}

fn bit(at: usize) -> u64 {
    u32::try_from(at).ok().and_then(|at| (1u64 << 63).checked_shr(at)).unwrap_or(0)
}

/// One segment of a path, decoded.
type Part<'p> = Cow<'p, str>;

/// The decoded segments, and whether a slash follows them.
fn parts(path: &str) -> Option<(Vec<Part<'_>>, bool)> {
    let rest = path.strip_prefix('/')?;
    if rest.is_empty() {
        return Some((Vec::new(), false));
    }
    let has_slash = rest.ends_with('/');
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let mut parts = Vec::with_capacity(8);
    for part in rest.split('/') {
        parts.push(decoded(part)?);
    }
    Some((parts, has_slash))
}

/// A segment without its percent-encoding; `None` when that is broken or not UTF-8.
pub(super) fn decoded(part: &str) -> Option<Cow<'_, str>> {
    if !part.contains('%') {
        return Some(part.into());
    }
    let mut bytes = part.bytes();
    let mut decoded = Vec::with_capacity(part.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
        let (high, low) = (digit()?, digit()?);
        decoded.push(u8::try_from(high << 4 | low).ok()?);
    }
    String::from_utf8(decoded).ok().map(Cow::from)
}

struct Search<'s, T> {
    tree: &'s Tree<T>,
    parts: &'s [Part<'s>],
    has_slash: bool,
}

impl<T> Search<'_, T> {
    /// The best match of the segments from `at` on, below `node`. Each node is seen at most once.
    fn from(&self, node: usize, at: usize, score: Score) -> Option<(Score, Leaf)> {
        let node = &self.tree.nodes[node];
        let Some(part) = self.parts.get(at) else { return self.end(node, score) };
        let part = self.tree.folded(part);
        if let Some(child) = node.literals.get(&*part) {
            let found = self.from(*child, at + 1, Score { literals: score.literals | bit(at), ..score });
            // Nothing that is not literal here can be better; beyond the last bit, the first that matches is.
            if found.is_some() {
                return found;
            }
        }
        let mut best: Option<(Score, Leaf)> = None;
        for edge in node.params.iter().filter(|edge| edge.around.fits(&part)) {
            let score = Score { params: score.params | bit(at), ..score };
            best = better(best, self.from(edge.node, at + 1, score));
        }
        for edge in node.optionals.iter().filter(|edge| edge.around.fits(&part)) {
            let score = Score { optionals: score.optionals | bit(at), ..score };
            best = better(best, self.from(edge.node, at + 1, score));
        }
        let splat = node.splats.iter().find(|rest| rest.around.is_bare() || self.rest_fits(&rest.around, at));
        better(best, splat.map(|rest| (score, rest.leaf)))
    }

    fn end(&self, node: &Node, score: Score) -> Option<(Score, Leaf)> {
        let is_strict = self.tree.policy.trailing_slash == TrailingSlash::Strict;
        let end = if is_strict && self.has_slash { node.end_with_slash } else { node.end };
        let end = end.map(|leaf| (Score { ends: true, ..score }, leaf));
        end.or_else(|| node.splats.iter().find(|rest| rest.around.is_bare()).map(|rest| (score, rest.leaf)))
    }

    fn rest_fits(&self, around: &Around, at: usize) -> bool {
        let (first, last) = (&self.parts[at], &self.parts[self.parts.len() - 1]);
        match at + 1 == self.parts.len() {
            true => around.fits(&self.tree.folded(first)),
            false => {
                self.tree.folded(first).starts_with(&around.prefix)
                    && self.tree.folded(last).ends_with(&around.suffix)
            }
        }
    }
}

/// The better of two; the first where they are equal, which its order has decided.
fn better(first: Option<(Score, Leaf)>, second: Option<(Score, Leaf)>) -> Option<(Score, Leaf)> {
    match (first, second) {
        (Some(a), Some(b)) => Some(if b.0 > a.0 { b } else { a }),
        (a, b) => a.or(b),
    }
}

/// What one parameter matched, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param<'t> {
    /// Its name.
    pub name: &'t str,
    /// The segments: one, except for a splat.
    pub segments: Vec<String>,
}

impl Param<'_> {
    /// The value, as the app's router gives it.
    pub fn value(&self) -> String {
        self.segments.join("/")
    }
}

impl<'t, T> Match<'t, T> {
    /// What the parameters matched in `path`, which must be the path that this match was found for. Optional
    /// parameters that are not there are left out.
    pub fn params(&self, path: &str) -> Vec<Param<'t>> {
        let Some((parts, _)) = parts(path) else { return Vec::new() };
        let mut params = Vec::new();
        for (at, segment) in self.variant.iter().enumerate() {
            match &self.pattern.segments()[*segment] {
                Segment::Literal(_) => {}
                Segment::Param(named) | Segment::Optional(named) => {
                    let Some(part) = parts.get(at) else { continue };
                    params.push(Param { name: &named.name, segments: vec![inner(part, named)] });
                }
                Segment::Splat(named) => {
                    let mut segments: Vec<String> =
                        parts.get(at..).unwrap_or_default().iter().map(|part| part.to_string()).collect();
                    if let Some(first) = segments.first_mut() {
                        *first = first.get(named.prefix.len()..).unwrap_or_default().to_owned();
                    }
                    if let Some(last) = segments.last_mut() {
                        let end = last.len().saturating_sub(named.suffix.len());
                        *last = last.get(..end).unwrap_or_default().to_owned();
                    }
                    params.push(Param { name: &named.name, segments });
                }
            }
        }
        params
    }
}

fn inner(part: &str, named: &Named) -> String {
    let end = part.len().saturating_sub(named.suffix.len());
    part.get(named.prefix.len()..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
