//! The machine: cores to pin to, and what a reader of a report must know of it.

use std::fs;
use std::path::Path;
use std::process::Command;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use serde::Serialize;
use xtask::run;
use xtask::workspace::Workspace;

use crate::error::BenchFailure;

/// Which core does what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Cores {
    /// Whole server process trees.
    pub server: usize,
    /// The load generator.
    pub load: usize,
}

impl Cores {
    /// The first two that this process may use.
    ///
    /// # Errors
    ///
    /// When there is only one.
    pub fn allowed() -> Result<Self, BenchFailure> {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let list =
            status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or_default();
        match cores_in(list)[..] {
            [server, load, ..] => Ok(Self { server, load }),
            ref fewer => Err(BenchFailure::TooFewCores { cores: fewer.len() }),
        }
    }
}

/// The same command, its process tree on one core.
pub fn pinned(core: usize, command: &Command) -> Command {
    pinned_to(&core.to_string(), command)
}

/// The same command, its process tree on a list of cores as taskset takes it.
pub fn pinned_to(cores: &str, command: &Command) -> Command {
    let mut pinned = Command::new("taskset");
    pinned.arg("--cpu-list").arg(cores).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => pinned.env(name, value),
            None => pinned.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        pinned.current_dir(directory);
    }
    pinned
}

/// Keeps the calling thread, and what it starts, on one core.
///
/// # Errors
///
/// When the core is not this process's to use.
pub fn pin_this_thread(core: usize) -> Result<(), BenchFailure> {
    let failure = |error: nix::Error| BenchFailure::Load {
        contestant: "the load".into(),
        problem: format!("cannot be pinned to core {core}: {error}"),
    };
    let mut set = CpuSet::new();
    set.set(core).map_err(failure)?;
    sched_setaffinity(Pid::from_raw(0), &set).map_err(failure)
}

/// What a reader must know to compare figures.
#[derive(Debug, Serialize)]
pub struct Machine {
    cpu: String,
    cores: Cores,
    kernel: String,
    memory_mib: u64,
    rustc: String,
    commit: String,
}

impl Machine {
    /// This one, and the checkout's commit. What cannot be found out is empty: it is for the reader alone.
    pub fn describe(workspace: &Workspace, cores: Cores) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpu = read("/proc/cpuinfo");
        let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Self {
            cpu: cpu.map(|(_, name)| name.to_owned()).unwrap_or_default(),
            cores,
            memory_mib: memory_mib(&read("/proc/meminfo")),
            rustc: rustc(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            commit: commit(&workspace.root),
        }
    }
}

impl Machine {
    /// One of which nothing is known, for tests.
    #[cfg(test)]
    pub fn unknown(cores: Cores) -> Self {
        let nothing = String::new;
        Self { cpu: nothing(), cores, kernel: nothing(), memory_mib: 0, rustc: nothing(), commit: nothing() }
    }

    /// What there is to say of it, by name.
    pub fn facts(&self) -> [(&'static str, String); 6] {
        [
            ("processor", self.cpu.clone()),
            ("cores", format!("servers on {}, load on {}", self.cores.server, self.cores.load)),
            ("memory", format!("{} MiB", self.memory_mib)),
            ("kernel", self.kernel.clone()),
            ("compiler", self.rustc.clone()),
            ("commit", self.commit.clone()),
        ]
    }
}

/// What the compiler says of its version; empty when there is none.
pub fn rustc() -> String {
    run::output(Command::new("rustc").arg("--version")).map(|text| text.trim().to_owned()).unwrap_or_default()
}

fn memory_mib(meminfo: &str) -> u64 {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = total.and_then(|text| text.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

fn commit(root: &Path) -> String {
    let mut git = Command::new("git");
    git.args(["describe", "--always", "--dirty", "--abbrev=12"]).current_dir(root);
    run::output(&mut git).map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// `0-2,5` -> 0, 1, 2, 5
fn cores_in(list: &str) -> Vec<usize> {
    let numbers = |range: &str| -> Option<std::ops::RangeInclusive<usize>> {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    list.trim().split(',').filter_map(numbers).flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use xtask::run;

    use super::{cores_in, pinned};

    #[test]
    fn ranges_and_single_cores_are_read() {
        assert_eq!(cores_in("\t0-2,5\n"), [0, 1, 2, 5]);
        assert_eq!(cores_in("7"), [7]);
        assert!(cores_in("").is_empty());
    }

    #[test]
    fn the_memory_is_read() {
        assert_eq!(super::memory_mib("MemTotal:       24576 kB\nMemFree: 1 kB\n"), 24);
    }

    #[test]
    fn a_pinned_command_keeps_its_arguments_and_environment() {
        let mut command = Command::new("node");
        command.args(["serve.mjs", "0"]).env("NODE_ENV", "production").current_dir("/tmp");
        let pinned = pinned(3, &command);
        assert_eq!(run::describe(&pinned), "taskset --cpu-list 3 node serve.mjs 0");
        assert!(pinned.get_envs().any(|(name, _)| name == "NODE_ENV"));
        assert_eq!(pinned.get_current_dir(), command.get_current_dir());
    }
}
