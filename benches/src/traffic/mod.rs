//! An open-loop load generator: requests begin when their time has come, however slow the answers are.
//!
//! A closed loop, as wrk's, asks again only when it was answered: an overloaded server is asked less, and the time
//! that visitors would have waited does not show (coordinated omission). Here each request has its time in a
//! [`schedule`], and its latency counts from that time on, whenever it could be sent.
//!
//! - [`schedule`]: when each request begins: constant, in steps, in a spike. Pure.
//! - [`ask`]: what is asked for in which mix, how its answer is read, and what a right one is. Pure.
//! - [`connections`]: connections that are kept and shared, HTTP/1.1 or HTTP/2.
//! - [`tally`]: what came of the requests.
//!
//! The generator runs on one thread, on one core. A run in which it cannot hold its rate is no measurement:
//! [`Outcome::problem`] says so.

pub mod ask;
pub mod connections;
pub mod schedule;
pub mod tally;

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue};
use tokio::task::LocalSet;

use ask::{Ask, Mix};
use connections::{Connections, Protocol};
use schedule::{Schedule, Shape};
pub use tally::{Outcome, Tally};

/// A load with everything that can be said about it.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where.
    pub address: SocketAddr,
    /// What is spoken.
    pub protocol: Protocol,
    /// What is asked for; the mix is by their weights.
    pub asks: Vec<Rc<Ask>>,
    /// How often.
    pub shape: Shape,
    /// How long an answer may take; a slower one is an error.
    pub timeout: Duration,
    /// How long a visitor waits: later answers are no part of the goodput.
    pub patience: Duration,
    /// Requests at a time; one that finds no place waits, and its wait counts.
    pub connections: usize,
}

/// Names the host in a request's header fields.
pub fn host(headers: &mut HeaderMap, address: SocketAddr) {
    if let Ok(host) = HeaderValue::from_str(&address.to_string()) {
        headers.insert(http::header::HOST, host);
    }
}

/// Runs a planned load on the calling thread and says what came of it.
///
/// # Errors
///
/// When no runtime can be made.
pub fn run(plan: &Plan) -> std::io::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = LocalSet::new().block_on(&runtime, generate(plan));
    runtime.shutdown_background();
    Ok(outcome)
}

async fn generate(plan: &Plan) -> Outcome {
    let connections = Rc::new(Connections::new(plan.address, plan.protocol, plan.connections));
    let mut mix = Mix::of(plan.asks.iter().map(|ask| ask.weight));
    let start = Instant::now();
    let tally = Tally::shared(start, plan.patience);
    let mut tasks = tokio::task::JoinSet::new();
    for due in Schedule::new(start, plan.shape.clone()) {
        wait_until(due).await;
        // What is over makes room.
        while tasks.try_join_next().is_some() {}
        let Some(ask) = plan.asks.get(mix.next()).map(Rc::clone) else { break };
        let (connections, tally) = (Rc::clone(&connections), Rc::clone(&tally));
        let timeout = plan.timeout;
        tally.borrow_mut().sent(Instant::now().saturating_duration_since(due));
        tasks.spawn_local(async move {
            let asked = connections.ask(&ask);
            match tokio::time::timeout_at((due + timeout).into(), asked).await {
                Ok(Ok(answer)) => tally.borrow_mut().answered(answer, due),
                Ok(Err(_)) => tally.borrow_mut().broke(),
                Err(_) => tally.borrow_mut().timed_out(),
            }
        });
    }
    while tasks.join_next().await.is_some() {}
    let tally = tally.replace(Tally::new(start, plan.patience));
    tally.conclude(plan.shape.mean_rate(), plan.shape.time())
}

/// Comes back at a time, to some microseconds: a timer of the runtime comes up to a millisecond late, with all requests
/// of that time at once. The last two milliseconds are spent turning, so that the core stays awake.
async fn wait_until(due: Instant) {
    const TURNING: Duration = Duration::from_millis(2);
    let left = due.saturating_duration_since(Instant::now());
    if left > TURNING {
        tokio::time::sleep(left - TURNING).await;
    }
    while Instant::now() < due {
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that answers 200 after `delay`, one after the other on each connection, and every third with 503.
    fn serve(delay: Duration) -> SocketAddr {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                listener.set_nonblocking(true).unwrap();
                let listener = TcpListener::from_std(listener).unwrap();
                let mut number = 0u32;
                loop {
                    let (mut stream, _) = listener.accept().await.unwrap();
                    number += 1;
                    let status = if number.is_multiple_of(3) { "503 Service Unavailable" } else { "200 OK" };
                    tokio::spawn(async move {
                        let mut buffer = [0; 4096];
                        while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                            tokio::time::sleep(delay).await;
                            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nok");
                            stream.write_all(answer.as_bytes()).await.unwrap();
                        }
                    });
                }
            });
        });
        address
    }

    fn load(delay: Duration, connections: usize) -> Outcome {
        let address = serve(delay);
        let mut ask = Ask::get("/", HeaderMap::new());
        host(&mut ask.headers, address);
        let timeout = Duration::from_secs(5);
        let shape = Shape::constant(200.0, Duration::from_millis(500));
        let asks = vec![Rc::new(ask)];
        let protocol = Protocol::Http1;
        run(&Plan { address, protocol, asks, shape, timeout, patience: timeout, connections }).unwrap()
    }

    #[test]
    fn every_request_is_accounted_for() {
        let outcome = load(Duration::from_millis(1), 64);
        assert_eq!(outcome.sent, 100);
        assert_eq!(outcome.statuses.values().map(|latencies| latencies.count).sum::<u64>(), 100);
        assert!(outcome.statuses.keys().all(|status| [200, 503].contains(status)), "{outcome:?}");
        assert_eq!((outcome.broken, outcome.timeouts), (0, 0));
    }

    #[test]
    fn waiting_for_a_connection_counts() {
        // One connection does 20 in a second, of 200 that are asked for.
        let outcome = load(Duration::from_millis(50), 1);
        let slow = &outcome.statuses[&200];
        assert!(slow.last_byte.p99_micros > 2_000_000, "{slow:?}");
    }
}
