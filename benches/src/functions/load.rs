//! One request again and again, and what it costs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use xtask::error::Failure;
use xtask::run;

use crate::error::BenchFailure;
use crate::machine;
use crate::process_tree;

/// Connections that are kept busy.
const CONNECTIONS: usize = 32;
const SCRIPT: &str = include_str!("wrk.lua");
/// The start of the line that the script writes.
const RESULT: &str = "result ";

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    method: &'static str,
    path: String,
    body: Option<String>,
    marker: &'static str,
    fields: Vec<(String, String)>,
}

impl Request {
    /// A request whose every answer holds `marker`.
    pub fn new(method: &'static str, path: String, body: Option<String>, marker: &'static str) -> Self {
        Self { method, path, body, marker, fields: Vec::new() }
    }

    /// With these header fields.
    pub fn fields(mut self, fields: Vec<(String, String)>) -> Self {
        self.fields = fields;
        self
    }

    /// Sends it once: the answer's body.
    ///
    /// # Errors
    ///
    /// When the answer is wrong.
    pub fn fetch(&self, contestant: &str, address: &str) -> Result<String, BenchFailure> {
        let wrong = |problem: String| BenchFailure::Load { contestant: contestant.to_owned(), problem };
        let mut request = http::Request::builder().method(self.method);
        request = request.uri(format!("{}{}", address.trim_end_matches('/'), self.path));
        for (name, value) in &self.fields {
            request = request.header(name, value);
        }
        let request = request.body(self.body.clone().unwrap_or_default());
        let request = request.map_err(|error| wrong(error.to_string()))?;
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut response = agent.run(request).map_err(|error| wrong(error.to_string()))?;
        let body = response.body_mut().read_to_string().map_err(|error| wrong(error.to_string()))?;
        if response.status() != 200 || !body.contains(self.marker) {
            return Err(wrong(format!("{} {}", response.status(), body)));
        }
        Ok(body)
    }
}

/// The load generator, on its core.
#[derive(Debug)]
pub struct Wrk {
    script: PathBuf,
    core: usize,
}

/// What it saw.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Load {
    requests: u64,
    micros: u64,
    p50_micros: u64,
    p99_micros: u64,
    wrong: u64,
}

impl Wrk {
    /// Puts the script where wrk can read it.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn prepare(directory: &Path, core: usize) -> Result<Self, Failure> {
        fs::create_dir_all(directory).map_err(Failure::file("create", directory))?;
        let script = directory.join("functions.lua");
        fs::write(&script, SCRIPT).map_err(Failure::file("write", &script))?;
        Ok(Self { script, core })
    }

    /// Sends the request for so long.
    ///
    /// # Errors
    ///
    /// When wrk fails or any answer is wrong.
    pub fn run(
        &self,
        contestant: &str,
        address: &str,
        request: &Request,
        time: Duration,
    ) -> Result<Load, BenchFailure> {
        let mut wrk = Command::new("wrk");
        wrk.args(["--threads", "1", "--connections", &CONNECTIONS.to_string()]);
        wrk.args(["--duration", &format!("{}s", time.as_secs().max(1))]).arg("--script").arg(&self.script);
        wrk.arg(address).arg("--").args([request.method, &request.path]);
        wrk.args([request.body.as_deref().unwrap_or("-"), request.marker]);
        wrk.args(request.fields.iter().map(|(name, value)| format!("{name}: {value}")));
        let said = run::output(&mut machine::pinned(self.core, &wrk))?;
        let line = said.lines().find_map(|line| line.strip_prefix(RESULT));
        let load: Option<Load> = line.and_then(|line| serde_json::from_str(line).ok());
        let Some(load) = load else { return Err(BenchFailure::NoReport { said }) };
        if load.wrong > 0 || load.requests == 0 {
            let problem = format!("{} wrong answers of {}", load.wrong, load.requests);
            return Err(BenchFailure::Load { contestant: contestant.to_owned(), problem });
        }
        Ok(load)
    }
}

/// The figures of one slice.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Sample {
    /// Answers per second.
    pub requests_per_second: f64,
    /// CPU time of the process tree for each answer.
    pub cpu_micros_per_request: f64,
    /// Median latency.
    pub p50_millis: f64,
    /// 99th percentile of latency.
    pub p99_millis: f64,
}

impl Sample {
    /// Puts a server under load.
    ///
    /// # Errors
    ///
    /// When the load fails or the server ends.
    #[expect(clippy::cast_precision_loss, reason = "counts and microseconds of a slice are far below 2^52")]
    pub fn take(
        server: u32,
        load: impl FnOnce() -> Result<Load, BenchFailure>,
    ) -> Result<Self, BenchFailure> {
        let before = process_tree::cpu_time(server)?;
        let load = load()?;
        let cpu = process_tree::cpu_time(server)?.saturating_sub(before);
        let requests = load.requests as f64;
        Ok(Self {
            requests_per_second: requests / (load.micros as f64 / 1e6),
            cpu_micros_per_request: cpu.as_secs_f64() * 1e6 / requests,
            p50_millis: load.p50_micros as f64 / 1e3,
            p99_millis: load.p99_micros as f64 / 1e3,
        })
    }
}
