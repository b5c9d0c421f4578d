//! What it costs to find a path among ten thousand patterns.

use divan::{Bencher, black_box};
use shared::route::{Pattern, Policy, Tree, TreeBuilder};

fn main() {
    divan::main();
}

/// Patterns as a large site has them: literals, parameters, optionals, prefixes and splats.
fn tree(patterns: usize) -> Tree<usize> {
    let mut builder = TreeBuilder::new(Policy::default());
    for number in 0..patterns {
        let (group, kind) = (number / 5, number % 5);
        let text = match kind {
            0 => format!("/section-{group}/about"),
            1 => format!("/section-{group}/items/$id"),
            2 => format!("/section-{group}/items/$id/{{-$tab}}/edit"),
            3 => format!("/section-{group}/feed-{{$name}}.json"),
            _ => format!("/section-{group}/files/$"),
        };
        let pattern = Pattern::parse(&text).unwrap_or_else(|error| unreachable!("{text}: {error}"));
        builder.insert(pattern, number).unwrap_or_else(|conflict| unreachable!("{conflict}"));
    }
    builder.build()
}

const SIZES: [usize; 3] = [10, 1_000, 10_000];

#[divan::bench(args = SIZES)]
fn literal(bencher: Bencher<'_, '_>, patterns: usize) {
    found(bencher, patterns, "/section-1/about");
}

#[divan::bench(args = SIZES)]
fn parameter(bencher: Bencher<'_, '_>, patterns: usize) {
    found(bencher, patterns, "/section-1/items/4711");
}

#[divan::bench(args = SIZES)]
fn deep_with_optional(bencher: Bencher<'_, '_>, patterns: usize) {
    found(bencher, patterns, "/section-1/items/4711/details/edit");
}

#[divan::bench(args = SIZES)]
fn splat_with_encoding(bencher: Bencher<'_, '_>, patterns: usize) {
    found(bencher, patterns, "/section-1/files/a%20b/c/d.txt");
}

#[divan::bench(args = SIZES)]
fn nothing(bencher: Bencher<'_, '_>, patterns: usize) {
    let tree = tree(patterns);
    assert!(tree.find("/elsewhere/entirely").is_none());
    bencher.bench(|| tree.find(black_box("/elsewhere/entirely")).is_some());
}

#[divan::bench(args = SIZES)]
fn with_parameters(bencher: Bencher<'_, '_>, patterns: usize) {
    let tree = tree(patterns);
    let path = "/section-1/items/4711";
    bencher.bench(|| tree.find(black_box(path)).map(|found| found.params(path)));
}

fn found(bencher: Bencher<'_, '_>, patterns: usize, path: &str) {
    let tree = tree(patterns);
    assert!(tree.find(path).is_some());
    bencher.bench(|| tree.find(black_box(path)).map(|found| *found.value));
}
