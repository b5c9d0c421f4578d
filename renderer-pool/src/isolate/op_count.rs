//! How often a request crosses from JavaScript to Rust: a crossing that a change adds shows here.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use deno_core::{OpMetricsEvent, OpMetricsFactoryFn};
use shared::head::{HandlerOptions, RequestHead};
use shared::link::Channel;
use shared::message::{FromRenderer, ToRenderer};
use shared::setup::{RendererSetup, SandboxMode};

use super::code_cache::CodeCache;
use super::code_cache::recorder::Recorder;
use super::runtime::Isolate;
use super::start_clock::StartClock;
use crate::job::JobTable;
use crate::watchdog::probe::Probe;

thread_local! {
    static CALLS: RefCell<BTreeMap<&'static str, usize>> = const { RefCell::new(BTreeMap::new()) };
}

/// Counts every op of the isolates that this thread makes.
pub fn counting() -> OpMetricsFactoryFn {
    Box::new(|_, _, op| {
        let name = op.name;
        Some(Rc::new(move |_, event, _| {
            if matches!(event, OpMetricsEvent::Dispatched) {
                CALLS.with_borrow_mut(|calls| *calls.entry(name).or_default() += 1);
            }
        }))
    })
}

type Gateway = Channel<ToRenderer, FromRenderer>;

/// An isolate with a bundle in it, and the gateway's end of its link.
struct Subject {
    isolate: Isolate,
    jobs: Rc<RefCell<JobTable>>,
    gateway: Gateway,
    _app: tempfile::TempDir,
}

impl Subject {
    async fn of(bundle: &str) -> Self {
        let app = tempfile::tempdir().unwrap();
        std::fs::create_dir(app.path().join("server")).unwrap();
        std::fs::write(app.path().join("server/server.js"), bundle).unwrap();
        let (gateway, link) = Gateway::pair().unwrap();
        let jobs = Rc::new(RefCell::new(JobTable::new(vec![link], 4)));
        let setup = RendererSetup {
            max_jobs_per_isolate: 4,
            sandbox: SandboxMode::Off,
            ..RendererSetup::new(app.path(), app.path())
        };
        let code = Recorder::new(Arc::new(CodeCache::off()));
        let clock = StartClock::new();
        let isolate = Isolate::boot(&setup, jobs.clone(), code, Arc::new(Probe::new(0)), &clock)
            .unwrap()
            .load(&setup, &clock)
            .await
            .unwrap();
        Self { isolate, jobs, gateway, _app: app }
    }

    /// The ops of one request to a page, by name, once an equal one was answered before.
    async fn calls(&mut self) -> BTreeMap<&'static str, usize> {
        self.answer(1).await;
        CALLS.with_borrow_mut(BTreeMap::clear);
        self.answer(2).await;
        CALLS.take()
    }

    async fn answer(&mut self, id: u64) {
        let text = |name: &str, value: &str| (name.to_owned().into(), value.to_owned().into());
        let head = RequestHead {
            method: "GET".into(),
            url: "http://app.test/page?a=1".into(),
            client_ip: "127.0.0.1".into(),
            request_id: "r".into(),
            has_body: false,
            options: HandlerOptions::default(),
            headers: vec![text("accept", "text/html"), text("cookie", "a=b")],
        };
        self.gateway.send(&ToRenderer::Job { id, head }).await.unwrap();
        let mut events = Vec::new();
        std::future::poll_fn(|cx| {
            let _ = self.jobs.borrow_mut().poll_events(cx, &mut events);
            self.isolate.deliver(&mut events.drain(..));
            self.isolate.poll(cx).unwrap();
            let _ = self.jobs.borrow_mut().poll_flush(cx, &mut events);
            while let Poll::Ready(message) = self.gateway.poll_receive(cx) {
                match message.unwrap().unwrap() {
                    FromRenderer::End { .. } => return Poll::Ready(()),
                    FromRenderer::Failed { failure, .. } => panic!("{failure:?}"),
                    _ => {}
                }
            }
            Poll::Pending
        })
        .await;
    }
}

async fn calls(bundle: &str) -> Vec<(&'static str, usize)> {
    Subject::of(bundle).await.calls().await.into_iter().collect()
}

#[tokio::test]
async fn a_page_of_text_crosses_three_times() {
    let bundle = "export default { fetch: () => new Response('words') }";
    assert_eq!(calls(bundle).await, [("op_job_end", 1), ("op_job_head", 1), ("op_job_write_text", 1)]);
}

#[tokio::test]
async fn headers_of_a_request_are_read_without_crossing() {
    let bundle = "export default { fetch(request) {
        const cookie = request.headers.get('cookie');
        return new Response(cookie + [...request.headers].length + request.method + request.ip);
    } }";
    assert_eq!(calls(bundle).await, [("op_job_end", 1), ("op_job_head", 1), ("op_job_write_text", 1)]);
}

#[tokio::test]
async fn a_stream_crosses_once_for_each_chunk() {
    let bundle = "const chunk = new Uint8Array(100);
        export default { fetch: () => new Response(new ReadableStream({
            start(controller) {
                for (let i = 0; i < 5; i++) controller.enqueue(chunk);
                controller.close();
            },
        })) }";
    let expected = [("op_is_array_buffer", 1), ("op_job_end", 1), ("op_job_head", 1), ("op_job_write", 5)];
    assert_eq!(calls(bundle).await, expected);
}

/// What a framework's page does around its own work: reads the URL, listens for the end of the request, waits for a
/// timer and an immediate, keeps a value over them, encodes its text.
#[tokio::test]
async fn what_a_framework_does_for_a_page_crosses_as_often_as_it_did() {
    let bundle = "import { AsyncLocalStorage } from 'node:async_hooks';
        const storage = new AsyncLocalStorage();
        const encoder = new TextEncoder();
        export default { fetch: (request) => storage.run(1, async () => {
            const url = new URL(request.url);
            const stop = () => {};
            request.signal.addEventListener('abort', stop, { once: true });
            const timer = setTimeout(stop, 60_000);
            await new Promise((resolve) => setImmediate(resolve));
            clearTimeout(timer);
            request.signal.removeEventListener('abort', stop);
            const view = new Uint8Array(4096);
            return new Response(new ReadableStream({ pull(controller) {
                const { written } = encoder.encodeInto(`${url.pathname} ${storage.getStore()}`, view);
                controller.enqueue(view.subarray(0, written));
                controller.close();
            } }));
        }) }";
    let expected = [
        ("op_encode_into", 1),
        ("op_immediate_check", 2),
        ("op_is_array_buffer", 1),
        ("op_job_end", 1),
        ("op_job_head", 1),
        ("op_job_write", 1),
        ("op_node_new_async_id", 2),
        ("op_timer_now", 1),
        ("op_timer_schedule", 2),
        ("op_timer_track", 1),
        ("op_timer_untrack", 1),
    ];
    assert_eq!(calls(bundle).await, expected);
}
