//! The project's own commands, run as `cargo xtask COMMAND`, and what the benches share with them.
//!
//! - [`v8`]: finds the V8 library and tells cargo where it is.
//! - [`apps`]: installs and builds the test apps, when their sources changed.
//! - [`package`]: builds `@isopod/app`, which they import.
//! - [`demo`]: all of the set-up, then the gateway with an app.
//! - [`stages`]: what CI runs, timed.
//! - [`bench`]: builds, then hands over to the `benches` binary.
//!
//! Below them: [`run`] for programs and [`server`] for those that stay, [`tools`] and [`npm`] for what must be
//! installed, [`progress`] for the one who waits, and [`error`], in which every failure says what to do.

pub mod apps;
pub mod bench;
pub mod cargo;
pub mod cli;
pub mod demo;
pub mod digest;
pub mod error;
pub mod files;
pub mod npm;
pub mod package;
pub mod progress;
pub mod run;
pub mod server;
pub mod stages;
pub mod tools;
pub mod v8;
pub mod workspace;
