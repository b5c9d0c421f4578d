//! What the pieces of a request cost in time. Their instructions: `cargo xtask bench instructions`. The render itself:
//! `cargo xtask bench isolate`.

use divan::Bencher;
use hot_paths::{CASES, case};

fn main() {
    divan::main();
}

#[divan::bench(args = CASES.iter().map(|case| case.name))]
fn piece(bencher: Bencher<'_, '_>, name: &str) {
    let mut run = case(name).map_or_else(|| unreachable!("{name}"), |case| (case.prepare)());
    bencher.bench_local(&mut run);
}
