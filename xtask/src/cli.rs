//! The command line.

use std::ffi::OsString;

use clap::{Parser, Subcommand};

use crate::stages::Stage;

/// Isopod's own commands.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Find the V8 library and tell cargo where it is.
    ///
    /// Looks, in this order: RUSTY_V8_ARCHIVE; the user's cache, isopod/v8/VERSION in $XDG_CACHE_HOME or
    /// ~/.cache; ../shared/v8 beside the checkout, which is then copied to that cache. Where there is none, the
    /// v8 crate downloads its own. Checksum and version are checked. Writes .cargo/v8.local.toml, so that plain
    /// `cargo build` and editors work afterwards; delete that file to search again.
    V8,
    /// Install and build the test apps whose sources changed.
    Apps,
    /// Set everything up, then serve an app with a release build of the gateway.
    #[command(after_help = "Example: cargo xtask demo --app threads-solid -- --listen 127.0.0.1:8080")]
    Demo {
        /// A test app (threads-react, threads-solid), or a directory that `vite build` wrote or wrote `dist` in.
        #[arg(long, default_value = "threads-react", value_name = "NAME|PATH")]
        app: OsString,
        /// Run the worker of the threads service: the pages below /service call it.
        #[arg(long)]
        service: bool,
        /// Handed to the gateway as they are.
        #[arg(last = true, value_name = "GATEWAY OPTIONS")]
        gateway_args: Vec<OsString>,
    },
    /// Run what CI runs, stage by stage, until one fails; times are printed at the end.
    Test {
        /// Only this stage and those that it needs; may be given more than once. Default: all.
        #[arg(long = "stage", value_name = "NAME")]
        stages: Vec<Stage>,
    },
    /// Build, then measure; all scenarios beside all rivals, or those that are named; `cargo xtask bench --help` lists them.
    #[command(disable_help_flag = true)]
    Bench {
        /// Handed to the benches as they are.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "BENCH")]
        args: Vec<OsString>,
    },
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::{Cli, Command};
    use crate::stages::Stage;

    fn parse(line: &str) -> Command {
        Cli::try_parse_from(line.split_whitespace()).unwrap().command
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_follows_two_dashes_goes_to_the_gateway() {
        let Command::Demo { app, service, gateway_args } =
            parse("xtask demo --app threads-solid --service -- --isolates 2")
        else {
            panic!("demo was asked for");
        };
        assert_eq!(app, "threads-solid");
        assert!(service);
        assert_eq!(gateway_args, ["--isolates", "2"]);
    }

    #[test]
    fn stages_add_up() {
        let Command::Test { stages } = parse("xtask test --stage rust --stage browser") else {
            panic!("test was asked for");
        };
        assert_eq!(stages, [Stage::Rust, Stage::Browser]);
    }

    #[test]
    fn benches_get_their_options_and_their_help() {
        for line in ["xtask bench hello --seconds 3", "xtask bench --help"] {
            let Command::Bench { args } = parse(line) else { panic!("bench was asked for") };
            let given: Vec<_> = line.split_whitespace().skip(2).collect();
            assert_eq!(args, given);
        }
    }
}
