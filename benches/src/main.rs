//! `cargo xtask bench`: Isopod beside other servers of the same apps.
//!
//! - [`scenarios`]: what users ask for, beside rivals, at saturation, at parts of it, and while something goes wrong.
//! - [`isolate`], [`start`], [`overload`], [`soak`], [`memory`]: a part or a property of Isopod by itself.
//! - [`functions`]: native functions beside the same in JavaScript and bare actix-web.
//! - [`instructions`]: what the hot paths cost in instructions. [`profile`]: where the time goes.
//!
//! They are told with:
//!
//! - [`contestants`]: who is measured, how each is installed and started. [`floor`]: bare actix-web.
//! - [`traffic`]: an open-loop load. [`wrk`]: a closed-loop one that costs less. [`process_tree`]: the CPU time and the memory that it
//!   cost. [`slice`]: both, for some seconds.
//! - [`statistics`], [`table`], [`plot`], [`report`]: what came out.
//! - [`page`]: one page as the whole load. [`cluster`]: what it cost a gateway and its renderers.
//! - [`edge`]: what the gateway itself costs.
//! - [`machine`]: cores to pin to, and what a reader of the report must know.

use std::process::ExitCode;

use clap::Parser;
use xtask::progress;

use crate::cli::{Bench, Cli};
use crate::error::BenchFailure;

mod cli;
mod cluster;
mod contestants;
mod edge;
mod error;
mod floor;
mod functions;
mod instructions;
mod isolate;
mod machine;
mod memory;
mod overload;
mod page;
mod plot;
mod process_tree;
mod profile;
mod report;
mod scenarios;
mod selection;
mod slice;
mod soak;
mod start;
mod statistics;
mod table;
mod traffic;
mod wrk;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let workspace = cli.workspace();
    let outcome = match &cli.bench {
        None => scenarios::run(&workspace, &cli.scenarios),
        Some(Bench::Floor { directory }) => floor::run(directory),
        Some(Bench::Piece { name, times }) => instructions::run_piece(name, *times),
        Some(Bench::Instructions(options)) => instructions::run(&workspace, options),
        Some(Bench::Profile(options)) => profile::run(&workspace, options),
        Some(Bench::Edge(options)) => edge::run(&workspace, options),
        Some(Bench::Overload(options)) => overload::run(&workspace, options),
        Some(Bench::Functions(options)) => functions::run(&workspace, options),
        Some(Bench::Isolate(options)) => isolate::run(&workspace, options),
        Some(Bench::Start(options)) => start::run(&workspace, options),
        Some(Bench::Memory(options)) => memory::run(&workspace, options),
        Some(Bench::Soak(options)) => soak::run(&workspace, options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            progress::say(&BenchFailure::report(&failure));
            ExitCode::FAILURE
        }
    }
}
