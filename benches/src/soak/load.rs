//! Requests at a steady rate, each at its own time whatever became of those before it.

use std::cell::Cell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hdrhistogram::Histogram;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::runtime::Runtime;
use tokio::time::{Instant, MissedTickBehavior};

use super::outcome::{Failure, Failures, Outcome};
use crate::error::BenchFailure;

/// Connections of the closed loop.
const CLOSED: usize = 16;

/// The most requests under way; more are not sent, and counted as failed.
const MAX_UNDER_WAY: usize = 1000;

/// What a whole page has.
const END: &[u8] = b"</html>";

/// What a browser says: TanStack Start sends a page to others only once it is complete.
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 \
                       Safari/537.36";

/// What was answered in some seconds.
#[derive(Debug)]
pub struct Slice {
    /// Whole answers with the status 200.
    pub answers: u64,
    /// Everything else.
    pub failures: Failures,
    /// Microseconds from the time that a request was due to the end of its answer.
    pub latency: Histogram<u64>,
    /// Microseconds from the time that a request was due until it was sent.
    pub lateness: Histogram<u64>,
}

impl Slice {
    fn new() -> Result<Self, BenchFailure> {
        let histogram =
            || Histogram::new(3).map_err(|error| BenchFailure::Soak { problem: error.to_string() });
        let (latency, lateness) = (histogram()?, histogram()?);
        Ok(Self { answers: 0, failures: Failures::default(), latency, lateness })
    }

    fn take(&mut self, due: Instant, outcome: Outcome) {
        match outcome {
            Outcome::Whole => {
                self.answers += 1;
                // Grows as needed; only a time beyond all bounds finds no place.
                let _ = self.latency.record(micros_since(due));
            }
            Outcome::Failed(failure) => self.failures.count(failure),
        }
    }

    fn sent(&mut self, due: Instant) {
        let _ = self.lateness.record(micros_since(due));
    }
}

/// A generator of load on one URL.
pub struct Load {
    tokio: Runtime,
    client: Client<HttpConnector, Empty<Bytes>>,
    url: String,
}

impl Load {
    /// # Errors
    /// When there is no event loop.
    pub fn new(url: String) -> Result<Self, BenchFailure> {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let tokio = tokio.map_err(|error| BenchFailure::Soak { problem: error.to_string() })?;
        Ok(Self { tokio, client: Client::builder(TokioExecutor::new()).build_http(), url })
    }

    /// So many requests, each as soon as there is a place for it.
    ///
    /// # Errors
    /// When any answer is wrong.
    pub fn requests(&self, count: u64) -> Result<(), BenchFailure> {
        let left = Cell::new(count);
        let done = self.tokio.block_on(async {
            let loops = (0..CLOSED).map(|_| async {
                while let Some(fewer) = left.get().checked_sub(1) {
                    left.set(fewer);
                    if let Outcome::Failed(failure) = self.ask().await {
                        return Err(failure);
                    }
                }
                Ok(())
            });
            futures_util::future::try_join_all(loops).await
        });
        done.map(drop).map_err(failed)
    }

    /// As many requests as are answered, for some time; answers per second.
    ///
    /// # Errors
    /// When any answer is wrong.
    #[expect(clippy::cast_precision_loss, reason = "answers of some seconds are far below 2^52")]
    pub fn closed(&self, time: Duration) -> Result<f64, BenchFailure> {
        let until = Instant::now() + time;
        let answered = self.tokio.block_on(async {
            let loops = (0..CLOSED).map(|_| async {
                let mut answers = 0_u64;
                while Instant::now() < until {
                    match self.ask().await {
                        Outcome::Whole => answers += 1,
                        Outcome::Failed(failure) => return Err(failure),
                    }
                }
                Ok(answers)
            });
            futures_util::future::join_all(loops).await
        });
        let answers: Result<u64, _> = answered.into_iter().sum();
        let answers = answers.map_err(failed)?;
        Ok(answers as f64 / time.as_secs_f64())
    }

    /// `rate` requests a second; every now and then `tell` gets what was answered since the last time.
    ///
    /// # Errors
    /// When the rate is no rate.
    pub fn open(
        &self,
        rate: f64,
        time: Duration,
        every: Duration,
        mut tell: impl FnMut(Slice),
    ) -> Result<(), BenchFailure> {
        if !rate.is_finite() || rate < 0.1 {
            return Err(BenchFailure::Soak { problem: format!("{rate} requests per second are no load") });
        }
        let slice = Arc::new(Mutex::new(Slice::new()?));
        let next = Slice::new;
        self.tokio.block_on(async {
            let until = Instant::now() + time;
            let mut due = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
            due.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let mut told = tokio::time::interval_at(Instant::now() + every, every);
            let under_way = Arc::new(tokio::sync::Semaphore::new(MAX_UNDER_WAY));
            while Instant::now() < until {
                tokio::select! {
                    at = due.tick() => match under_way.clone().try_acquire_owned() {
                        Ok(permit) => {
                            lock(&slice).sent(at);
                            let (slice, client, url) = (slice.clone(), self.client.clone(), self.url.clone());
                            tokio::spawn(async move {
                                let outcome = ask(&client, &url).await;
                                lock(&slice).take(at, outcome);
                                drop(permit);
                            });
                        }
                        Err(_) => lock(&slice).failures.count(Failure::NotSent),
                    },
                    _ = told.tick() => {
                        let empty = next()?;
                        let full = std::mem::replace(&mut *lock(&slice), empty);
                        tell(full);
                    }
                }
            }
            Ok(())
        })
    }

    async fn ask(&self) -> Outcome {
        ask(&self.client, &self.url).await
    }
}

/// Asks for the page and reads all of it.
async fn ask(client: &Client<HttpConnector, Empty<Bytes>>, url: &str) -> Outcome {
    answer(client, url).await.map_or_else(Outcome::Failed, |()| Outcome::Whole)
}

async fn answer(client: &Client<HttpConnector, Empty<Bytes>>, url: &str) -> Result<(), Failure> {
    let request = Request::get(url).header("user-agent", BROWSER).header("accept", "text/html");
    let request = request.body(Empty::new()).map_err(|_| Failure::NotSent)?;
    let response = client.request(request).await.map_err(|_| Failure::NoAnswer)?;
    match response.status() {
        http::StatusCode::OK => {}
        http::StatusCode::SERVICE_UNAVAILABLE => return Err(Failure::Refused),
        _ => return Err(Failure::OtherStatus),
    }
    let body = response.into_body().collect().await.map_err(|_| Failure::Cut)?;
    // Solid writes scripts behind it.
    let is_whole = body.to_bytes().windows(END.len()).rev().any(|part| part == END);
    if is_whole { Ok(()) } else { Err(Failure::Incomplete) }
}

fn failed(failure: Failure) -> BenchFailure {
    BenchFailure::Soak { problem: format!("a request failed: {failure}") }
}

fn micros_since(due: Instant) -> u64 {
    u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX)
}

fn lock(slice: &Mutex<Slice>) -> MutexGuard<'_, Slice> {
    slice.lock().unwrap_or_else(PoisonError::into_inner)
}
