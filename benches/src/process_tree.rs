//! CPU time of a process with all of its descendants.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use nix::unistd::{SysconfVar, sysconf};

use crate::error::BenchFailure;

/// User and system time that a process and its living descendants used since they started, with that of those
/// children that ended and were waited for.
///
/// The kernel counts in ticks, of 10 ms as a rule: differences over less than some seconds say little.
///
/// # Errors
///
/// When the process is gone or the process table cannot be read.
pub fn cpu_time(root: u32) -> Result<Duration, BenchFailure> {
    let failure = |problem: String| BenchFailure::CpuTime { pid: root, problem };
    let table = read_table().map_err(|error| failure(error.to_string()))?;
    let ticks = ticks_of_tree(root, &table).ok_or_else(|| failure("it has ended".to_owned()))?;
    let per_second = match sysconf(SysconfVar::CLK_TCK) {
        Ok(Some(per_second)) => u64::try_from(per_second).ok().filter(|ticks| *ticks > 0),
        _ => None,
    };
    let per_second = per_second.ok_or_else(|| failure("the system's tick is unknown".to_owned()))?;
    Ok(Duration::from_nanos(ticks * (1_000_000_000 / per_second)))
}

/// Memory of a process and its living descendants, bytes: what is shared between processes counts in parts.
///
/// # Errors
///
/// When the process is gone or the process table cannot be read.
pub fn resident_bytes(root: u32) -> Result<u64, BenchFailure> {
    let pids = pids(root)?;
    let kib = |pid: &u32| {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        line.trim().trim_end_matches(" kB").parse::<u64>().ok()
    };
    Ok(pids.iter().filter_map(kib).sum::<u64>() * 1024)
}

/// A process and its living descendants, itself first.
///
/// # Errors
///
/// When the process is gone or the process table cannot be read.
pub fn pids(root: u32) -> Result<Vec<u32>, BenchFailure> {
    let failure = |problem: String| BenchFailure::CpuTime { pid: root, problem };
    let table = read_table().map_err(|error| failure(error.to_string()))?;
    tree(root, &table).ok_or_else(|| failure("it has ended".to_owned()))
}

/// CPU time of one process, all of its threads that live, to the nanosecond.
///
/// # Errors
///
/// When the process is gone.
pub fn precise_cpu_time(pid: u32) -> Result<Duration, BenchFailure> {
    let failure = |error: std::io::Error| BenchFailure::CpuTime { pid, problem: error.to_string() };
    let mut nanoseconds = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).map_err(failure)? {
        // A thread may end while the list is read. The first field is the time on a CPU: proc_pid_schedstat.
        let Ok(stat) = fs::read_to_string(task.map_err(failure)?.path().join("schedstat")) else { continue };
        nanoseconds += stat.split(' ').next().and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// A line of the process table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Process {
    parent: u32,
    /// Of itself and of those children that it waited for.
    ticks: u64,
}

impl Process {
    /// Takes `/proc/PID/stat`, whose second field is the program's name in parentheses and may hold anything.
    fn parse(stat: &str) -> Option<Self> {
        let (_, fields) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        // See proc_pid_stat(5): the state is field 3; the parent 4; utime, stime, cutime and cstime 14 to 17.
        let ticks = fields.get(11..15)?.iter().map(|field| field.parse::<u64>().ok()).sum::<Option<u64>>()?;
        Some(Self { parent: fields.get(1)?.parse().ok()?, ticks })
    }
}

fn read_table() -> std::io::Result<HashMap<u32, Process>> {
    let mut table = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // A process may end while the table is read.
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        table.extend(Process::parse(&stat).map(|process| (pid, process)));
    }
    Ok(table)
}

/// `None` when the root is not in the table.
fn ticks_of_tree(root: u32, table: &HashMap<u32, Process>) -> Option<u64> {
    Some(tree(root, table)?.iter().map(|pid| table[pid].ticks).sum())
}

/// The root and all below it, by generation; `None` when the root is not in the table.
fn tree(root: u32, table: &HashMap<u32, Process>) -> Option<Vec<u32>> {
    table.get(&root)?;
    let mut found = vec![root];
    let mut generation = vec![root];
    while !generation.is_empty() {
        let mut children: Vec<u32> = table
            .iter()
            .filter(|(pid, process)| generation.contains(&process.parent) && **pid != process.parent)
            .map(|(pid, _)| *pid)
            .collect();
        children.sort_unstable();
        found.extend(&children);
        generation = children;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use super::{Process, cpu_time, ticks_of_tree};

    #[test]
    fn a_programs_name_may_hold_spaces_and_parentheses() {
        let stat = "42 (a) b (c) S 7 42 42 0 -1 4194560 1 2 3 4 100 20 3 1 20 0 1 0 9 9 9";
        assert_eq!(Process::parse(stat), Some(Process { parent: 7, ticks: 124 }));
        assert_eq!(Process::parse("42 (x) S 7"), None);
    }

    #[test]
    fn a_tree_is_the_process_with_its_children_and_theirs() {
        let table: HashMap<u32, Process> =
            [(1, 0, 1), (10, 1, 100), (11, 10, 20), (12, 11, 3), (20, 1, 5000)]
                .map(|(pid, parent, ticks)| (pid, Process { parent, ticks }))
                .into();
        assert_eq!(ticks_of_tree(10, &table), Some(123));
        assert_eq!(ticks_of_tree(12, &table), Some(3));
        assert_eq!(ticks_of_tree(99, &table), None);
    }

    #[test]
    fn memory_of_this_process_is_found() {
        let bytes = super::resident_bytes(std::process::id()).unwrap();
        assert!((1 << 20..1 << 34).contains(&bytes), "{bytes}");
        assert_eq!(super::pids(std::process::id()).unwrap()[0], std::process::id());
    }

    #[test]
    fn this_process_has_used_less_than_a_day() {
        assert!(cpu_time(std::process::id()).unwrap() < Duration::from_hours(24));
        assert!(cpu_time(u32::MAX).is_err());
    }
}
