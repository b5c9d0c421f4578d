//! An open-loop load generator: requests begin when their time has come, however slow the answers are.
//!
//! A closed loop, as wrk's, asks again only when it was answered: an overloaded server is asked less, and the time
//! that visitors would have waited does not show (coordinated omission). Here each request has its time in a
//! [`schedule`], and its latency counts from that time on, whenever it could be sent.
//!
//! - [`schedule`]: when each request begins. Pure.
//! - [`connections`]: connections that are kept and shared.
//! - [`tally`]: what came of the requests.
//!
//! The generator runs on one thread, on one core. A run in which it cannot hold its rate is no measurement:
//! [`Outcome::problem`] says so.

pub mod connections;
pub mod schedule;
pub mod tally;

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::task::LocalSet;

use connections::Connections;
use schedule::Schedule;
pub use tally::{Outcome, Tally};

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where.
    pub address: SocketAddr,
    /// The path and query.
    pub path: String,
    /// Header fields beside `host`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// How it is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Requests in a second.
    pub rate: f64,
    /// How long requests begin.
    pub time: Duration,
    /// How long an answer may take; a slower one is an error.
    pub timeout: Duration,
    /// Connections at a time; a request that finds none waits, and its wait counts.
    pub connections: usize,
}

impl Target {
    fn header_map(&self) -> HeaderMap {
        let mut headers: HeaderMap = self.headers.iter().cloned().collect();
        if let Ok(host) = HeaderValue::from_str(&self.address.to_string()) {
            headers.insert(http::header::HOST, host);
        }
        headers
    }
}

/// Runs a load on the calling thread and says what came of it.
///
/// # Errors
///
/// When no runtime can be made.
pub fn run(target: &Target, load: Load) -> std::io::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = LocalSet::new().block_on(&runtime, generate(target, load));
    runtime.shutdown_background();
    Ok(outcome)
}

async fn generate(target: &Target, load: Load) -> Outcome {
    let connections = Rc::new(Connections::new(target.address, load.connections));
    let (headers, path): (_, Rc<str>) = (Rc::new(target.header_map()), target.path.as_str().into());
    let tally = Tally::shared();
    let start = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for due in Schedule::new(start, load.rate, load.time) {
        if due > Instant::now() {
            tokio::time::sleep_until(due.into()).await;
        }
        // What is over makes room.
        while tasks.try_join_next().is_some() {}
        let (connections, headers, path) = (Rc::clone(&connections), Rc::clone(&headers), Rc::clone(&path));
        let tally = Rc::clone(&tally);
        tally.borrow_mut().sent(Instant::now().saturating_duration_since(due));
        tasks.spawn_local(async move {
            let asked = connections.ask(&path, &headers);
            match tokio::time::timeout_at((due + load.timeout).into(), asked).await {
                Ok(Ok(answer)) => tally.borrow_mut().answered(answer, due),
                Ok(Err(_)) => tally.borrow_mut().broke(),
                Err(_) => tally.borrow_mut().timed_out(),
            }
        });
    }
    while tasks.join_next().await.is_some() {}
    let tally = tally.replace(Tally::new());
    tally.conclude(load.rate, load.time)
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
        let target = Target { address: serve(delay), path: "/".into(), headers: Vec::new() };
        let (time, timeout) = (Duration::from_millis(500), Duration::from_secs(5));
        run(&target, Load { rate: 200.0, time, timeout, connections }).unwrap()
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
