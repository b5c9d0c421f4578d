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
//! The generator runs on one thread, on one core, which it keeps busy all the time. A run in which it cannot hold its
//! rate, or in which a page is not the one that was asked for, is no measurement: [`Outcome::problem`] says so.

pub mod connections;
pub mod schedule;
pub mod tally;

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::LocalSet;

use connections::Connections;
pub use connections::{Target, Whole};
use schedule::Schedule;
pub use tally::{Outcome, Tally};

/// How something is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// How often.
    pub pace: Pace,
    /// How long requests begin.
    pub time: Duration,
    /// How long an answer may take; a slower one is an error.
    pub timeout: Duration,
    /// Connections at a time; a request that finds none waits, and its wait counts.
    pub connections: usize,
}

/// How often something is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// So many requests in a second, however slow the answers are.
    Open(f64),
    /// On each connection again as soon as it was answered: as much as the server can do.
    Closed,
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
    let connections = Rc::new(Connections::new(target.clone(), load.connections));
    let tally = Tally::shared();
    let mut tasks = tokio::task::JoinSet::new();
    let (start, ask) =
        (Instant::now(), Asking { connections, tally: Rc::clone(&tally), timeout: load.timeout });
    match load.pace {
        Pace::Open(rate) => {
            for due in Schedule::new(start, rate, load.time) {
                spin_until(due).await;
                // What is over makes room.
                while tasks.try_join_next().is_some() {}
                tally.borrow_mut().sent(due.elapsed());
                let ask = ask.clone();
                tasks.spawn_local(async move { ask.once(due).await });
            }
        }
        Pace::Closed => {
            let end = start + load.time;
            for _ in 0..load.connections {
                let ask = ask.clone();
                tasks.spawn_local(async move {
                    while Instant::now() < end {
                        ask.tally.borrow_mut().sent(Duration::ZERO);
                        ask.once(Instant::now()).await;
                    }
                });
            }
            spin_until(end).await;
        }
    }
    while tasks.join_next().await.is_some() {}
    drop(ask);
    let tally = tally.replace(Tally::new());
    tally.conclude(load.pace, load.time)
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
    tally: Rc<std::cell::RefCell<Tally>>,
    timeout: Duration,
}

impl Asking {
    async fn once(&self, due: Instant) {
        match tokio::time::timeout_at((due + self.timeout).into(), self.connections.ask()).await {
            Ok(Ok(answer)) => self.tally.borrow_mut().answered(answer, due),
            Ok(Err(_)) => self.tally.borrow_mut().broke(),
            Err(_) => self.tally.borrow_mut().timed_out(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

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
        loaded(Pace::Open(200.0), Whole { lengths: 2..=2, end: b"ok" }, delay, connections)
    }

    fn loaded(pace: Pace, whole: Whole, delay: Duration, connections: usize) -> Outcome {
        let target = Target { address: serve(delay), path: "/".into(), headers: Vec::new(), whole };
        let (time, timeout) = (Duration::from_millis(500), Duration::from_secs(5));
        run(&target, Load { pace, time, timeout, connections }).unwrap()
    }

    #[test]
    fn a_page_that_is_another_makes_the_run_worthless() {
        for whole in [Whole { lengths: 3..=9, end: b"" }, Whole { lengths: 2..=2, end: b"</html>" }] {
            let outcome = loaded(Pace::Open(200.0), whole, Duration::ZERO, 8);
            assert!(outcome.wrong > 0);
            assert!(outcome.problem().unwrap().contains("not the page"), "{outcome:?}");
        }
    }

    #[test]
    fn a_closed_loop_asks_again_when_it_was_answered() {
        let whole = Whole { lengths: 2..=2, end: b"ok" };
        let outcome = loaded(Pace::Closed, whole, Duration::from_millis(10), 4);
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
