//! Faults of every kind, one after another, in a cluster under load: each costs its own request and no other, is named
//! in the log, and the cluster is at full strength again at once, from a spare.
//!
//! `cargo nextest run --release -E 'test(/^limits::/)' --no-capture` prints the tables of `docs/limits.md`.
//!
//! - [`incident`]: what a fault does to its client, to others and to the cluster.
//! - [`faults`]: of a small bundle, every kind; [`apps`]: of loaders and components of the real apps.
//! - [`crashes`]: of a process. [`stuck`]: JavaScript that nothing ends. [`wear`]: what recycles an isolate without a fault.

#![allow(clippy::panic, clippy::print_stdout, reason = "a test says what it found, for the tables in docs/")]

mod apps;
mod crashes;
mod faults;
mod incident;
mod stuck;
mod wear;
