//! A site with many routes.

use shared::route::{Pattern, Policy, Tree, TreeBuilder};

/// Patterns as a large site has them: literals, parameters, optionals, prefixes and splats.
pub fn tree(patterns: usize) -> Tree<usize> {
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
