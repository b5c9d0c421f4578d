//! Memory and CPU time of processes, from `/proc`.

use std::fs;
use std::time::Duration;

use nix::unistd::{SysconfVar, sysconf};
use prometheus::IntGaugeVec;

use super::Pool;

/// What a process uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Usage {
    resident_bytes: u64,
    cpu: Duration,
}

/// The kernel's units.
#[derive(Debug, Clone, Copy)]
struct Units {
    page_bytes: u64,
    ticks_per_second: u64,
}

impl Units {
    fn read() -> Option<Self> {
        let of = |variable| u64::try_from(sysconf(variable).ok()??).ok().filter(|value| *value > 0);
        Some(Self { page_bytes: of(SysconfVar::PAGE_SIZE)?, ticks_per_second: of(SysconfVar::CLK_TCK)? })
    }
}

/// Reads `stat` and `statm` as proc(5) describes them.
fn parse(stat: &str, statm: &str, units: Units) -> Option<Usage> {
    let resident_pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    // The second field is the program's name in parentheses, and may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_ascii_whitespace().skip(11).map(str::parse::<u64>);
    let ticks = times.next()?.ok()? + times.next()?.ok()?;
    Some(Usage {
        resident_bytes: resident_pages * units.page_bytes,
        cpu: Duration::from_millis(ticks * 1000 / units.ticks_per_second),
    })
}

fn sample(process: &str, units: Units) -> Option<Usage> {
    let read = |file: &str| fs::read_to_string(format!("/proc/{process}/{file}")).ok();
    parse(&read("stat")?, &read("statm")?, units)
}

impl Pool {
    /// Takes the usage of every child and of the gateway itself into the metrics.
    pub(super) fn sample_processes(&self) {
        let Some(units) = Units::read() else { return };
        let set = |metric: &IntGaugeVec, labels: &[&str], value: u64| {
            metric.with_label_values(labels).set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        let take = |kind: &str, slot: usize, process: &str| {
            // It may have ended a moment ago.
            let Some(usage) = sample(process, units) else { return };
            let slot = slot.to_string();
            set(&self.metrics.process_resident_bytes, &[kind, &slot], usage.resident_bytes);
            self.metrics.process_cpu_seconds.with_label_values(&[kind, &slot]).set(usage.cpu.as_secs_f64());
        };
        take("gateway", 0, "self");
        // Where a place has two processes for a moment, the newer one is shown.
        let roster = self.roster();
        let mut members: Vec<_> = roster
            .members
            .iter()
            .filter(|member| !member.embedded)
            .map(|member| (member.id, member.pid))
            .collect();
        drop(roster);
        members.sort_unstable();
        for (id, pid) in members {
            take(id.kind.label(), id.slot, &pid.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_move_the_fields() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 1 0 100 0 0";
        let units = Units { page_bytes: 4096, ticks_per_second: 100 };
        let usage = parse(stat, "1000 25 10 1 0 20 0", units);
        assert_eq!(usage, Some(Usage { resident_bytes: 25 * 4096, cpu: Duration::from_secs(2) }));
        assert_eq!(parse("42 (short", "1", units), None);
    }

    #[test]
    fn the_own_process_is_found() {
        let usage = sample("self", Units::read().unwrap()).unwrap();
        assert!(usage.resident_bytes > 0);
    }
}
