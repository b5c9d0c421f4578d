//! Tests of the data plane: one gateway thread, with isolates and workers played by hand.

mod calls;
mod children;
mod embedded;
mod function_calls;
mod jobs;
mod requests;
mod rests;
mod uploads;

use std::cell::RefCell;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use shared::head::{HandlerOptions, RequestHead, RequestHeadRef, ResponseHead};
use shared::link::Channel;
use shared::logging::LogFormat;
use shared::message::{
    EarlyHints, Failure, FailureKind, FromRenderer, FromWorker, HintPhase, ToRenderer, ToWorker,
};
use shared::setup::{FormLimits, RendererSetup, ValueLimits, WorkerSetup};
use tokio::net::UnixStream;

use super::ports::{NewLink, Peer};
use super::restart::RestartPolicy;
use super::scratch::Scratch;
use super::slot::{ChildId, ChildKind, IsolateId, WorkerSlot};
use super::thread::Thread;
use super::{
    AppMetricLimits, Fields, JobTimes, Pool, PoolSettings, RenderError, RenderJob, Rendered, RequestBody,
    RouteTerms,
};
use crate::admission::{AdmissionSettings, Wish};
use crate::metrics::Metrics;

fn settings() -> PoolSettings {
    PoolSettings {
        renderer_bin: PathBuf::new(),
        worker_bin: PathBuf::new(),
        renderers: 2,
        spares: 0,
        isolates_per_renderer: 1,
        fn_workers: 1,
        threads: 1,
        renderer_setup: RendererSetup {
            env: [("COLOUR".to_owned(), "blue".to_owned())].into(),
            max_jobs_per_isolate: 2,
            ..RendererSetup::new("", "")
        },
        worker_setup: WorkerSetup {
            arbiters: 1,
            mailbox: 1,
            forms: FormLimits::default(),
            values: ValueLimits::default(),
        },
        embedded: None,
        app_routes: Vec::new(),
        app_metrics: AppMetricLimits { metrics: 4, series: 4 },
        admission: AdmissionSettings {
            max_jobs_per_isolate: 2,
            queue_limit: 1,
            ..AdmissionSettings::DEFAULT
        },
        restart: RestartPolicy { initial_backoff: Duration::from_millis(1), ..Default::default() },
        load_timeout: Duration::from_secs(20),
        job_times: JobTimes { abort_delay: Duration::from_secs(15), abort_grace: Duration::from_secs(5) },
        remote: None,
        native_call_timeout: Duration::from_secs(10),
        retire_timeout: Duration::from_secs(5),
        child_drain_timeout: Duration::from_secs(5),
        log_filter: "off".into(),
        log_format: LogFormat::Text,
    }
}

fn scratch() -> Scratch {
    Scratch::create_in(&std::env::temp_dir()).unwrap()
}

/// One gateway thread.
struct Gateway {
    pool: Arc<Pool>,
    thread: Rc<Thread>,
}

fn gateway() -> Gateway {
    let pool = Arc::new(Pool::new(settings(), Metrics::new().unwrap(), scratch()));
    Gateway { thread: Rc::new(Thread::new(0, pool.clone())), pool }
}

impl Gateway {
    /// A link to a new isolate that is ready.
    fn isolate(&self, slot: usize) -> Isolate {
        let id = IsolateId { slot, generation: 1, isolate: 0 };
        let (stream, theirs) = StdUnixStream::pair().unwrap();
        self.thread.attach(NewLink { stream, to: Peer::Isolate(id) });
        self.pool.admission.open(id);
        Isolate { id, channel: channel(theirs) }
    }

    /// A link to a new worker that is ready.
    fn worker(&self, slot: usize) -> Worker {
        let slot = Arc::new(WorkerSlot::new(ChildId { kind: ChildKind::FnWorker, slot, generation: 1 }, 1));
        let (stream, theirs) = StdUnixStream::pair().unwrap();
        self.thread.attach(NewLink { stream, to: Peer::Worker(slot.clone(), 0) });
        slot.set_ready(true);
        Worker { slot, channel: channel(theirs) }
    }

    /// Starts a job in a task of its own.
    fn job(&self, body: Option<RequestBody>) -> Answer {
        self.job_with(body, true, None)
    }

    fn job_with(&self, body: Option<RequestBody>, retry_safe: bool, limit: Option<Duration>) -> Answer {
        let thread = self.thread.clone();
        actix_web::rt::spawn(async move {
            let mut headers = HeaderMap::new();
            headers.append(HeaderName::from_static("accept"), HeaderValue::from_static("text/html"));
            let head = RequestHeadRef {
                method: if body.is_some() { "POST" } else { "GET" },
                url: "http://localhost/",
                client_ip: "127.0.0.1",
                request_id: "r1",
                has_body: body.is_some(),
                options: HandlerOptions::default(),
            };
            let job = RenderJob {
                head,
                headers: Fields::of(&headers),
                body,
                retry_safe,
                wish: Wish::DOCUMENT,
                turn: None,
                terms: RouteTerms::default(),
                on_early_hints: None,
            };
            thread.render(job, limit).await
        })
    }

    /// Starts a job whose early hints are written down: a phase and its links.
    fn job_with_hints(&self) -> (Answer, HeardHints) {
        let (thread, heard) = (self.thread.clone(), HeardHints::default());
        let notes = heard.clone();
        let answer = actix_web::rt::spawn(async move {
            let head = RequestHeadRef {
                method: "GET",
                url: "http://localhost/",
                client_ip: "127.0.0.1",
                request_id: "r1",
                has_body: false,
                options: HandlerOptions::default(),
            };
            let hear = |hints: EarlyHints| {
                notes.borrow_mut().push((hints.phase, hints.links().map(str::to_owned).collect()));
            };
            let headers = HeaderMap::new();
            let job = RenderJob {
                head,
                headers: Fields::of(&headers),
                body: None,
                retry_safe: true,
                wish: Wish::DOCUMENT,
                turn: None,
                terms: RouteTerms::default(),
                on_early_hints: Some(&hear),
            };
            thread.render(job, None).await
        });
        (answer, heard)
    }

    fn failures(&self, cause: &str) -> u64 {
        self.pool.metrics.job_failures.with_label_values(&[cause]).get()
    }
}

type HeardHints = Rc<RefCell<Vec<(HintPhase, Vec<String>)>>>;

type Answer = actix_web::rt::task::JoinHandle<Result<Rendered, RenderError>>;

fn channel<Out: shared::message::Message, In: shared::message::Message>(
    stream: StdUnixStream,
) -> Channel<Out, In> {
    stream.set_nonblocking(true).unwrap();
    Channel::new(UnixStream::from_std(stream).unwrap())
}

/// The isolate's side of a link.
struct Isolate {
    id: IsolateId,
    channel: Channel<FromRenderer, ToRenderer>,
}

impl Isolate {
    async fn receive(&mut self) -> ToRenderer {
        self.channel.receive().await.unwrap().expect("the gateway closed the link")
    }

    async fn receive_job(&mut self) -> (u64, RequestHead) {
        match self.receive().await {
            ToRenderer::Job { id, head } => (id, head),
            other => panic!("no job: {other:?}"),
        }
    }

    async fn send(&mut self, messages: impl IntoIterator<Item = FromRenderer>) {
        messages.into_iter().for_each(|message| self.channel.queue(&message));
        self.channel.flush().await.unwrap();
    }
}

/// The worker's side of a link.
struct Worker {
    slot: Arc<WorkerSlot>,
    channel: Channel<FromWorker, ToWorker>,
}

impl Worker {
    async fn receive(&mut self) -> ToWorker {
        self.channel.receive().await.unwrap().expect("the gateway closed the link")
    }
}

fn head(id: u64) -> FromRenderer {
    let headers = vec![("content-type".into(), "text/html".into())];
    FromRenderer::Head { id, head: ResponseHead { status: 200, headers } }
}

fn body(id: u64, bytes: impl Into<Bytes>) -> FromRenderer {
    FromRenderer::Body { id, bytes: bytes.into() }
}

fn end(id: u64) -> FromRenderer {
    FromRenderer::End { id }
}

fn failed(id: u64, kind: FailureKind) -> FromRenderer {
    FromRenderer::Failed { id, failure: Failure { kind, detail: "why".into() } }
}
