//! A closed-loop load of one file, and what it cost the server.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use xtask::run;
use xtask::server::Server;
use xtask::workspace::Workspace;

use crate::error::BenchFailure;
use crate::machine;
use crate::process_tree::precise_cpu_time;

/// What wrk reports at its end. It counts statuses itself; the content is compared before.
const SCRIPT: &str = "function done(summary)\n  local errors = summary.errors\n  io.write(string.format('\\nresult \
    {\"requests\":%d,\"micros\":%d,\"errors\":%d}\\n', summary.requests, summary.duration, errors.status + errors.connect + \
    errors.read + errors.write + errors.timeout))\nend\n";

/// A load of one file.
#[derive(Debug)]
pub(super) struct Files {
    script: PathBuf,
    core: usize,
    name: &'static str,
    content: Vec<u8>,
}

/// Some seconds of it.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Slice {
    pub requests_per_second: f64,
    /// CPU time of the server's process for each answer.
    pub cpu_micros: f64,
    /// CPU time per second: below 0.95 or so it is not the server that was the limit.
    pub cores_used: f64,
}

#[derive(Debug, Deserialize)]
struct Said {
    requests: u64,
    micros: u64,
    errors: u64,
}

impl Files {
    pub fn prepare(
        workspace: &Workspace,
        core: usize,
        name: &'static str,
        content: Vec<u8>,
    ) -> Result<Self, BenchFailure> {
        let script = workspace.root.join(".cache/bench/files.lua");
        xtask::files::write(&script, SCRIPT)?;
        Ok(Self { script, core, name, content })
    }

    /// Refuses a server whose file is another.
    pub fn check(&self, server: &Server) -> Result<(), BenchFailure> {
        let failure = |source| BenchFailure::Fetch {
            contestant: server.address().to_owned(),
            source: Box::new(source),
        };
        let mut response =
            ureq::get(format!("{}/{}", server.address(), self.name)).call().map_err(failure)?;
        let body = response.body_mut().with_config().limit(1 << 24).read_to_vec().map_err(failure)?;
        if body == self.content {
            return Ok(());
        }
        let problem = format!("{} with {} bytes that are not the file", self.name, body.len());
        Err(BenchFailure::Page { contestant: server.address().to_owned(), problem })
    }

    pub fn run(&self, server: &Server, time: Duration) -> Result<Slice, BenchFailure> {
        let mut wrk = Command::new("wrk");
        wrk.args(["--threads", "1", "--connections", "32", "--duration", &format!("{}s", time.as_secs())]);
        wrk.arg("--script").arg(&self.script).arg(format!("{}/{}", server.address(), self.name));
        let before = precise_cpu_time(server.pid())?;
        let said = run::output(&mut machine::pinned(self.core, &wrk))?;
        let cpu = precise_cpu_time(server.pid())?.saturating_sub(before).as_secs_f64();
        let line = said.lines().find_map(|line| line.strip_prefix("result "));
        let result: Said = line
            .and_then(|line| serde_json::from_str(line).ok())
            .ok_or_else(|| BenchFailure::NoReport { said: said.clone() })?;
        if result.errors > 0 || result.requests == 0 {
            let problem = format!("{} errors in {} answers", result.errors, result.requests);
            return Err(BenchFailure::Load { contestant: server.address().to_owned(), problem });
        }
        let (requests, seconds) = (result.requests as f64, result.micros as f64 / 1e6);
        Ok(Slice {
            requests_per_second: requests / seconds,
            cpu_micros: cpu * 1e6 / requests,
            cores_used: cpu / seconds,
        })
    }
}
