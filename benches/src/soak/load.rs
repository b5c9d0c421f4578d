//! Requests at a steady rate, each at its own time whatever became of those before it.

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

use crate::error::BenchFailure;

/// Connections of the closed loop.
const CLOSED: usize = 16;

/// The most requests under way; more are counted as failed.
const MAX_UNDER_WAY: usize = 1000;

/// What a browser says: TanStack Start sends a page to others only once it is complete.
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 \
                       Safari/537.36";

/// What was answered in some seconds.
#[derive(Debug)]
pub struct Slice {
    /// Whole answers with the status 200.
    pub answers: u64,
    /// Everything else.
    pub failures: u64,
    /// Microseconds from the time that a request was due.
    pub latency: Histogram<u64>,
}

impl Slice {
    fn new() -> Result<Self, BenchFailure> {
        let latency = Histogram::new(3).map_err(|error| BenchFailure::Soak { problem: error.to_string() })?;
        Ok(Self { answers: 0, failures: 0, latency })
    }

    fn take(&mut self, due: Instant, whole: bool) {
        if whole {
            self.answers += 1;
            let micros = u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX);
            // Grows as needed; only a time beyond all bounds finds no place.
            let _ = self.latency.record(micros);
        } else {
            self.failures += 1;
        }
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
                    if !self.ask().await {
                        return None;
                    }
                    answers += 1;
                }
                Some(answers)
            });
            futures_util::future::join_all(loops).await
        });
        let answers: Option<u64> = answered.into_iter().sum();
        let answers =
            answers.ok_or_else(|| BenchFailure::Soak { problem: "an answer was wrong".to_owned() })?;
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
                            let (slice, client, url) = (slice.clone(), self.client.clone(), self.url.clone());
                            tokio::spawn(async move {
                                let whole = ask(&client, &url).await;
                                lock(&slice).take(at, whole);
                                drop(permit);
                            });
                        }
                        Err(_) => lock(&slice).failures += 1,
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

    async fn ask(&self) -> bool {
        ask(&self.client, &self.url).await
    }
}

/// Whether the answer is a whole page.
async fn ask(client: &Client<HttpConnector, Empty<Bytes>>, url: &str) -> bool {
    let request = Request::get(url).header("user-agent", BROWSER).header("accept", "text/html");
    let Ok(request) = request.body(Empty::new()) else { return false };
    let Ok(response) = client.request(request).await else { return false };
    let found = response.status() == http::StatusCode::OK;
    let body = response.into_body().collect().await;
    found && body.is_ok_and(|body| body.to_bytes().ends_with(b"</html>"))
}

fn lock(slice: &Mutex<Slice>) -> MutexGuard<'_, Slice> {
    slice.lock().unwrap_or_else(PoisonError::into_inner)
}
