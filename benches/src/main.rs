//! `cargo xtask bench`: Isopod beside other servers of the same apps.
//!
//! A bench is a story ([`pages`], [`isolate`], [`start`], [`soak`]) told with:
//!
//! - [`contestants`]: who is measured, how each is installed and started.
//! - [`page`]: the answers are the same before anything is measured.
//! - [`load`]: an open-loop load, for [`overload`].
//! - [`wrk`]: a closed-loop load. [`process_tree`]: the CPU time that it cost. [`slice`]: both, for some seconds.
//! - [`statistics`], [`table`], [`report`]: what came out.
//! - [`machine`]: cores to pin to, and what a reader of the report must know.

use std::process::ExitCode;

use clap::Parser;
use xtask::progress;

use crate::cli::{Bench, Cli};
use crate::error::BenchFailure;

mod cli;
mod contestants;
mod error;
mod isolate;
mod load;
mod machine;
mod overload;
mod page;
mod pages;
mod process_tree;
mod report;
mod slice;
mod soak;
mod start;
mod statistics;
mod table;
mod wrk;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match &cli.bench {
        Bench::Overload(options) => overload::run(&cli.workspace(), options),
        Bench::Pages(options) => pages::run(&cli.workspace(), options),
        Bench::Isolate(options) => isolate::run(&cli.workspace(), options),
        Bench::Start(options) => start::run(&cli.workspace(), options),
        Bench::Soak(options) => soak::run(&cli.workspace(), options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            progress::say(&BenchFailure::report(&failure));
            ExitCode::FAILURE
        }
    }
}
