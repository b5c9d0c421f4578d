//! How many instructions the hot paths take, counted by valgrind: the same on a busy machine and on an idle one.
//!
//! This binary runs a piece so and so many times under callgrind, twice: the difference leaves out what starting costs.
//! The baseline is a file of the checkout, by compiler, target, vector instructions and C library: figures of others say
//! nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use hot_paths::{CASES, case};
use xtask::error::Failure;
use xtask::files;
use xtask::progress::{self, Task};
use xtask::run;
use xtask::tools;
use xtask::workspace::Workspace;

use crate::cli::InstructionsOptions;
use crate::error::BenchFailure;
use crate::machine;

/// How much more than the baseline is refused.
const MOST_RISE: f64 = 0.05;

/// How often a piece runs: the figure is the difference, over the difference.
const FEW: u32 = 100;
const MANY: u32 = 600;

/// What [`toolchain`] says, then piece, then instructions.
type Baselines = BTreeMap<String, BTreeMap<String, u64>>;

/// Counts, shows, and compares with the baseline or becomes it.
///
/// # Errors
///
/// When a piece takes too many, or valgrind fails.
pub fn run(workspace: &Workspace, options: &InstructionsOptions) -> Result<(), BenchFailure> {
    tools::require_valgrind()?;
    let path = baseline_path(workspace);
    let mut baselines = read(&path)?;
    let toolchain = toolchain();
    let mut counted = BTreeMap::new();
    let task = Task::start("instructions of the hot paths");
    for case in CASES {
        task.detail(case.name);
        counted.insert(case.name.to_owned(), count(workspace, case.name)?);
    }
    task.done();
    let baseline = baselines.get(&toolchain);
    progress::say(&render(&counted, baseline));
    if options.accept {
        baselines.insert(toolchain, counted);
        let text = serde_json::to_string_pretty(&baselines).map_err(Failure::unreadable("the baseline"))?;
        files::write(&path, &format!("{text}\n"))?;
        progress::say(&format!("the new baseline: {}", path.display()));
        return Ok(());
    }
    match baseline {
        None => {
            progress::say(&format!(
                "skipped: {} has no baseline for {toolchain}; `cargo xtask bench instructions --accept` adds one",
                path.display()
            ));
            Ok(())
        }
        Some(baseline) => compare(&counted, baseline),
    }
}

/// Runs a piece, for valgrind.
///
/// # Errors
///
/// When there is none of this name.
pub fn run_piece(name: &str, times: u32) -> Result<(), BenchFailure> {
    let Some(case) = case(name) else {
        let known: Vec<&str> = CASES.iter().map(|case| case.name).collect();
        return Err(BenchFailure::Instructions {
            problem: format!("there is no piece {name}"),
            remedy: format!("name one of {}", known.join(", ")),
        });
    };
    let mut run = (case.prepare)();
    (0..times).for_each(|_| run());
    Ok(())
}

fn baseline_path(workspace: &Workspace) -> PathBuf {
    workspace.root.join("benches/instructions.json")
}

fn read(path: &Path) -> Result<Baselines, Failure> {
    let text = files::read_if_there(path)?.unwrap_or_else(|| "{}".to_owned());
    serde_json::from_str(&text).map_err(Failure::unreadable(path.display().to_string()))
}

/// `rustc 1.95.0 (...), x86_64-linux avx2, glibc 2.39`: what decides which instructions run. The C library and memchr
/// choose by what valgrind shows of the processor, which is the same wherever there is AVX2.
fn toolchain() -> String {
    let (arch, system) = (std::env::consts::ARCH, std::env::consts::OS);
    #[cfg(target_arch = "x86_64")]
    let vectors = if std::arch::is_x86_feature_detected!("avx2") { " avx2" } else { "" };
    #[cfg(not(target_arch = "x86_64"))]
    let vectors = "";
    format!("{}, {arch}-{system}{vectors}, {}", machine::rustc(), c_library())
}

/// `glibc 2.39`; empty where it does not say.
fn c_library() -> String {
    let said = run::output(Command::new("ldd").arg("--version")).unwrap_or_default();
    let version = said.lines().next().and_then(|line| line.rsplit(' ').next()).unwrap_or_default();
    format!("glibc {version}")
}

fn count(workspace: &Workspace, name: &str) -> Result<u64, BenchFailure> {
    let (few, many) = (under_callgrind(workspace, name, FEW)?, under_callgrind(workspace, name, MANY)?);
    Ok(many.saturating_sub(few) / u64::from(MANY - FEW))
}

fn under_callgrind(workspace: &Workspace, name: &str, times: u32) -> Result<u64, BenchFailure> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    valgrind.arg(workspace.release_binary("benches")).args(["piece", name, &times.to_string()]);
    // Its length moves the stack.
    valgrind.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let output = valgrind.output().map_err(Failure::spawn(&valgrind))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said.lines().find_map(collected);
    collected.filter(|_| output.status.success()).ok_or_else(|| BenchFailure::Instructions {
        problem: format!("valgrind did not count {name}: {}", said.trim()),
        remedy: "see that this valgrind knows the processor's instructions".to_owned(),
    })
}

/// `==123== Collected : 456`
fn collected(line: &str) -> Option<u64> {
    line.split_once("Collected : ")?.1.trim().parse().ok()
}

fn rise(counted: u64, baseline: u64) -> f64 {
    counted as f64 / baseline.max(1) as f64 - 1.0
}

fn render(counted: &BTreeMap<String, u64>, baseline: Option<&BTreeMap<String, u64>>) -> String {
    let mut lines = vec![format!("{:<28}{:>14}{:>14}{:>10}", "instructions", "now", "baseline", "change")];
    for (name, now) in counted {
        let line = match baseline.and_then(|baseline| baseline.get(name)) {
            Some(before) => {
                format!("{name:<28}{now:>14}{before:>14}{:>9.1}%", rise(*now, *before) * 100.0)
            }
            None => format!("{name:<28}{now:>14}{:>14}{:>10}", "-", "-"),
        };
        lines.push(line);
    }
    lines.join("\n")
}

fn compare(counted: &BTreeMap<String, u64>, baseline: &BTreeMap<String, u64>) -> Result<(), BenchFailure> {
    let risen: Vec<String> = counted
        .iter()
        .filter_map(|(name, now)| {
            let before = baseline.get(name)?;
            let rise = rise(*now, *before);
            (rise > MOST_RISE).then(|| format!("{name} by {:.1} %", rise * 100.0))
        })
        .collect();
    if risen.is_empty() {
        return Ok(());
    }
    Err(BenchFailure::Instructions {
        problem: format!("more instructions than the baseline allows: {}", risen.join(", ")),
        remedy: "make it cheaper, or accept it: cargo xtask bench instructions --accept, and commit benches/instructions.json"
            .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(figures: [(&str, u64); 2]) -> BTreeMap<String, u64> {
        figures.map(|(name, count)| (name.to_owned(), count)).into()
    }

    #[test]
    fn a_rise_of_more_than_five_percent_fails_and_says_how_to_accept_it() {
        let baseline = counts([("a", 1000), ("b", 1000)]);
        compare(&counts([("a", 1049), ("b", 10)]), &baseline).unwrap();
        let failure = compare(&counts([("a", 1051), ("new", 9)]), &baseline).unwrap_err();
        assert!(failure.report().contains("a by 5.1 %"), "{}", failure.report());
        assert!(failure.report().contains("bench instructions --accept"));
    }

    #[test]
    fn the_count_is_found_in_what_callgrind_says() {
        assert_eq!(collected("==42== Collected : 1234567"), Some(1_234_567));
        assert_eq!(collected("==42== Events    : Ir"), None);
    }

    #[test]
    fn an_unknown_piece_is_told_which_there_are() {
        run_piece("wire/job", 2).unwrap();
        assert!(run_piece("no/such", 1).unwrap_err().report().contains("wire/job"));
    }
}
