//! The command line, as raw text: what a value means is the business of [`crate::config`].

use std::collections::BTreeMap;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, Parser, Subcommand};

use crate::config::keys::Key;
use crate::config::table::{self, SECTIONS};

const EXAMPLES: &str = "\
Examples:
  gateway --app dist
      Serve the app that `vite build` wrote to dist/.
  gateway --app dist --listen 0.0.0.0:8080 --env DATABASE_URL --env 'APP_*'
      Take connections from everywhere; let the app see some variables of the environment.
  gateway --app dist --trusted-proxy 10.0.0.0/8 --config /etc/isopod/gateway.toml
      Behind a proxy, with a configuration file; flags win over ISOPOD_... variables, those over the file.
  gateway check --app dist --config gateway.toml
      Say everything that is wrong with configuration and app, and exit.

Exit codes:
  0  stopped as asked              69  a needed service is not there (an address that cannot be bound)
  64 wrong usage or configuration  70  a fault of the gateway or of its own processes
  65 the app cannot run            130, 143  ended by a second signal while draining";

/// What the gateway was asked to do.
#[derive(Debug, Parser)]
#[command(name = "gateway", version, about = "A production server for TanStack Start apps.", after_help = EXAMPLES)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do, if not to serve.
    #[command(subcommand)]
    pub task: Option<Task>,
    /// The settings.
    #[command(flatten)]
    pub flags: Flags,
}

/// What can be asked beside serving.
#[derive(Debug, Subcommand)]
pub enum Task {
    /// Check the configuration and the app, say all that is wrong, and exit
    #[command(after_help = EXAMPLES)]
    Check(Flags),
}

impl Cli {
    /// The flags, wherever they stand.
    pub fn flags(&self) -> &Flags {
        match &self.task {
            Some(Task::Check(flags)) => flags,
            None => &self.flags,
        }
    }
}

/// The raw values of the flags that were given, one flag for each key of the table.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--config`.
    pub config: Option<String>,
    /// By key.
    pub values: BTreeMap<&'static str, Vec<String>>,
}

fn arg(section: &'static str, key: &'static Key) -> Arg {
    let repeat = if key.kind.is_many() { " Repeatable." } else { "" };
    // Repetition is collected for all, so that a second value is reported beside all other problems.
    Arg::new(key.name)
        .long(key.flag())
        .value_name(key.kind.placeholder())
        .help_heading(section)
        .action(ArgAction::Append)
        .allow_hyphen_values(true)
        .help(format!("{}{repeat} [default: {}]", key.doc, key.fallback))
}

fn augment(command: Command) -> Command {
    let config = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .help("A configuration file; config/gateway.toml shows every key. [env: ISOPOD_CONFIG]");
    let keys = SECTIONS.iter().flat_map(|section| section.keys.iter().map(|key| arg(section.title, key)));
    command.arg(config).args(keys)
}

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        augment(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        augment(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.config = matches.get_one::<String>("config").cloned();
        for key in table::all() {
            if let Some(texts) = matches.get_many::<String>(key.name) {
                self.values.insert(key.name, texts.cloned().collect());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn values_are_taken_as_they_stand() {
        let cli = Cli::try_parse_from([
            "gateway",
            "--app",
            "dist",
            "--renderers",
            "-3",
            "--env",
            "A",
            "--env",
            "B_*",
        ])
        .unwrap();
        let flags = cli.flags();
        assert_eq!(flags.values["renderers"], ["-3"]);
        assert_eq!(flags.values["env"], ["A", "B_*"]);
        assert!(!flags.values.contains_key("listen"));
    }

    #[test]
    fn check_takes_the_same_flags() {
        let cli = Cli::try_parse_from(["gateway", "check", "--app", "dist"]).unwrap();
        assert!(matches!(cli.task, Some(Task::Check(_))));
        assert_eq!(cli.flags().values["app"], ["dist"]);
    }

    #[test]
    fn help_shows_examples_and_every_default() {
        let help = Cli::command().render_long_help().to_string();
        for part in [
            "Examples:",
            "gateway check",
            "[default: 127.0.0.1:3000]",
            "[default: the number of cores, at most 8]",
        ] {
            assert!(help.contains(part), "{part}");
        }
    }
}
