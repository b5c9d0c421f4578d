//! What one call from an isolate to a worker and back costs: a server route makes many, one after the other.

use crate::cli::FunctionsOptions;
use crate::error::BenchFailure;
use crate::process_tree;
use crate::statistics::Summary;

use super::contestants::Running;
use super::load::Request;

/// Calls of one request. Its own cost is spread over them, and so is what the clock of 10 ms does not see.
const CALLS: u32 = 20_000;

/// CPU time of the whole process tree of a server for one call.
///
/// # Errors
///
/// When the route answers wrongly.
pub fn measure(
    running: &[Running],
    server: &str,
    options: &FunctionsOptions,
) -> Result<Summary, BenchFailure> {
    let isopod = running.iter().find(|one| one.contestant.name() == server);
    let Some(isopod) = isopod else { return Err(BenchFailure::NoReport { said: String::new() }) };
    let request = Request::new("GET", format!("/api/calls/{CALLS}"), None, "{\"sum\":200010000}");
    let mut costs = Vec::new();
    for repeat in 0..=options.repeat.get() {
        let before = process_tree::cpu_time(isopod.server.pid())?;
        request.fetch(isopod.contestant.name(), isopod.server.address())?;
        let cpu = process_tree::cpu_time(isopod.server.pid())?.saturating_sub(before);
        // The first one is the compiler's.
        if repeat > 0 {
            costs.push(cpu.as_secs_f64() * 1e6 / f64::from(CALLS));
        }
    }
    Summary::of(costs).ok_or_else(|| BenchFailure::NoReport { said: String::new() })
}
