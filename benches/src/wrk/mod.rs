//! The load: wrk, one thread, closed loop.
//!
//! wrk is small, steady and far from its limit here: one of its threads offers ten times what one core renders. A
//! script checks every answer, as wrk itself counts redirects as good and reads no bodies.
//!
//! - [`script`]: a mix of requests as such a script.

pub mod script;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;
use xtask::run;

use crate::error::BenchFailure;
use crate::machine;

/// The start of the line that the script writes.
const RESULT: &str = "result ";

/// The load generator, on its core.
#[derive(Debug, Clone, Copy)]
pub struct Wrk {
    core: usize,
}

/// What it saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Load {
    /// Answers, also wrong ones, without refusals.
    pub requests: u64,
    /// Answers with 503; 0 where the script does not look.
    #[serde(default)]
    pub refused: u64,
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
    /// On a core.
    pub fn on(core: usize) -> Self {
        Self { core }
    }

    /// The whole command that runs a mix, as a report shows it.
    pub fn mix(&self, script: &Path, address: &str, time: Duration, connections: usize) -> Command {
        let mut wrk = Command::new("wrk");
        wrk.args(["--threads", "1", "--connections", &connections.to_string(), "--timeout", "10s"]);
        wrk.args(["--duration", &format!("{}s", time.as_secs().max(1))]).arg("--script").arg(script);
        wrk.arg(address);
        machine::pinned(self.core, &wrk)
    }

    /// Runs a command of [`Wrk::mix`].
    ///
    /// # Errors
    ///
    /// When wrk fails or any answer was not the page.
    pub fn run(&self, contestant: &str, command: &mut Command) -> Result<Load, BenchFailure> {
        let load = self.warm_up(command)?;
        match load.fault() {
            None => Ok(load),
            Some(problem) => Err(BenchFailure::Load { contestant: contestant.to_owned(), problem }),
        }
    }

    /// Runs one without a look at the answers: a server may refuse some while it finds out what it can do.
    ///
    /// # Errors
    ///
    /// When wrk fails.
    pub fn warm_up(&self, command: &mut Command) -> Result<Load, BenchFailure> {
        let said = run::output(command)?;
        Load::parse(&said).ok_or(BenchFailure::NoReport { said })
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
        let right = Load { wrong_status: 0, ..load };
        assert_eq!(Load { refused: 200, ..right }.fault(), None, "refusals are counted for themselves");
    }

    #[test]
    fn the_load_is_pinned() {
        let script = Path::new("/c/mix.lua");
        let command = Wrk::on(1).mix(script, "http://127.0.0.1:1", Duration::from_secs(5), 32);
        assert_eq!(
            run::describe(&command),
            "taskset --cpu-list 1 wrk --threads 1 --connections 32 --timeout 10s --duration 5s --script /c/mix.lua \
             http://127.0.0.1:1"
        );
    }
}
