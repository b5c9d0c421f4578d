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
//! The generator runs on one thread, on one core, which it keeps busy all the time. A run in which it cannot hold its
//! rate, or in which an answer is another than was asked for, is no measurement: [`Outcome::check`] says so.
//!
//! A closed loop there is too ([`Pace::Closed`]): it finds out how much a server can do.

pub mod ask;
pub mod connections;
pub mod schedule;
pub mod tally;

use std::cell::RefCell;
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
    pub pace: Pace,
    /// How long an answer may take; a slower one is an error.
    pub timeout: Duration,
    /// How long a visitor waits: later answers are no part of the goodput.
    pub patience: Duration,
    /// Requests at a time; one that finds no place waits, and its wait counts.
    pub connections: usize,
}

/// How often something is asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Pace {
    /// Each request at its own time, however slow the answers are.
    Open(Shape),
    /// For so long, on each connection again as soon as it was answered: as much as the server can do.
    Closed(Duration),
}

impl Pace {
    /// How long requests begin.
    pub fn time(&self) -> Duration {
        match self {
            Self::Open(shape) => shape.time(),
            Self::Closed(time) => *time,
        }
    }
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
    let start = Instant::now();
    let asking = Asking {
        connections,
        asks: Rc::from(plan.asks.as_slice()),
        mix: Rc::new(RefCell::new(Mix::of(plan.asks.iter().map(|ask| ask.weight)))),
        tally: Tally::shared(start, plan.patience),
        timeout: plan.timeout,
    };
    let mut tasks = tokio::task::JoinSet::new();
    match &plan.pace {
        Pace::Open(shape) => {
            for due in Schedule::new(start, shape.clone()) {
                spin_until(due).await;
                // What is over makes room.
                while tasks.try_join_next().is_some() {}
                asking.tally.borrow_mut().sent(due.elapsed());
                let (ask, asking) = (asking.next(), asking.clone());
                tasks.spawn_local(async move { asking.once(ask, due).await });
            }
        }
        Pace::Closed(time) => {
            let end = start + *time;
            for _ in 0..plan.connections {
                let asking = asking.clone();
                tasks.spawn_local(async move {
                    while Instant::now() < end {
                        asking.tally.borrow_mut().sent(Duration::ZERO);
                        asking.once(asking.next(), Instant::now()).await;
                    }
                });
            }
            spin_until(end).await;
        }
    }
    while tasks.join_next().await.is_some() {}
    let tally = asking.tally.replace(Tally::new(start, plan.patience));
    tally.conclude(&plan.pace)
}

/// Comes back at a time, to the microsecond, and keeps the core busy until then. A timer of the runtime comes up to a
/// millisecond late, with all requests of that time at once; and cores that share a part of the machine are slower while
/// both are busy, so that a generator that rests at low rates would make the server seem slower at high ones.
async fn spin_until(time: Instant) {
    while Instant::now() < time {
        tokio::task::yield_now().await;
    }
}

/// What each request needs.
#[derive(Clone)]
struct Asking {
    connections: Rc<Connections>,
    asks: Rc<[Rc<Ask>]>,
    mix: Rc<RefCell<Mix>>,
    tally: Rc<RefCell<Tally>>,
    timeout: Duration,
}

impl Asking {
    /// What is asked for next; `None` when nothing is.
    fn next(&self) -> Option<Rc<Ask>> {
        self.asks.get(self.mix.borrow_mut().next()).map(Rc::clone)
    }

    async fn once(&self, ask: Option<Rc<Ask>>, due: Instant) {
        let Some(ask) = ask else { return };
        match tokio::time::timeout_at((due + self.timeout).into(), self.connections.ask(&ask)).await {
            Ok(Ok(answer)) => self.tally.borrow_mut().answered(answer, due),
            Ok(Err(_)) => self.tally.borrow_mut().broke(),
            Err(_) => self.tally.borrow_mut().timed_out(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::ask::Expected;
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
        let pace = Pace::Open(Shape::constant(200.0, Duration::from_millis(500)));
        loaded(pace, Expected::default(), delay, connections)
    }

    fn loaded(pace: Pace, expected: Expected, delay: Duration, connections: usize) -> Outcome {
        let address = serve(delay);
        let mut ask = Ask { expected, ..Ask::get("/", HeaderMap::new()) };
        host(&mut ask.headers, address);
        let (asks, timeout) = (vec![Rc::new(ask)], Duration::from_secs(5));
        let protocol = Protocol::Http1;
        run(&Plan { address, protocol, asks, pace, timeout, patience: timeout, connections }).unwrap()
    }

    #[test]
    fn a_page_that_is_another_makes_the_run_worthless() {
        let holds = Expected { holds: vec!["</html>".to_owned()], ..Expected::default() };
        for expected in [Expected { lengths: Some(3..=9), ..Expected::default() }, holds] {
            let pace = Pace::Open(Shape::constant(200.0, Duration::from_millis(500)));
            let outcome = loaded(pace, expected, Duration::ZERO, 8);
            assert!(outcome.wrong > 0);
            let failure = outcome.check("the server").unwrap_err();
            assert!(failure.to_string().contains("another body"), "{failure}");
        }
    }

    #[test]
    fn a_closed_loop_asks_again_when_it_was_answered() {
        let pace = Pace::Closed(Duration::from_millis(500));
        let outcome = loaded(pace, Expected::default(), Duration::from_millis(10), 4);
        // Four connections for half a second, 10 ms each; an answer may be late, none is early.
        assert!((8..=200).contains(&outcome.sent), "{outcome:?}");
        assert_eq!(outcome.statuses.values().map(|latencies| latencies.count).sum::<u64>(), outcome.sent);
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
