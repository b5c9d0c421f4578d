//! What it costs to find a path among ten thousand patterns.

use divan::{Bencher, black_box};
use hot_paths::routes::tree;

fn main() {
    divan::main();
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
