//! What the cluster's processes and counters say of a slice of load.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use serde::Serialize;
use xtask::server::Server;

use crate::error::BenchFailure;
use crate::process_tree::precise_cpu_time;

/// The gateway's admin port.
#[derive(Debug)]
pub struct Admin {
    address: String,
}

/// What had been used and counted at a time.
#[derive(Debug)]
pub struct Standing {
    at: Instant,
    gateway: Duration,
    children: Duration,
    refusals: BTreeMap<String, f64>,
    job_limit: f64,
}

/// What a slice of load cost.
#[derive(Debug, Clone, Serialize)]
pub struct Cost {
    /// What part of the slice the gateway was on a core.
    pub gateway: f64,
    /// And its renderers, together.
    pub renderers: f64,
    /// What part of the slice nothing of the cluster was on its core: idle, or at work for others.
    pub rest: f64,
    /// Refusals by reason.
    pub refusals: BTreeMap<String, f64>,
    /// How many jobs the isolate might run at the end.
    pub job_limit: f64,
}

impl Admin {
    /// Of a gateway that has started.
    ///
    /// # Errors
    ///
    /// When it names none.
    pub fn of(server: &Server) -> Result<Self, BenchFailure> {
        server.admin().map(|address| Self { address: address.to_owned() }).ok_or_else(|| BenchFailure::Load {
            contestant: "isopod".into(),
            problem: "does not say where its admin port is".into(),
        })
    }

    /// Lets the build that is there now take the place of the one that runs; returns when it has.
    ///
    /// # Errors
    ///
    /// When it does not.
    pub fn reload(&self) -> Result<(), BenchFailure> {
        let failure = |source| BenchFailure::Fetch { contestant: "isopod".into(), source: Box::new(source) };
        ureq::post(format!("{}/reload", self.address)).send_empty().map(drop).map_err(failure)
    }

    /// What has been used and counted until now.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub fn now(&self, gateway: u32) -> Result<Standing, BenchFailure> {
        let failure = |source| BenchFailure::Fetch { contestant: "isopod".into(), source: Box::new(source) };
        let mut response = ureq::get(format!("{}/metrics", self.address)).call().map_err(failure)?;
        let text = response.body_mut().read_to_string().map_err(failure)?;
        let children = children(gateway).into_iter();
        Ok(Standing {
            at: Instant::now(),
            gateway: precise_cpu_time(gateway)?,
            // One that has just ended costs nothing any more.
            children: children.filter_map(|child| precise_cpu_time(child).ok()).sum(),
            refusals: refusals(&text),
            job_limit: text
                .lines()
                .find_map(|line| line.strip_prefix("isopod_job_limit ")?.parse().ok())
                .unwrap_or(0.0),
        })
    }
}

impl Standing {
    /// What was used and counted between two times.
    pub fn since(&self, before: &Self) -> Cost {
        let seconds = self.at.duration_since(before.at).as_secs_f64();
        let part = |now: Duration, before: Duration| now.saturating_sub(before).as_secs_f64() / seconds;
        let (gateway, renderers) = (part(self.gateway, before.gateway), part(self.children, before.children));
        let refusals = self.refusals.iter().map(|(reason, count)| {
            (reason.clone(), count - before.refusals.get(reason).copied().unwrap_or(0.0))
        });
        Cost {
            gateway,
            renderers,
            rest: 1.0 - gateway - renderers,
            refusals: refusals.filter(|(_, count)| *count > 0.0).collect(),
            job_limit: self.job_limit,
        }
    }
}

/// Of the threads of one process; a bench's gateway starts them all from its main thread.
fn children(pid: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

fn refusals(metrics: &str) -> BTreeMap<String, f64> {
    let line = |line: &str| {
        let (reason, value) = line.strip_prefix("isopod_refusals_total{reason=\"")?.split_once("\"} ")?;
        Some((reason.to_owned(), value.parse().ok()?))
    };
    metrics.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_costs_what_was_used_since() {
        let metrics = "# HELP x\nisopod_refusals_total{reason=\"shed\"} 3\nisopod_refusals_total{reason=\"would_wait\"} 40\n";
        let before = Standing {
            at: Instant::now(),
            gateway: Duration::from_secs(1),
            children: Duration::from_secs(2),
            refusals: [("shed".to_owned(), 3.0), ("would_wait".to_owned(), 10.0)].into(),
            job_limit: 4.0,
        };
        let after = Standing {
            at: before.at + Duration::from_secs(4),
            gateway: Duration::from_secs(2),
            children: Duration::from_secs(4),
            refusals: refusals(metrics),
            job_limit: 8.0,
        };
        let cost = after.since(&before);
        assert_eq!((cost.gateway, cost.renderers, cost.rest, cost.job_limit), (0.25, 0.5, 0.25, 8.0));
        assert_eq!(cost.refusals, [("would_wait".to_owned(), 30.0)].into());
    }
}
