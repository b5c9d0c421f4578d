//! The real `renderer-pool` process with small real bundles, spoken to over the wire as the gateway does.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test says what it expects in the shortest way")]

mod renderer;

use bytes::Bytes;
use shared::head::{RequestHead, ResponseHead};
use shared::message::{AnswerKind, CancelReason, FailureKind, FromRenderer, Outcome, ToChild, ToRenderer};
use shared::window::INITIAL_WINDOW;
use tokio::time::timeout;

use renderer::{PATIENCE, Renderer, app, head};

#[tokio::test]
async fn a_bundle_sees_the_request_and_its_response_arrives_whole() {
    let mut renderer = Renderer::with_fetch(
        r#"const headers = new Headers([["content-type", "application/json"]]);
           headers.append("set-cookie", "a=1");
           headers.append("set-cookie", "b=2");
           return new Response(JSON.stringify({
             method: request.method, url: request.url, name: request.headers.get("x-name"),
             env: Object.keys(process.env), deno: typeof Deno, host: typeof globalThis.__bootstrap,
           }), { status: 201, headers });"#,
    )
    .await;
    renderer.job(1, head("GET", "/a?b=%20c")).await;
    let (status, headers, body) = renderer.response(1).await;
    assert_eq!(status, 201);
    let cookies: Vec<_> = headers.iter().filter(|(name, _)| name == "set-cookie").map(|(_, v)| v).collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    assert_eq!(
        body,
        r#"{"method":"GET","url":"http://app.test/a?b=%20c","name":"café","env":["NODE_ENV"],"deno":"undefined","host":"undefined"}"#
    );
}

#[tokio::test]
async fn a_stream_leaves_chunk_by_chunk() {
    let mut renderer = Renderer::with_fetch(
        r#"const encoder = new TextEncoder();
           return new Response(new ReadableStream({
             async start(controller) {
               for (const word of ["one", "two", "three"]) {
                 controller.enqueue(encoder.encode(word));
                 await new Promise((resolve) => setTimeout(resolve, 20));
               }
               controller.close();
             },
           }));"#,
    )
    .await;
    renderer.job(1, head("GET", "/")).await;
    assert!(matches!(renderer.hear().await, FromRenderer::Head { .. }));
    for word in ["one", "two", "three"] {
        assert_eq!(renderer.hear().await, FromRenderer::Body { id: 1, bytes: word.into() });
    }
    assert_eq!(renderer.hear().await, FromRenderer::End { id: 1 });
}

#[tokio::test]
async fn an_uploads_bytes_arrive_under_its_window() {
    let mut renderer = Renderer::with_fetch(
        r#"let bytes = 0;
           if (request.body) for await (const chunk of request.body) bytes += chunk.byteLength;
           return new Response(String(bytes));"#,
    )
    .await;
    renderer.job(1, RequestHead { has_body: true, ..head("POST", "/") }).await;
    let chunk = Bytes::from(vec![7; 64 * 1024]);
    let mut window = INITIAL_WINDOW;
    for _ in 0..32 {
        while window < chunk.len() {
            let FromRenderer::Credit { bytes, .. } = renderer.hear().await else { panic!("no credit") };
            window += bytes as usize;
        }
        window -= chunk.len();
        renderer.say(ToRenderer::Body { id: 1, bytes: chunk.clone() }).await;
    }
    renderer.say(ToRenderer::BodyEnd { id: 1 }).await;
    let body = loop {
        match renderer.hear().await {
            FromRenderer::Body { bytes, .. } => break bytes,
            FromRenderer::Credit { .. } | FromRenderer::Head { .. } => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(body, (32 * chunk.len()).to_string());
}

#[tokio::test]
async fn an_upload_that_breaks_off_fails_its_reader_alone() {
    let mut renderer = Renderer::with_fetch(
        r#"try { return new Response(await request.text()); }
           catch (error) { return new Response(error.name, { status: 400 }); }"#,
    )
    .await;
    renderer.job(1, RequestHead { has_body: true, ..head("POST", "/") }).await;
    renderer.say(ToRenderer::Body { id: 1, bytes: "half".into() }).await;
    renderer.say(ToRenderer::Cancel { id: 1, reason: CancelReason::BodyFailed }).await;
    let (status, _, body) = renderer.response(1).await;
    assert_eq!((status, body.as_str()), (400, "TypeError"));
    assert_eq!(renderer.get("/").await, (200, String::new()));
}

#[tokio::test]
async fn a_stream_waits_for_its_readers_credit() {
    let mut renderer = Renderer::with_fetch(
        r#"if (request.url.endsWith("/pulled")) return new Response(String(globalThis.pulled));
           globalThis.pulled = 0;
           return new Response(new ReadableStream({
             pull(controller) { globalThis.pulled++; controller.enqueue(new Uint8Array(32 * 1024)); },
           }));"#,
    )
    .await;
    renderer.job(7, head("GET", "/endless")).await;
    let mut received = 0;
    while received < INITIAL_WINDOW {
        if let FromRenderer::Body { bytes, .. } = renderer.hear().await {
            received += bytes.len();
        }
    }
    let (_, pulled) = renderer.get("/pulled").await;
    let pulled: usize = pulled.parse().unwrap();
    assert!(pulled * 32 * 1024 <= INITIAL_WINDOW + 3 * 32 * 1024, "{pulled} chunks were pulled");
}

#[tokio::test]
async fn what_one_job_throws_hurts_no_other() {
    let mut renderer = Renderer::with_fetch(
        r#"if (request.url.endsWith("/throw")) throw new Error("boom", { cause: new Error("why") });
           if (request.url.endsWith("/reject")) Promise.reject(new Error("left behind"));
           if (request.url.endsWith("/timer")) setTimeout(() => { throw new Error("late"); }, 0);
           if (request.url.endsWith("/nothing")) return undefined;
           await new Promise((resolve) => setTimeout(resolve, 5));
           return new Response("fine");"#,
    )
    .await;
    for path in ["/throw", "/nothing"] {
        renderer.job(1, head("GET", path)).await;
        let FromRenderer::Failed { failure, .. } = renderer.hear().await else { panic!("no failure") };
        assert_eq!(failure.kind, FailureKind::Threw);
        if path == "/throw" {
            assert!(failure.detail.contains("boom") && failure.detail.contains("Caused by"), "{failure:?}");
        }
    }
    for path in ["/reject", "/timer", "/"] {
        assert_eq!(renderer.get(path).await, (200, "fine".into()));
    }
}

#[tokio::test]
async fn a_cancelled_job_hears_why() {
    let mut renderer = Renderer::with_fetch(
        r#"if (request.url.endsWith("/reasons")) return new Response(globalThis.reasons.join());
           globalThis.reasons ??= [];
           await new Promise((resolve) => request.signal.addEventListener("abort", resolve));
           globalThis.reasons.push(request.signal.reason.name);
           return new Response("too late");"#,
    )
    .await;
    for (id, reason) in [(1, CancelReason::ClientGone), (2, CancelReason::Timeout)] {
        renderer.job(id, head("GET", "/")).await;
        renderer.say(ToRenderer::Cancel { id, reason }).await;
        let FromRenderer::Failed { failure, .. } = renderer.hear().await else { panic!("no failure") };
        assert_eq!(failure.kind, FailureKind::Cancelled);
    }
    assert_eq!(renderer.get("/reasons").await, (200, "AbortError,TimeoutError".into()));
}

#[tokio::test]
async fn async_local_storage_follows_each_request() {
    let bundle = r#"
        import { AsyncLocalStorage } from "node:async_hooks";
        const storage = new AsyncLocalStorage();
        const pause = () => new Promise((resolve) => setTimeout(resolve, Math.random() * 5));
        export default {
          fetch: (request) => storage.run(new URL(request.url).pathname, async () => {
            await pause();
            const stream = new ReadableStream({
              async start(controller) {
                await pause();
                controller.enqueue(new TextEncoder().encode(storage.getStore()));
                controller.close();
              },
            });
            return new Response(stream);
          }),
        };"#;
    let mut renderer = Renderer::spawn(app(&[("server/server.js", bundle)])).await;
    renderer.report().await;
    for id in 1..=16 {
        renderer.job(id, head("GET", &format!("/{id}"))).await;
    }
    let mut ended = 0;
    while ended < 16 {
        match renderer.hear().await {
            FromRenderer::Body { id, bytes } => assert_eq!(bytes, format!("/{id}")),
            FromRenderer::End { .. } => ended += 1,
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_native_call_goes_out_and_its_reply_comes_back() {
    let mut renderer = Renderer::with_fetch(
        r#"if (new URL(request.url).pathname === "/") return new Response();
           const host = globalThis[Symbol.for("isopod.host")];
           try { return Response.json(await host.callNative("threads.list", { limit: 2 })); }
           catch (error) { return Response.json([error.name, error.status, error.message]); }"#,
    )
    .await;
    let outcomes = [
        (Outcome::Value(r#"{"total":2}"#.into()), r#"{"total":2}"#),
        (Outcome::failed(404, "no such function"), r#"["NativeError",404,"no such function"]"#),
    ];
    for (outcome, expected) in outcomes {
        renderer.job(1, head("GET", "/call")).await;
        let FromRenderer::Call { id, call, name, input, .. } = renderer.hear().await else {
            panic!("no call")
        };
        assert_eq!((id, name.as_str(), &input[..]), (1, "threads.list", &br#"{"limit":2}"#[..]));
        renderer.say(ToRenderer::Reply { id, call, outcome }).await;
        let (_, _, body) = renderer.response(1).await;
        assert_eq!(body, expected);
    }
}

#[tokio::test]
async fn a_native_call_may_redirect_answer_whole_and_set_cookies() {
    let mut renderer = Renderer::with_fetch(
        r#"if (new URL(request.url).pathname === "/") return new Response();
           const host = globalThis[Symbol.for("isopod.host")];
           try {
             const value = await host.callNative("f", null);
             if (value instanceof Response) return value;
             return Response.json(value, { headers: { "set-cookie": "own=1", "x-own": "mine" } });
           } catch (error) {
             return Response.json([error instanceof Response, error.status ?? 0, error.options?.to ?? error.isNotFound]);
           }"#,
    )
    .await;
    let answer = |kind, status, headers: &[(&'static str, &'static str)], body: &'static str| {
        let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Outcome::Answer { kind, head: ResponseHead { status, headers }, body: body.into() }
    };
    let cookie = ("set-cookie", "theirs=1");
    let outcomes = [
        (answer(AnswerKind::Value, 200, &[cookie, ("x-own", "theirs"), ("x-theirs", "1")], "7"), 200, "7"),
        (
            answer(AnswerKind::Redirect, 307, &[], r#"{"to":"/a","isSerializedRedirect":true}"#),
            200,
            r#"[true,307,"/a"]"#,
        ),
        (answer(AnswerKind::NotFound, 404, &[], r#"{"isNotFound":true}"#), 200, "[false,0,true]"),
        (answer(AnswerKind::Response, 201, &[("x-theirs", "1")], "raw"), 201, "raw"),
    ];
    for (outcome, expected_status, expected) in outcomes {
        renderer.job(1, head("GET", "/call")).await;
        let FromRenderer::Call { id, call, head, .. } = renderer.hear().await else { panic!("no call") };
        let head = RequestHead::decode(head).unwrap();
        assert!(head.url.ends_with(b"/call"), "the call brings its request along");
        let beside = matches!(outcome, Outcome::Answer { kind: AnswerKind::Value, .. });
        renderer.say(ToRenderer::Reply { id, call, outcome }).await;
        let (status, fields, body) = renderer.response(1).await;
        assert_eq!((status, &body[..]), (expected_status, expected));
        if beside {
            let fields = format!("{fields:?}");
            for told in ["own=1", "theirs=1", "mine", "x-theirs"] {
                assert!(fields.contains(told), "{told} is not in {fields}");
            }
            assert!(!fields.contains("\"theirs\""), "the response's own fields stay: {fields}");
        }
    }
}

#[tokio::test]
async fn the_webs_globals_are_there() {
    let mut renderer = Renderer::with_fetch(
        r#"if (new URL(request.url).pathname === "/") return new Response();
           const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode("abc"));
           const form = new FormData();
           form.append("file", new File(["x"], "x.txt"));
           const zipped = new Response(new Blob(["hello"]).stream().pipeThrough(new CompressionStream("gzip")));
           const unzipped = (await zipped.blob()).stream().pipeThrough(new DecompressionStream("gzip"));
           const { port1, port2 } = new MessageChannel();
           const heard = new Promise((resolve) => port2.onmessage = (event) => resolve(event.data));
           port1.postMessage("over");
           return Response.json({
             digest: new Uint8Array(digest)[0], uuid: crypto.randomUUID().length, form: form.get("file").name,
             zip: await new Response(unzipped).text(), message: await heard, now: performance.now() > 0,
             pattern: new URLPattern({ pathname: "/:id" }).exec("http://a/7").pathname.groups.id,
             clone: structuredClone(new Map([[1, 2]])).get(1), base64: atob(btoa("hi")),
             signal: AbortSignal.any([AbortSignal.abort()]).aborted, fetch: typeof fetch, self: self === globalThis,
           });"#,
    )
    .await;
    let (_, body) = renderer.get("/globals").await;
    assert_eq!(
        body,
        r#"{"digest":186,"uuid":36,"form":"x.txt","zip":"hello","message":"over","now":true,"pattern":"7","clone":2,"base64":"hi","signal":true,"fetch":"function","self":true}"#
    );
}

#[tokio::test]
async fn a_head_request_gets_no_body() {
    let mut renderer = Renderer::with_fetch(r#"return new Response("long");"#).await;
    renderer.job(1, head("HEAD", "/")).await;
    let (status, _, body) = renderer.response(1).await;
    assert_eq!((status, body.as_str()), (200, ""));
}

#[tokio::test]
async fn an_app_that_cannot_run_says_which_file_and_what_to_do() {
    let cases: [(&[(&str, &str)], &str); 6] = [
        (&[("client/index.txt", "")], "cannot be read"),
        (&[("server/server.js", "this is no JavaScript")], "Unexpected identifier"),
        (&[("server/server.js", "export default {};")], "no function `fetch`"),
        (&[("server/server.js", "throw new Error('no database'); export default {};")], "no database"),
        (&[("server/server.js", "import pg from 'pg'; export default { fetch() {} };")], "package `pg`"),
        (
            &[("server/server.js", "import './chunk.js'; export default { fetch() {} };")],
            "chunk.js` cannot be read",
        ),
    ];
    for (files, problem) in cases {
        let failure = Renderer::load_failure(files).await;
        assert!(failure.problem.contains(problem), "{failure:?}");
        assert_eq!(failure.file, "server/server.js");
        assert!(!failure.remedy.is_empty());
    }
}

#[tokio::test]
async fn a_drain_lets_running_jobs_finish() {
    let mut renderer = Renderer::with_fetch(
        r#"return new Response(new ReadableStream({
             async start(controller) {
               controller.enqueue(new TextEncoder().encode("begun, "));
               await new Promise((resolve) => setTimeout(resolve, 50));
               controller.enqueue(new TextEncoder().encode("done"));
               controller.close();
             },
           }));"#,
    )
    .await;
    renderer.job(1, head("GET", "/")).await;
    assert!(matches!(renderer.hear().await, FromRenderer::Head { .. }), "it runs");
    renderer.control.send(&ToChild::Drain).await.unwrap();
    for piece in ["begun, ", "done"] {
        assert_eq!(renderer.hear().await, FromRenderer::Body { id: 1, bytes: piece.into() });
    }
    assert_eq!(renderer.hear().await, FromRenderer::End { id: 1 });
    let status = timeout(PATIENCE, renderer.process.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn the_process_ends_with_its_supervisor_even_inside_an_endless_turn() {
    let mut renderer =
        Renderer::with_fetch(r#"if (request.url.endsWith("/loop")) for (;;) {} return new Response();"#)
            .await;
    renderer.job(1, head("GET", "/loop")).await;
    drop(renderer.control);
    timeout(PATIENCE, renderer.process.wait()).await.unwrap().unwrap();
}
