//! The paths of the edge's rows: one policy for all, one tree for each list.

use shared::route::{CasePolicy, Pattern, Policy, TrailingSlash, Tree, TreeBuilder};

use crate::config::read::Reader;
use crate::config::rows::Row;

pub(super) fn path_policy(reader: &mut Reader<'_>) -> Option<Policy> {
    let case = reader.parsed("path_case", |text| match text {
        "insensitive" => Some(CasePolicy::Insensitive),
        "sensitive" => Some(CasePolicy::Sensitive),
        _ => None,
    });
    let trailing_slash = reader.parsed("path_trailing_slash", |text| match text {
        "ignore" => Some(TrailingSlash::Ignore),
        "strict" => Some(TrailingSlash::Strict),
        _ => None,
    });
    Some(Policy { case: case?, trailing_slash: trailing_slash? })
}

/// A tree that holds one path.
pub(super) fn single(pattern: Pattern, policy: Policy) -> Tree<()> {
    tree_of(policy, [(pattern, ())]).0
}

/// The tree of these, and the positions of those that conflict with an earlier one.
pub(super) fn tree_of<T>(
    policy: Policy,
    rows: impl IntoIterator<Item = (Pattern, T)>,
) -> (Tree<T>, Vec<Clash>) {
    let mut builder = TreeBuilder::new(policy);
    let mut clashes = Vec::new();
    for (row, (pattern, value)) in rows.into_iter().enumerate() {
        if let Err(conflict) = builder.insert(pattern, value) {
            clashes.push(Clash { row: row + 1, text: conflict.to_string() });
        }
    }
    (builder.build(), clashes)
}

/// Two rows between which a path cannot choose.
pub(super) struct Clash {
    row: usize,
    text: String,
}

/// The tree of a list of tables, or the rows that are ambiguous.
pub(super) fn unambiguous<T>(
    reader: &mut Reader<'_>,
    name: &'static str,
    field: &str,
    policy: Policy,
    rows: Vec<(Pattern, T)>,
) -> Option<Tree<T>> {
    let (tree, clashes) = tree_of(policy, rows);
    let fine = clashes.is_empty();
    for Clash { row, text } in clashes {
        let allowed = "paths of which one is more specific wherever two match".to_owned();
        let remedy = "remove one of the two rows, or make one's path more specific".to_owned();
        reader.refuse_row(name, field, row, text, allowed, remedy);
    }
    fine.then_some(tree)
}

pub(super) fn path(row: &mut Row<'_>, field: &'static str) -> Option<Pattern> {
    row.checked(field, Pattern::parse)
}
