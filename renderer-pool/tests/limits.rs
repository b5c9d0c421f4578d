//! What runs for too long or takes too much is ended, named and replaced; what runs beside it is not harmed.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test says what it expects in the shortest way")]

mod renderer;

use shared::message::control::{Examination, Examine};
use shared::message::{FailureKind, FromChild, FromRenderer, RetireReason, ToChild};
use shared::setup::IsolateLimits;

use renderer::{Renderer, app, head};

const LIMITS: IsolateLimits = IsolateLimits {
    max_turn_ms: 300,
    max_load_turn_ms: 600,
    max_external_bytes: 64 << 20,
    max_rss_bytes: 8 << 30,
    max_jobs_before_recycle: 0,
};

const HEAP: u64 = 512 << 20;

/// V8 unrolls the loop inside of `endsWith`, and the loop around it loses its check for interrupts.
const UNROLLED: &str = "await null;
    let turns = 0;
    const place = { url: request.url };
    while (place.url.endsWith('q=1')) turns++;";

/// Long enough for a loop to be compiled by V8's last compiler.
const COMPILED: IsolateLimits = IsolateLimits { max_turn_ms: 2000, ..LIMITS };

/// Filled quickly.
const SMALL_HEAP: u64 = 64 << 20;

/// A renderer whose bundle is the body of `fetch(request)`, with `url` in it; `/` answers at once.
async fn renderer(body: &str) -> Renderer {
    renderer_with_heap(body, HEAP).await
}

async fn renderer_with_heap(body: &str, heap: u64) -> Renderer {
    renderer_of(body, LIMITS, heap).await
}

async fn renderer_of(body: &str, limits: IsolateLimits, heap: u64) -> Renderer {
    let bundle = format!(
        "const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
         export default {{ async fetch(request) {{
           const url = new URL(request.url);
           if (url.pathname === '/') return new Response('ok');
           {body}
         }} }};"
    );
    Renderer::limited(app(&[("server/server.js", &bundle)]), limits, heap).await
}

async fn ready(renderer: &mut Renderer) {
    assert!(matches!(renderer.report().await, FromChild::IsolateReady { .. }));
}

async fn retirement(renderer: &mut Renderer) -> (RetireReason, bool) {
    match renderer.report().await {
        FromChild::Retire { reason, closed, .. } => (reason, closed),
        other => panic!("{other:?}"),
    }
}

async fn failure(renderer: &mut Renderer, id: u64) -> FailureKind {
    match renderer.hear().await {
        FromRenderer::Failed { id: found, failure } if found == id => failure.kind,
        other => panic!("{other:?}"),
    }
}

/// The job is terminated; its stack is in the log.
async fn ends_the_job(body: &str, place: &str) {
    ends_the_job_within(body, LIMITS, place).await;
}

async fn ends_the_job_within(body: &str, limits: IsolateLimits, place: &str) {
    let mut renderer = renderer_of(body, limits, HEAP).await;
    ready(&mut renderer).await;
    renderer.job(1, head("POST", "/bad?q=1")).await;
    assert_eq!(failure(&mut renderer, 1).await, FailureKind::TurnLimit);
    assert_eq!(retirement(&mut renderer).await, (RetireReason::TurnLimit, true));
    let log = renderer.log_with("a request was terminated").await;
    assert!(log.contains("/bad?q=1") && log.contains(place), "{log}");
    renderer.job(2, head("GET", "/")).await;
    assert_eq!(failure(&mut renderer, 2).await, FailureKind::NotReady);
}

#[tokio::test]
async fn an_endless_loop_is_ended() {
    ends_the_job("function spin() { for (;;); } spin();", "at spin").await;
}

#[tokio::test]
async fn an_endless_loop_around_one_that_v8_unrolls_is_ended() {
    ends_the_job_within(UNROLLED, COMPILED, "at fetch").await;
}

#[tokio::test]
async fn a_turn_that_stands_still_is_ended() {
    let body = "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);";
    ends_the_job(body, "at fetch").await;
}

#[tokio::test]
async fn what_cannot_be_interrupted_ends_its_process() {
    // Hours of work in one call of a function that is not JavaScript.
    let bundle = "import { pbkdf2Sync } from 'node:crypto';
        export default { fetch(request) {
          if (request.url.endsWith('/bad')) pbkdf2Sync('password', 'salt', 2_000_000_000, 64, 'sha512');
          return new Response('ok');
        } };";
    let mut renderer = Renderer::bundle(bundle, |setup| setup.limits = LIMITS).await;
    renderer.job(1, head("GET", "/bad")).await;
    let ended = tokio::time::timeout(renderer::PATIENCE, renderer.process.wait()).await;
    assert_eq!(ended.expect("it runs on").unwrap().code(), Some(70));
}

#[tokio::test]
async fn an_endless_loop_after_a_pause_is_ended() {
    ends_the_job("await sleep(5); while (true) { url.pathname; }", "at fetch").await;
}

#[tokio::test]
async fn a_catastrophic_regular_expression_is_ended() {
    ends_the_job("function match() { return /^(a+)+$/.test('a'.repeat(60) + 'b'); } match();", "at match")
        .await;
}

#[tokio::test]
async fn an_endless_chain_of_microtasks_is_ended() {
    let body = "let links = 0;
                const link = () => { for (let i = 0; i < 100; i++) links += i; };
                async function chain() { for (;;) { await null; link(); } }
                await chain();";
    ends_the_job(body, "at chain").await;
}

#[tokio::test]
async fn an_endless_chain_of_ticks_is_ended() {
    let body = "function tick() { process.nextTick(tick); } tick(); await new Promise(() => {});";
    ends_the_job(body, "processTicks").await;
}

#[tokio::test]
async fn endless_chains_of_turns_leave_others_theirs() {
    for chain in ["setImmediate", "setTimeout"] {
        let body = format!("const next = () => {chain}(next); next(); await new Promise(() => {{}});");
        let mut renderer = renderer(&body).await;
        ready(&mut renderer).await;
        renderer.job(9, head("GET", "/chain")).await;
        for _ in 0..20 {
            assert_eq!(renderer.get("/").await, (200, "ok".into()), "{chain}");
        }
    }
}

#[tokio::test]
async fn a_storm_of_promises_is_ended() {
    let body =
        "const storm = () => Promise.all([Promise.resolve().then(storm), Promise.resolve().then(() => {})]);
                await storm();";
    ends_the_job(body, "server.js").await;
}

#[tokio::test]
async fn a_loop_in_web_assembly_is_ended() {
    // (module (func (export "spin") (loop (br 0))))
    let body = "const bytes = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 8, 1, 4,
                  115, 112, 105, 110, 0, 0, 10, 9, 1, 7, 0, 3, 64, 12, 0, 11, 11]);
                (await WebAssembly.instantiate(bytes)).instance.exports.spin();";
    ends_the_job(body, "wasm").await;
}

#[tokio::test]
async fn a_loop_in_nobodys_name_is_ended_and_blamed_on_the_only_request() {
    let bundle = "const waiting = [];
        setInterval(() => waiting.shift()?.(), 5);
        export default { async fetch(request) {
          if (request.method === 'GET') return new Response('ok');
          await new Promise(() => waiting.push(function spin() { for (;;); }));
        } };";
    let mut renderer = Renderer::limited(app(&[("server/server.js", bundle)]), LIMITS, HEAP).await;
    ready(&mut renderer).await;
    renderer.job(1, head("POST", "/asks?for=it")).await;
    assert_eq!(failure(&mut renderer, 1).await, FailureKind::TurnLimit);
    assert_eq!(retirement(&mut renderer).await, (RetireReason::TurnLimit, true));
    let log = renderer.log_with("a request was terminated").await;
    assert!(log.contains("/asks?for=it") && log.contains("at spin"), "{log}");
}

#[tokio::test]
async fn a_loop_after_the_response_costs_the_client_nothing_and_is_named() {
    let mut renderer =
        renderer("setTimeout(() => { for (;;); }, 20); return new Response('answered');").await;
    ready(&mut renderer).await;
    assert_eq!(renderer.get("/late").await, (200, "answered".into()));
    assert_eq!(retirement(&mut renderer).await, (RetireReason::TurnLimit, true));
    let log = renderer.log_with("a request was terminated").await;
    assert!(log.contains("/late"), "{log}");
}

#[tokio::test]
async fn others_beside_it_are_answered_or_moved() {
    let body = "if (url.pathname === '/loop') { await sleep(50); for (;;); }
                await sleep(200);
                return new Response(request.method);";
    let mut renderer = renderer(body).await;
    ready(&mut renderer).await;
    for (id, method, path) in [(1, "GET", "/slow"), (2, "POST", "/slow"), (3, "GET", "/loop")] {
        renderer.job(id, head(method, path)).await;
    }
    let mut outcomes = std::collections::BTreeMap::new();
    while outcomes.len() < 3 {
        match renderer.hear().await {
            FromRenderer::Failed { id, failure } => outcomes.insert(id, format!("{:?}", failure.kind)),
            FromRenderer::End { id } => outcomes.insert(id, "answered".into()),
            _ => continue,
        };
    }
    let outcomes: Vec<_> = outcomes.into_values().collect();
    assert_eq!(outcomes, ["Displaced", "answered", "TurnLimit"]);
}

#[tokio::test]
async fn many_short_jobs_in_one_turn_are_no_long_one() {
    let body = "await null; const end = performance.now() + 60; while (performance.now() < end); return new Response('ok');";
    let mut renderer = renderer(body).await;
    ready(&mut renderer).await;
    for id in 1..=16 {
        renderer.job(id, head("GET", "/busy")).await;
    }
    let mut ended = 0;
    while ended < 16 {
        match renderer.hear().await {
            FromRenderer::End { .. } => ended += 1,
            FromRenderer::Failed { failure, .. } => panic!("{failure:?}"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_loop_while_the_app_loads_is_named() {
    let bundle = "function forever() { for (;;); }\nforever();\nexport default { fetch() {} };";
    let mut renderer = Renderer::limited(app(&[("server/server.js", bundle)]), LIMITS, HEAP).await;
    let FromChild::LoadFailed(failure) = renderer.report().await else { panic!("no failure") };
    assert!(failure.problem.contains("600ms of CPU time"), "{failure:?}");
    assert!(
        failure.problem.contains("at forever") && failure.problem.contains("server.js:1:"),
        "{failure:?}"
    );
}

#[tokio::test]
async fn a_loop_in_a_promise_while_the_app_loads_is_named() {
    let bundle = "async function forever() { await null; for (;;); }\nawait forever();\nexport default { fetch() {} };";
    let mut renderer = Renderer::limited(app(&[("server/server.js", bundle)]), LIMITS, HEAP).await;
    let FromChild::LoadFailed(failure) = renderer.report().await else { panic!("no failure") };
    assert!(failure.problem.contains("at forever"), "{failure:?}");
}

#[tokio::test]
async fn a_loop_in_the_warming_request_is_named_and_the_isolate_serves() {
    let bundle = "let state = 'whole';
      export default { fetch(request) {
        if (request.headers.has('x-isopod-warmup')) { state = 'half'; for (;;); }
        return new Response(state);
      } };";
    let mut renderer = Renderer::limited(app(&[("server/server.js", bundle)]), LIMITS, HEAP).await;
    ready(&mut renderer).await;
    let log = renderer.log_with("the warming request was terminated").await;
    assert!(log.contains("at fetch"), "{log}");
    assert_eq!(renderer.get("/").await, (200, "whole".into()));
}

#[tokio::test]
async fn a_full_heap_retires_the_isolate_and_ends_the_job_that_fills_it() {
    // Collections of a full heap take longer than a turn may.
    let limits = IsolateLimits { max_turn_ms: 60_000, ..LIMITS };
    let bundle = "export default { fetch(request) {
        const kept = [];
        if (request.url.endsWith('/fill')) for (;;) kept.push({ some: [1, 2, 3] });
        return new Response('ok'); } };";
    let mut renderer = Renderer::limited(app(&[("server/server.js", bundle)]), limits, SMALL_HEAP).await;
    ready(&mut renderer).await;
    renderer.job(1, head("GET", "/fill")).await;
    assert_eq!(failure(&mut renderer, 1).await, FailureKind::HeapLimit);
    assert_eq!(retirement(&mut renderer).await, (RetireReason::HeapLimit, true));
}

#[tokio::test]
async fn a_heap_that_fills_slowly_retires_the_isolate_while_it_serves() {
    let body =
        "globalThis.kept ??= []; kept.push(new Array(1_000_000).fill(1.5)); return new Response('ok');";
    let mut renderer = renderer_with_heap(body, SMALL_HEAP).await;
    ready(&mut renderer).await;
    let reason = loop {
        assert_eq!(renderer.get("/leak").await.0, 200);
        if let Some(FromChild::Retire { reason, closed, .. }) = renderer.report_now() {
            assert!(!closed);
            break reason;
        }
    };
    assert_eq!(reason, RetireReason::HeapLimit);
    assert_eq!(renderer.get("/").await, (200, "ok".into()));
}

#[tokio::test]
async fn buffers_are_refused_beyond_their_limit_and_count_before() {
    let body = "globalThis.kept ??= [];
                if (url.pathname === '/huge') {
                  try { new ArrayBuffer(65 << 20); } catch (error) { return new Response(error.name); }
                }
                kept.push(new Uint8Array(8 << 20).fill(1));
                return new Response('ok');";
    let mut renderer = renderer(body).await;
    ready(&mut renderer).await;
    assert_eq!(renderer.get("/huge").await, (200, "RangeError".into()));
    for _ in 0..7 {
        assert_eq!(renderer.get("/keep").await, (200, "ok".into()));
    }
    assert_eq!(retirement(&mut renderer).await, (RetireReason::ExternalLimit, false));
}

#[tokio::test]
async fn dead_buffers_are_no_reason_to_retire() {
    let mut renderer = renderer("new Uint8Array(8 << 20).fill(1); return new Response('ok');").await;
    ready(&mut renderer).await;
    for _ in 0..60 {
        assert_eq!(renderer.get("/drop").await, (200, "ok".into()));
        let said = renderer.report_now();
        assert!(!matches!(said, Some(FromChild::Retire { .. })), "{said:?}");
    }
}

#[tokio::test]
async fn an_isolate_is_replaced_after_so_many_jobs() {
    let limits = IsolateLimits { max_jobs_before_recycle: 5, ..LIMITS };
    let bundle = "export default { fetch() { return new Response('ok'); } };";
    let mut renderer = Renderer::limited(app(&[("server/server.js", bundle)]), limits, HEAP).await;
    ready(&mut renderer).await;
    for _ in 0..5 {
        assert_eq!(renderer.get("/").await, (200, "ok".into()));
    }
    assert_eq!(retirement(&mut renderer).await, (RetireReason::MaxJobs, false));
}

#[tokio::test]
async fn a_process_that_outgrows_its_memory_asks_for_its_replacement() {
    let limits = IsolateLimits { max_rss_bytes: 300 << 20, max_external_bytes: 1 << 30, ..LIMITS };
    let bundle = "const kept = []; export default { fetch(request) {
        if (request.url.endsWith('/keep')) kept.push(new Uint8Array(40 << 20).fill(1));
        return new Response('ok'); } };";
    let mut renderer = Renderer::limited(app(&[("server/server.js", bundle)]), limits, HEAP).await;
    ready(&mut renderer).await;
    let mut said = None;
    while said.is_none() {
        assert_eq!(renderer.get("/keep").await.0, 200);
        said = renderer.report_within(std::time::Duration::from_millis(150)).await;
    }
    assert!(
        matches!(
            said,
            Some(FromChild::Retire { isolate: None, reason: RetireReason::RssLimit, closed: false })
        ),
        "{said:?}"
    );
}

#[tokio::test]
async fn a_heap_snapshot_is_no_runaway_turn_and_its_memory_ends_nothing() {
    // The snapshot of so many objects takes seconds and some hundred MiB.
    let limits = IsolateLimits { max_turn_ms: 100, max_rss_bytes: 400 << 20, ..LIMITS };
    let bundle = "const kept = []; export default { fetch(request) {
        if (request.url.endsWith('/keep')) for (let i = 0; i < 40_000; i++) kept.push({ i, and: [i, {}] });
        return new Response('ok'); } };";
    let mut renderer = Renderer::limited(app(&[("server/server.js", bundle)]), limits, HEAP).await;
    ready(&mut renderer).await;
    for _ in 0..12 {
        assert_eq!(renderer.get("/keep").await.0, 200);
    }
    let file = renderer.scratch().join("heap");
    std::fs::File::create(&file).unwrap();
    let before = std::time::Instant::now();
    let snapshot = Examination { isolate: 0, what: Examine::HeapSnapshot, file, max_bytes: 1 << 30 };
    renderer.control.send(&ToChild::Examine(snapshot)).await.unwrap();
    let said = renderer.report_within(renderer::PATIENCE).await;
    assert_eq!(said, Some(FromChild::Examined { isolate: 0, problem: None }));
    assert!(before.elapsed().as_millis() > 300, "a turn of this length would have been too long");
    assert_eq!(renderer.get("/").await, (200, "ok".into()));
}

#[tokio::test]
async fn the_abort_delay_aborts_the_signal_and_the_job_goes_on() {
    let body = "const reason = await new Promise((resolve) =>
                  request.signal.addEventListener('abort', () => resolve(request.signal.reason)));
                return new Response(reason.name);";
    let mut renderer = renderer(body).await;
    ready(&mut renderer).await;
    renderer.job(1, head("GET", "/wait")).await;
    let reason = shared::message::CancelReason::AbortDelay;
    renderer.say(shared::message::ToRenderer::Cancel { id: 1, reason }).await;
    assert_eq!(renderer.response(1).await.2, "TimeoutError");
}

#[tokio::test]
async fn an_isolate_with_jobs_tells_how_long_its_thread_was_idle() {
    let mut renderer = renderer(
        "const until = Date.now() + 2000;
         if (url.pathname === '/wait') await sleep(2000);
         while (Date.now() < until) { const turn = Date.now() + 20; while (Date.now() < turn); await sleep(0); }
         return new Response('done');",
    )
    .await;
    ready(&mut renderer).await;
    renderer.job(1, head("GET", "/wait")).await;
    let waits = renderer.idle_time().await;
    assert!(waits.idle_us * 2 > waits.passed_us, "{waits:?}");
    renderer.job(2, head("GET", "/compute")).await;
    // The first one may have begun before.
    renderer.idle_time().await;
    let computes = renderer.idle_time().await;
    assert!(computes.idle_us * 2 < computes.passed_us, "{computes:?}");
}
