//! The command line.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use xtask::workspace::Workspace;

use crate::contestants::Rival;
use crate::isolate::PAGES;
use crate::start::{BUILDS, Cache};

/// Measures Isopod beside other servers of the same apps.
///
/// Without a bench's name, scenarios: every server on the same core, slices of load in turn, the load from another core.
/// Answers are compared before anything is measured and checked while it is. Shown: throughput and CPU-microseconds per
/// request over the server's whole process tree at saturation (closed loop, wrk), median, least and spread; latencies at
/// parts of the best rival's saturation, and what overload and faults leave (open loop). Reports (JSON, CSV, HTML) go
/// below .cache/bench.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench", subcommand_value_name = "BENCH",
    after_help = AFTER_HELP)]
pub struct Cli {
    /// The checkout.
    #[arg(long, hide = true, default_value = ".")]
    root: PathBuf,
    /// Cargo's output directory, with a release build.
    #[arg(long, hide = true, default_value = "target")]
    target: PathBuf,
    /// The scenarios, when no other bench is named.
    #[command(flatten)]
    pub scenarios: ScenarioOptions,
    /// What else to measure.
    #[command(subcommand)]
    pub bench: Option<Bench>,
}

impl Cli {
    /// Where things are.
    pub fn workspace(&self) -> Workspace {
        Workspace { root: self.root.clone(), target: self.target.clone() }
    }
}

const AFTER_HELP: &str = "Scenarios: hello, links-100, deferred, mixed, nested, large, slow, function-get, function-post, \
function-native, static-small, static-large, cached, visitors, http2, spike, poisoned, deploy, kill.\n\
Example: cargo xtask bench hello mixed --against node26,bun --seconds 5 --repeat 5";

/// Options of scenarios.
#[derive(Debug, Args)]
pub struct ScenarioOptions {
    /// The scenarios; all when none is named.
    #[arg(value_name = "SCENARIO")]
    pub scenarios: Vec<String>,
    /// Length of a slice, seconds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Length of the load on each server before a scenario is measured, seconds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    warm_up: u64,
    /// Slices for each server.
    #[arg(long, default_value = "5")]
    pub repeat: NonZeroUsize,
    /// Who is measured beside Isopod; all rivals when none is named.
    #[arg(long, value_enum, value_delimiter = ',')]
    against: Vec<Rival>,
    /// The apps.
    #[arg(long, value_delimiter = ',', default_value = "threads-react,threads-solid", value_name = "NAME")]
    pub apps: Vec<String>,
    /// Write the report to docs/bench and its tables to docs/performance.md too.
    #[arg(long)]
    pub publish: bool,
}

impl ScenarioOptions {
    /// Length of a slice.
    pub fn slice(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// Length of the load before a scenario.
    pub fn warm_up(&self) -> Duration {
        Duration::from_secs(self.warm_up)
    }

    /// Who is measured beside Isopod.
    pub fn rivals(&self) -> Vec<Rival> {
        if self.against.is_empty() { Rival::value_variants().to_vec() } else { self.against.clone() }
    }
}

/// What else to measure.
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Serves files with nothing but actix-web: what the gateway is compared with.
    #[command(hide = true)]
    Floor {
        /// The files.
        directory: PathBuf,
    },
    /// Runs a piece of what a request runs through, for valgrind.
    #[command(hide = true)]
    Piece {
        /// Its name.
        name: String,
        /// How often.
        times: u32,
    },
    /// Instructions of what a request runs through, counted by valgrind, beside the stored baseline.
    ///
    /// Fails when one takes 5 % more than the baseline of the same compiler and target says; skipped where there is no
    /// such baseline. The same on a busy machine.
    Instructions(InstructionsOptions),
    /// Flame graphs of gateway and renderer under load, and V8's own profile of the JavaScript.
    Profile(ProfileOptions),
    /// A server function in Rust, called by its id: beside the same in JavaScript on Node 26, and a handler of actix-web.
    ///
    /// Every server on the same core. Shown: answers per second of CPU time over the server's whole process tree, by GET
    /// and POST, and what a call from an isolate to a worker and back costs.
    Functions(FunctionsOptions),
    /// Renders without HTTP: an isolate beside Node 26 in process, both apps, page by page.
    ///
    /// Slices of renders alternate between several processes of each side. Shown: CPU-microseconds per render of the whole
    /// process, its collector's threads included; median and least over the repeats of all processes of a side.
    Isolate(IsolateOptions),
    /// What is left of the throughput at 2, 5 and 10 times of what the cluster can do: open loop, the cluster on one core.
    ///
    /// Shown: pages per second as a part of saturation, which is measured before and after each overload; the 99th
    /// percentiles of admitted and of refused requests from the time at which each was due; the aims; and where the core's
    /// time went. A run in which the generator cannot hold its rate, or a page is another, is refused.
    Overload(OverloadOptions),
    /// What the gateway itself costs: files beside a bare actix-web handler on the same core, and pages.
    ///
    /// Shown: throughput of a small and of a large file as a part of the handler's, in slices that alternate, and the
    /// gateway's CPU-microseconds for each page beside the renderer's.
    Edge(EdgeOptions),
    /// From a renderer's start until it has rendered a page: without a code cache, with an empty and with a full one.
    ///
    /// Shown for both builds of each app: milliseconds from the process's start, and from the order to load the app
    /// in a process that waited for it; median and least over the repeats.
    Start(StartOptions),
    /// The heap after more and more renders, all garbage collected, and resident memory beside Node 26's.
    ///
    /// Shown for each app: MiB after each number of renders. A heap that is not flat within 5 % is an error.
    Memory(MemoryOptions),
    /// A long run at a part of what one core can do: resident memory, heap and latency over time.
    ///
    /// Shown: how much the renderer's resident memory and heap grow in ten minutes, over the last two thirds of the
    /// run. The plots go to docs/soak.svg.
    Soak(SoakOptions),
}

/// Options of `soak`.
#[derive(Debug, Args)]
pub struct SoakOptions {
    /// Length of the run, minutes.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub minutes: u64,
    /// The load, as a part of what the core can do.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub percent: u8,
    /// The load in requests per second instead.
    #[arg(long)]
    pub rate: Option<f64>,
    /// The app.
    #[arg(long, default_value = "threads-react", value_name = "NAME")]
    pub app: String,
}

impl SoakOptions {
    /// Length of the run.
    pub fn time(&self) -> Duration {
        Duration::from_secs(self.minutes * 60)
    }
}

/// Options of `functions`.
#[derive(Debug, Args)]
pub struct FunctionsOptions {
    /// Length of a slice, seconds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Slices for each server and kind of call.
    #[arg(long, default_value = "5")]
    pub repeat: NonZeroUsize,
}

impl FunctionsOptions {
    /// Length of a slice.
    pub fn slice(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

/// Options of `memory`.
#[derive(Debug, Args)]
pub struct MemoryOptions {
    /// Renders after which is measured, ascending.
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000", value_name = "COUNT")]
    pub renders: Vec<u64>,
    /// The apps.
    #[arg(long, value_delimiter = ',', default_value = "threads-react,threads-solid", value_name = "NAME")]
    pub apps: Vec<String>,
}

/// Options of `start`.
#[derive(Debug, Args)]
pub struct StartOptions {
    /// Starts of each kind.
    #[arg(long, default_value = "9")]
    pub repeat: NonZeroUsize,
    /// The apps.
    #[arg(long, value_delimiter = ',', default_value = "threads-react,threads-solid", value_name = "NAME")]
    pub apps: Vec<String>,
    /// What starts find in the code cache.
    #[arg(long, value_delimiter = ',', default_value = "off,empty,full", value_name = "STATE")]
    pub caches: Vec<Cache>,
    /// Flags of V8, in one word each.
    #[arg(long, value_delimiter = ' ', allow_hyphen_values = true, value_name = "FLAGS")]
    pub v8_flags: Vec<String>,
    /// The builds of each app.
    #[arg(long, value_delimiter = ',', default_value = "self-contained,plain", value_name = "NAME",
        value_parser = PossibleValuesParser::new(BUILDS.map(|(name, _)| name)))]
    pub builds: Vec<String>,
}

/// Options of `overload`.
#[derive(Debug, Args)]
pub struct OverloadOptions {
    /// Length of a measurement, seconds.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Length of the load before it, seconds.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=600))]
    warm_up: u64,
    /// Measurements of each kind.
    #[arg(long, default_value = "3")]
    pub rounds: NonZeroUsize,
    /// Connections at a time.
    #[arg(long, default_value = "1000")]
    pub connections: NonZeroUsize,
    /// The app.
    #[arg(long, default_value = "threads-react", value_name = "NAME")]
    pub app: String,
    /// The page; one that takes about 1 ms.
    #[arg(long, default_value = "/links-100")]
    pub path: String,
    /// Options for the gateway.
    #[arg(last = true)]
    pub gateway: Vec<OsString>,
}

impl OverloadOptions {
    /// Length of a measurement.
    pub fn slice(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// Length of the load before it.
    pub fn warm_up(&self) -> Duration {
        Duration::from_secs(self.warm_up)
    }
}

/// Options of `edge`.
#[derive(Debug, Args)]
pub struct EdgeOptions {
    /// Length of a slice, seconds.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Slices of each kind.
    #[arg(long, default_value = "5")]
    pub repeat: NonZeroUsize,
    /// The app whose pages are asked for.
    #[arg(long, default_value = "threads-react", value_name = "NAME")]
    pub app: String,
    /// Its pages.
    #[arg(long, value_delimiter = ',', default_value = "/,/links-100", value_name = "PATH")]
    pub pages: Vec<String>,
}

impl EdgeOptions {
    /// Length of a slice.
    pub fn slice(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

/// Options of `isolate`.
#[derive(Debug, Args)]
pub struct IsolateOptions {
    /// Renders in a slice.
    #[arg(long, default_value = "1000")]
    pub renders: NonZeroUsize,
    /// Slices for each process and page.
    #[arg(long, default_value = "5")]
    pub repeat: NonZeroUsize,
    /// Processes of each side: V8 optimises other functions in each, so that equal ones differ by 10 % and more.
    #[arg(long, default_value = "3")]
    pub processes: NonZeroUsize,
    /// The apps.
    #[arg(long, value_delimiter = ',', default_value = "threads-react,threads-solid", value_name = "NAME")]
    pub apps: Vec<String>,
    /// The pages.
    #[arg(long, value_delimiter = ',', default_value = "/,/links-100,/deferred", value_name = "PATH",
          value_parser = PossibleValuesParser::new(PAGES.map(|page| page.path)))]
    pub pages: Vec<String>,
    /// Flags of V8: an isolate with them is measured too. Several of these are several isolates.
    #[arg(long, value_name = "FLAGS", allow_hyphen_values = true)]
    pub v8_flags: Vec<String>,
    /// Another build of renderer-pool to measure too.
    #[arg(long, value_name = "PROGRAM")]
    pub beside: Vec<PathBuf>,
    /// Another build of the app, which takes the place of its `dist`.
    #[arg(long, value_name = "DIR")]
    pub dist: Option<PathBuf>,
}

/// Options of `instructions`.
#[derive(Debug, Args)]
pub struct InstructionsOptions {
    /// Take the figures as the new baseline.
    #[arg(long)]
    pub accept: bool,
}

/// Options of `profile`.
#[derive(Debug, Args)]
pub struct ProfileOptions {
    /// How long samples are taken, seconds.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=300))]
    pub seconds: u64,
    /// The app.
    #[arg(long, default_value = "threads-react", value_name = "NAME")]
    pub app: String,
    /// The scenario whose requests are asked for.
    #[arg(long, default_value = "hello", value_name = "SCENARIO")]
    pub scenario: String,
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser, ValueEnum};

    use super::{Bench, Cli};
    use crate::contestants::Rival;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn scenarios_of_both_apps_are_measured_against_all_unless_told_otherwise() {
        let cli =
            Cli::try_parse_from(["bench", "--root", "/checkout", "hello", "mixed", "--repeat", "3"]).unwrap();
        assert!(cli.bench.is_none());
        let options = cli.scenarios;
        assert_eq!(options.scenarios, ["hello", "mixed"]);
        assert_eq!(options.repeat.get(), 3);
        assert_eq!(options.slice().as_secs(), 5);
        assert_eq!(options.rivals(), Rival::value_variants());
        assert_eq!(options.apps, ["threads-react", "threads-solid"]);
        let few = Cli::try_parse_from(["bench", "--against", "node26,bun"]).unwrap();
        assert_eq!(few.scenarios.rivals(), [Rival::Node26, Rival::Bun]);
    }

    #[test]
    fn other_benches_have_options_of_their_own() {
        let cli = Cli::try_parse_from(["bench", "--root", "/checkout", "isolate", "--repeat", "3"]).unwrap();
        assert!(matches!(cli.bench, Some(Bench::Isolate(options)) if options.repeat.get() == 3));
        assert!(cli.scenarios.scenarios.is_empty());
    }

    #[test]
    fn all_scenarios_are_named_in_the_help() {
        for scenario in crate::scenarios::catalog::SCENARIOS {
            assert!(super::AFTER_HELP.contains(scenario.name), "{}", scenario.name);
        }
    }

    #[test]
    fn no_time_and_no_repeats_are_refused() {
        for wrong in [["--seconds", "0"], ["--repeat", "0"], ["--against", "abacus"]] {
            assert!(Cli::try_parse_from(["bench"].iter().chain(&wrong)).is_err(), "{wrong:?}");
        }
    }
}
