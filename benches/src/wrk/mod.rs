//! The load: wrk, one thread, closed loop.
//!
//! wrk is small, steady and far from its limit here: one of its threads offers ten times what one core renders. A
//! script checks every answer, as wrk itself counts redirects as good and reads no bodies.
//!
//! - [`script`]: a mix of requests as such a script.

pub mod script;

use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;
use xtask::error::Failure;
use xtask::run;

use crate::error::BenchFailure;
use crate::machine;

/// Connections that are kept busy.
pub const CONNECTIONS: usize = 32;
const SCRIPT: &str = include_str!("wrk.lua");
/// The start of the line that the script writes.
const RESULT: &str = "result ";

/// The load generator, on its core.
#[derive(Debug)]
pub struct Wrk {
    script: PathBuf,
    core: usize,
}

/// What it saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Load {
    /// Answers, also wrong ones.
    pub requests: u64,
    /// Bytes of answers, heads included; 0 where the script does not say.
    #[serde(default)]
    pub bytes: u64,
    /// How long it ran, microseconds.
    pub micros: u64,
    /// Median latency, microseconds.
    pub p50_micros: u64,
    /// 99th percentile of latency, microseconds.
    pub p99_micros: u64,
    wrong_status: u64,
    wrong_body: u64,
    connect_errors: u64,
    io_errors: u64,
    timeouts: u64,
}

impl Wrk {
    /// Puts the script where wrk can read it.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn prepare(directory: &Path, core: usize) -> Result<Self, Failure> {
        fs::create_dir_all(directory).map_err(Failure::file("create", directory))?;
        let script = directory.join("wrk.lua");
        fs::write(&script, SCRIPT).map_err(Failure::file("write", &script))?;
        Ok(Self { script, core })
    }

    /// The whole command, as a report shows it.
    pub fn command(
        &self,
        address: &str,
        time: Duration,
        lengths: &RangeInclusive<usize>,
        markers: &[&str],
    ) -> Command {
        let mut wrk = Command::new("wrk");
        wrk.args(["--threads", "1", "--connections", &CONNECTIONS.to_string()]);
        wrk.args(["--duration", &format!("{}s", time.as_secs())]).arg("--script").arg(&self.script);
        wrk.arg(format!("{address}/")).arg("--");
        wrk.args([lengths.start().to_string(), lengths.end().to_string()]).args(markers);
        machine::pinned(self.core, &wrk)
    }

    /// The whole command that runs a mix, as a report shows it.
    pub fn mix(&self, script: &Path, address: &str, time: Duration, connections: usize) -> Command {
        let mut wrk = Command::new("wrk");
        wrk.args(["--threads", "1", "--connections", &connections.to_string(), "--timeout", "10s"]);
        wrk.args(["--duration", &format!("{}s", time.as_secs().max(1))]).arg("--script").arg(script);
        wrk.arg(address);
        machine::pinned(self.core, &wrk)
    }

    /// Runs a command of [`Wrk::command`] or [`Wrk::mix`].
    ///
    /// # Errors
    ///
    /// When wrk fails or any answer was not the page.
    pub fn run(&self, contestant: &str, command: &mut Command) -> Result<Load, BenchFailure> {
        let said = run::output(command)?;
        let load = Load::parse(&said).ok_or(BenchFailure::NoReport { said })?;
        match load.fault() {
            None => Ok(load),
            Some(problem) => Err(BenchFailure::Load { contestant: contestant.to_owned(), problem }),
        }
    }
}

impl Load {
    fn parse(output: &str) -> Option<Self> {
        let line = output.lines().find_map(|line| line.strip_prefix(RESULT))?;
        serde_json::from_str(line).ok()
    }

    fn fault(&self) -> Option<String> {
        let faults = [
            (self.wrong_status, "answers with a status other than 200"),
            (self.wrong_body, "answers with another body"),
            (self.connect_errors, "connections refused"),
            (self.io_errors, "connections broken"),
            (self.timeouts, "answers too late"),
        ];
        let text: Vec<String> = faults
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        if self.requests == 0 {
            return Some("no answer at all".to_owned());
        }
        (!text.is_empty()).then(|| format!("{} (of {})", text.join(", "), self.requests))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use xtask::run;

    use super::{Load, Wrk};

    const OUTPUT: &str = "Running 5s test @ http://127.0.0.1:1/\n  1 threads and 32 connections\n\n\
        result {\"requests\":4000,\"micros\":5001000,\"p50_micros\":39000,\"p99_micros\":61000,\"wrong_status\":0,\
        \"wrong_body\":0,\"connect_errors\":0,\"io_errors\":0,\"timeouts\":0}\n";

    #[test]
    fn the_scripts_line_is_found_in_what_wrk_says() {
        let load = Load::parse(OUTPUT).unwrap();
        assert_eq!((load.requests, load.micros), (4000, 5_001_000));
        assert_eq!(load.fault(), None);
        assert_eq!(Load::parse("Running 5s test\n"), None);
    }

    #[test]
    fn one_wrong_answer_spoils_a_slice() {
        let load = Load { wrong_status: 1, ..Load::parse(OUTPUT).unwrap() };
        assert_eq!(load.fault().unwrap(), "1 answers with a status other than 200 (of 4000)");
        assert!(Load { requests: 0, ..load }.fault().is_some());
    }

    #[test]
    fn the_load_is_pinned_and_told_what_a_page_is() {
        let wrk = Wrk { script: Path::new("/c/wrk.lua").to_owned(), core: 1 };
        let command = wrk.command("http://127.0.0.1:1", Duration::from_secs(5), &(10..=20), &["</html>"]);
        assert_eq!(
            run::describe(&command),
            "taskset --cpu-list 1 wrk --threads 1 --connections 32 --duration 5s --script /c/wrk.lua \
             http://127.0.0.1:1/ -- 10 20 </html>"
        );
    }
}
