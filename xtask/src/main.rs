//! `cargo xtask`: see the library for the map.

use std::process::ExitCode;

use clap::Parser;
use xtask::cli::{Cli, Command};
use xtask::error::Failure;
use xtask::workspace::Workspace;
use xtask::{apps, bench, demo, progress, stages, v8};

fn main() -> ExitCode {
    match perform(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            progress::say(&failure.report());
            ExitCode::FAILURE
        }
    }
}

fn perform(command: Command) -> Result<(), Failure> {
    let workspace = Workspace::find()?;
    match command {
        Command::V8 => v8::set_up(&workspace),
        Command::Apps => apps::build_all(&workspace),
        Command::Demo { app, service, gateway_args } => demo::run(&workspace, &app, service, &gateway_args),
        Command::Test { stages } => stages::run(&workspace, &stages),
        Command::Bench { args } => bench::run(&workspace, &args),
    }
}
