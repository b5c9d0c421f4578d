//! Open loops on one server.

use std::net::SocketAddr;
use std::time::Duration;

use super::field::{Ground, Runner};
use super::requests::Request;
use super::results::{Rated, recovery};
use super::throughput::asks;
use crate::error::BenchFailure;
use crate::process_tree;
use crate::traffic::connections::Protocol;
use crate::traffic::schedule::Shape;
use crate::traffic::{self, Outcome, Pace, Plan};

/// By how much more is asked for than there is.
pub const FACTORS: [f64; 3] = [2.0, 5.0, 10.0];

/// An answer that takes longer is none.
pub const TIMEOUT: Duration = Duration::from_secs(5);

/// How long a visitor waits before the answer is of no use.
const PATIENCE: Duration = Duration::from_secs(1);

/// The least time of an open loop at one rate.
pub const LEAST_TIME: Duration = Duration::from_secs(2);

/// The most requests at a time; one that finds no place waits, and its wait counts.
const CONNECTIONS: usize = 1000;

/// Runs a shape on a server.
///
/// # Errors
///
/// When the generator cannot hold its rate, a body is wrong, or the server ends.
pub fn rated(
    runner: &Runner,
    requests: &[Request],
    label: &str,
    shape: Shape,
    protocol: Protocol,
) -> Result<Rated, BenchFailure> {
    let (rate, time) = (shape.mean_rate(), shape.time());
    let (outcome, cpu) = run(runner, requests, shape, protocol)?;
    let goodput = outcome.goodput(Duration::ZERO, time);
    Ok(finish(label.to_owned(), rate, goodput, None, outcome, cpu))
}

/// Half of saturation, a multiple of it, half again.
///
/// # Errors
///
/// As [`rated`].
pub fn spike(
    runner: &Runner,
    requests: &[Request],
    saturation: f64,
    factor: f64,
    ground: &Ground<'_>,
) -> Result<Rated, BenchFailure> {
    let time = ground.slice.max(LEAST_TIME);
    let (base, peak) = (saturation / 2.0, saturation * factor);
    let (outcome, cpu) = run(runner, requests, Shape::spike(base, peak, time), Protocol::Http1)?;
    let goodput = outcome.goodput(time, 2 * time);
    let recovery = recovery(&outcome, 2 * time, base);
    Ok(finish(format!("{factor:.0}x"), peak, goodput, recovery, outcome, cpu))
}

fn finish(
    label: String,
    rate: f64,
    goodput: f64,
    recovery_millis: Option<u64>,
    outcome: Outcome,
    cpu: Option<Duration>,
) -> Rated {
    let right = outcome.right().count.max(1) as f64;
    let cpu_micros_per_request = cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / right);
    Rated { label, rate, goodput, recovery_millis, cpu_micros_per_request, outcome }
}

fn run(
    runner: &Runner,
    requests: &[Request],
    shape: Shape,
    protocol: Protocol,
) -> Result<(Outcome, Option<Duration>), BenchFailure> {
    let before = process_tree::cpu_time(runner.pid())?;
    let outcome = load(runner, requests, shape, protocol)?;
    // It may have ended, as it was to.
    let after = process_tree::cpu_time(runner.pid()).ok();
    Ok((outcome, after.map(|after| after.saturating_sub(before))))
}

/// Runs a shape on a server and refuses what is no measurement.
///
/// # Errors
///
/// When the generator cannot hold its rate or a body is wrong.
pub fn load(
    runner: &Runner,
    requests: &[Request],
    shape: Shape,
    protocol: Protocol,
) -> Result<Outcome, BenchFailure> {
    let name = runner.contestant.name();
    let failure = |problem: String| BenchFailure::Load { contestant: name.to_owned(), problem };
    let address: SocketAddr = runner
        .address()
        .strip_prefix("http://")
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| failure(format!("{} is no address", runner.address())))?;
    let mut asks = asks(requests);
    for ask in &mut asks {
        traffic::host(&mut std::rc::Rc::make_mut(ask).headers, address);
    }
    let plan = Plan {
        address,
        protocol,
        asks,
        pace: Pace::Open(shape),
        timeout: TIMEOUT,
        patience: PATIENCE,
        connections: CONNECTIONS,
    };
    let outcome = traffic::run(&plan).map_err(|error| failure(error.to_string()))?;
    outcome.check(name)?;
    Ok(outcome)
}
