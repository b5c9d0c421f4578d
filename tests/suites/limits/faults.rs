//! Every kind of fault, in a small bundle.

use tests::{Bundle, Cluster};

use super::incident::{CONFIG, Fault, Seen, Work, faults_happen, turn};

const ASKS: &str = "an isolate asks for its replacement";

pub const APP: &str = "
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const spin = () => { for (;;); };
  const encoder = new TextEncoder();
  switch (url.pathname) {
    case '/work': await sleep(5); return new Response('worked');
    case '/loop': spin();
    case '/loader': await sleep(10); while (true) { url.pathname; }
    case '/unrolled': {
      const around = () => { let turns = 0; while (url.pathname.endsWith('unrolled')) turns++; };
      await sleep(1); around();
    }
    case '/deep': { const deep = (n) => deep(n + 1) + 1; return new Response(String(deep(0))); }
    case '/natives': new Function('%SystemBreak()')(); return new Response();
    case '/stuck': { let turns = 0; while (url.pathname.endsWith('stuck')) turns++; return new Response(); }
    case '/still': Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    case '/regexp': /^(a+)+$/.test('a'.repeat(60) + 'b'); return new Response();
    case '/microtasks': for (;;) { await null; encoder.encode(url.pathname); }
    case '/promises': {
      const storm = () => Promise.all([Promise.resolve().then(storm), Promise.resolve().then(() => {})]);
      await storm();
    }
    case '/later': setTimeout(spin, 20); return new Response('answered');
    case '/stream': return new Response(new ReadableStream({
      start(controller) { controller.enqueue(encoder.encode('first')); },
      async pull() { await sleep(20); spin(); },
    }, { highWaterMark: 1 }));
    case '/heap': {
      globalThis.kept ??= [];
      for (let i = 0; i < 20; i++) kept.push(new Array(100_000).fill(1.5));
      return new Response('kept');
    }
    case '/list': return new Response(String([...'x'.repeat(2 ** 26)].length));
    case '/text': return new Response(String(encodeURIComponent('x'.repeat(2 ** 29 - 24)).length));
    case '/buffers': {
      globalThis.buffers ??= [];
      buffers.push(new Uint8Array(10 << 20).fill(1));
      return new Response('kept');
    }
    case '/exit': process.exit(3);
    case '/pid': await sleep(Number(url.searchParams.get('ms'))); return new Response(String(process.pid));
    case '/hang': await new Promise(() => {});
    case '/polite': await new Promise((resolve) => request.signal.addEventListener('abort', resolve));
      return new Response(request.signal.reason.name);
  }
  return new Response('ok');";

fn faults() -> Vec<Fault> {
    let ok = |text: &str| Seen::Answer(200, text.into());
    vec![
        turn("an endless loop", "/loop", "at spin"),
        turn("`while (true)` after an `await`", "/loader", "/loader"),
        turn("a loop around one that V8 unrolls", "/unrolled", "at around"),
        turn("`Atomics.wait` without an end", "/still", "at fetch"),
        turn("a catastrophic regular expression", "/regexp", "at fetch"),
        turn("an endless chain of microtasks", "/microtasks", "/microtasks"),
        turn("a storm of promises", "/promises", "/promises"),
        Fault { seen: ok("answered"), ..turn("a loop in a timer after the response", "/later", "at spin") },
        Fault { seen: Seen::Cut, ..turn("a loop in a stream", "/stream", "at spin") },
        Fault {
            name: "a heap that fills",
            path: "/heap",
            seen: ok("kept"),
            times: 40,
            reason: Some("heap_limit"),
            log: ASKS,
            place: "heap_limit",
        },
        Fault {
            name: "`ArrayBuffer`s that are kept",
            path: "/buffers",
            seen: ok("kept"),
            times: 20,
            reason: Some("external_limit"),
            log: ASKS,
            place: "external_limit",
        },
        Fault {
            name: "`process.exit()`",
            path: "/exit",
            seen: Seen::Answer(500, "500 The app failed.\n".into()),
            times: 1,
            reason: Some("isolate_failed"),
            log: "an isolate failed; its process will be replaced",
            place: "process.exit(3)",
        },
    ]
}

/// Limits on time are far away.
const GREEDY: &str = "
max_heap = \"128MiB\"
max_turn = \"1m\"
abort_delay = \"0ms\"
job_timeout = \"5m\"
restart_backoff = \"1ms\"
";

/// In one call of JavaScript, which is over only when it has all of its memory.
fn greedy_faults() -> Vec<Fault> {
    let list = turn("a list larger than the heap, in one call", "/list", "heap_limit");
    vec![Fault { reason: Some("heap_limit"), ..list }]
}

fn late_faults() -> Vec<Fault> {
    let ok = |text: &str| Seen::Answer(200, text.into());
    vec![
        Fault {
            name: "an answer that never comes",
            path: "/hang",
            seen: Seen::Answer(504, "504 The app took too long.\n".into()),
            times: 1,
            reason: None,
            log: "a request takes longer than abort_delay",
            place: "",
        },
        Fault {
            name: "an answer that comes when the signal aborts",
            path: "/polite",
            seen: ok("TimeoutError"),
            times: 1,
            reason: None,
            log: "a request takes longer than abort_delay",
            place: "",
        },
    ]
}

async fn happen(config: &str, faults: Vec<Fault>) {
    let cluster =
        Cluster::of(Bundle::fetch(APP)).renderers(2).spares(1).fn_workers(0).config(config).start().await;
    faults_happen(cluster, Work::BUNDLE, faults).await;
}

#[tokio::test]
async fn each_fault_costs_its_own_request_and_no_other() {
    happen(CONFIG, faults()).await;
}

#[tokio::test]
async fn a_call_that_takes_more_than_the_heap_may_hold_costs_its_own_request() {
    happen(GREEDY, greedy_faults()).await;
}

#[tokio::test]
async fn each_fault_of_time_costs_its_own_request_and_no_other() {
    happen("abort_delay = \"400ms\"\nabort_grace = \"200ms\"", late_faults()).await;
}
