//! No state crosses requests: ten thousand of them, each with an id of its own, and a thousand at a time that take
//! every way that an async context can go.

use std::time::Duration;

use tests::load::each;
use tests::{App, Bundle, Cluster};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const REQUESTS: usize = 10_000;
const AT_A_TIME: usize = 64;

async fn every_answer_carries_its_own_id_only(app: App) {
    let cluster = Cluster::of(app).config("max_jobs_per_isolate = 64").start().await;
    let wrong = each(0..REQUESTS, AT_A_TIME, async |number| {
        let (id, header) = (format!("id-{number}-end"), format!("header-{number}-end"));
        let request = cluster.client().get(cluster.url(&format!("/echo/{id}"))).header("x-echo", &header);
        let answer = cluster.answer(request).await;
        // React may part texts by empty comments.
        let html = answer.text().replace("<!-- -->", "");
        let foreign = |prefix: &str, own: &str| {
            html.match_indices(prefix).any(|(at, _)| {
                let rest = &html[at + prefix.len()..];
                rest.starts_with(|digit: char| digit.is_ascii_digit()) && !html[at..].starts_with(own)
            })
        };
        let own = html.contains(&format!(">{id}|{id}|{header}<"));
        let is_right = answer.status == 200 && own && !foreign("id-", &id) && !foreign("header-", &header);
        (!is_right).then_some((number, answer.status, html))
    })
    .await;
    let wrong: Vec<_> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{} of {REQUESTS} are wrong, such as {:?}", wrong.len(), wrong.first());
}

#[tokio::test]
async fn every_react_page_carries_its_own_id_only() {
    every_answer_carries_its_own_id_only(App::ThreadsReact).await;
}

#[tokio::test]
async fn every_solid_page_carries_its_own_id_only() {
    every_answer_carries_its_own_id_only(App::ThreadsSolid).await;
}

/// Each job takes its way through everything that carries an async context, in an order and with pauses that its
/// number decides, and notes wherever it finds another's.
const CONTEXTS: &str = r#"
import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks';
import { EventEmitter } from 'node:events';

const storage = new AsyncLocalStorage();
const shared = new EventTarget();
const emitter = new EventEmitter();
emitter.setMaxListeners(0);

// The same number gives the same way: a linear congruential generator.
function dice(seed) {
  let state = seed * 2654435761 >>> 0;
  return (sides) => (state = (state * 1664525 + 1013904223) >>> 0) % sides;
}

const ways = {
  promise: async (roll, check) => { for (let i = roll(5); i >= 0; i--) { await null; check(); } },
  thenable: async (roll, check) => {
    const value = await { then(resolve) { check(); setTimeout(() => { check(); resolve(7); }, roll(4)); } };
    check(value === 7);
  },
  timer: (roll, check) => new Promise((done) => setTimeout(() => { check(); setTimeout(() => { check(); done(); }, roll(3)); }, roll(8))),
  interval: (roll, check) => new Promise((done) => {
    let left = roll(3);
    const timer = setInterval(() => { check(); if (left-- === 0) { clearInterval(timer); done(); } }, 1);
  }),
  immediate: (roll, check) => new Promise((done) => setImmediate(() => { check(); done(); })),
  tick: (roll, check) => new Promise((done) => process.nextTick(() => { check(); done(); })),
  microtask: (roll, check) => new Promise((done) => queueMicrotask(() => { check(); done(); })),
  stream: async (roll, check) => {
    let left = 1 + roll(4);
    const source = new ReadableStream({
      async pull(controller) {
        check();
        await new Promise((resolve) => setTimeout(resolve, roll(3)));
        check();
        if (left-- === 0) controller.close(); else controller.enqueue(left);
      },
    });
    const through = new TransformStream({ transform(chunk, controller) { check(); controller.enqueue(chunk); } });
    for await (const chunk of source.pipeThrough(through)) check(chunk >= 0);
    check();
  },
  event: async (roll, check, id) => {
    const name = `event-${id}-${roll(1000)}`;
    const heard = new Promise((done) => shared.addEventListener(name, () => { check(); done(); }, { once: true }));
    setTimeout(() => { check(); shared.dispatchEvent(new Event(name)); }, roll(4));
    await heard;
    check();
  },
  emitter: async (roll, check, id) => {
    const name = `emit-${id}-${roll(1000)}`;
    const heard = new Promise((done) => emitter.once(name, () => { check(); done(); }));
    setTimeout(() => emitter.emit(name), roll(4));
    await heard;
    check();
  },
  resource: (roll, check) => new Promise((done) => {
    const resource = new AsyncResource('way');
    storage.run('another', () => setTimeout(() => resource.runInAsyncScope(() => { check(); done(); }), roll(4)));
  }),
  bound: (roll, check) => new Promise((done) => {
    const bound = AsyncLocalStorage.bind(() => { check(); done(); });
    storage.exit(() => setTimeout(bound, roll(4)));
  }),
  nested: async (roll, check) => {
    await storage.run({ id: 'inner' }, async () => {
      await new Promise((resolve) => setTimeout(resolve, roll(3)));
      check(storage.getStore().id === 'inner', true);
    });
    check();
  },
  fetch: async (roll, check, id, origin) => {
    const answer = await fetch(`${origin}/${id}?wait=${roll(10)}`);
    check();
    check(await answer.text() === `/${id}`);
    check();
  },
};
const names = Object.keys(ways);

export default {
  async fetch(request) {
    const url = new URL(request.url);
    if (url.pathname === '/') return new Response();
    const id = url.pathname.slice(1);
    const roll = dice(Number(id));
    const wrong = [];
    let checks = 0;
    return await storage.run({ id }, async () => {
      for (let step = 0; step < 24; step++) {
        const way = names[(roll(names.length) + step) % names.length];
        const check = (holds = true, own = false) => {
          checks++;
          if (!holds || (!own && storage.getStore()?.id !== id)) wrong.push(`${way}: ${storage.getStore()?.id}`);
        };
        await ways[way](roll, check, id, process.env.ORIGIN);
        check();
      }
      const body = new ReadableStream({
        async pull(controller) {
          await new Promise((resolve) => setTimeout(resolve, roll(4)));
          if (storage.getStore()?.id !== id) wrong.push('the response');
          controller.enqueue(new TextEncoder().encode(JSON.stringify({ id, checks, wrong })));
          controller.close();
        },
      });
      return new Response(body);
    });
  },
};
"#;

/// A server that answers a request with its own path, after as many milliseconds as the request says.
async fn origin() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                let head = String::from_utf8(head).unwrap();
                let (path, wait) = head.split(' ').nth(1).unwrap().split_once("?wait=").unwrap();
                tokio::time::sleep(Duration::from_millis(wait.parse().unwrap())).await;
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{path}",
                    path.len()
                );
                // The job may have gone.
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn a_thousand_interleaved_jobs_keep_their_async_contexts() {
    const JOBS: usize = 1000;
    let origin = origin().await;
    let cluster = Cluster::of(Bundle::new(CONTEXTS))
        .fn_workers(0)
        .env("ORIGIN", &origin)
        .config("max_jobs_per_isolate = 1000\nqueue_wait = \"30s\"")
        .start()
        .await;
    let answers = each(1..JOBS + 1, JOBS, async |number| {
        let answer = cluster.get(&format!("/{number}")).await;
        (number, answer.status, answer.text())
    })
    .await;
    assert_eq!(answers.len(), JOBS);
    let mut checks = 0;
    for (number, status, text) in answers {
        assert_eq!(status, 200, "job {number}: {text}\n{}", cluster.log());
        let seen: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(seen["id"], number.to_string());
        assert_eq!(seen["wrong"], serde_json::json!([]), "job {number} found another's context");
        checks += seen["checks"].as_u64().unwrap();
    }
    assert!(checks > 50_000, "{checks} looks");
}
