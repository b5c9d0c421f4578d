//! Paths in TanStack Router's syntax: what a pattern is, and which of many a request's path matches. Pure.
//!
//! | pattern | matches | parameters |
//! |---|---|---|
//! | `/about` | `/about` | |
//! | `/users/$id` | `/users/7` | `id` = `7` |
//! | `/files/{$id}.json`, `/post-{$id}` | `/files/7.json`, `/post-7` | `id` = `7` |
//! | `/{-$locale}/about` | `/about`, `/de/about` | `locale`, if it is there |
//! | `/files/$` | `/files`, `/files/a/b.txt` | `_splat` = `a/b.txt` |
//! | `/files/doc-{$}.txt` | `/files/doc-a/b.txt` | `_splat` = `a/b` |
//! | `/sitemap[.]xml`, `/[$]cash` | `/sitemap.xml`, `/$cash` | |
//!
//! - [`pattern`]: one pattern, parsed.
//! - [`tree`]: many of them, and the best match for a path. What is ambiguous does not get in.
//! - [`target`]: a path made from the parameters of another.
//! - [`flow`]: where the paths of a pattern go through redirects; guards against loops.

pub mod flow;
pub mod pattern;
pub mod target;
pub mod tree;

pub use pattern::{Pattern, PatternError};
pub use target::Target;
pub use tree::{CasePolicy, Conflict, Match, Policy, TrailingSlash, Tree, TreeBuilder};
