//! What the ecosystem's servers put on a request, in a real renderer.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test says what it expects in the shortest way")]

mod renderer;

use std::time::{Duration, Instant};

use shared::head::{HandlerOptions, JobContext, RequestHead};
use shared::message::{FromRenderer, HintPhase, ToChild};
use tokio::time::timeout;

use renderer::{PATIENCE, Renderer, head};

#[tokio::test]
async fn a_request_knows_its_client_and_its_runtime() {
    let mut renderer = Renderer::with_fetch(
        r#"return Response.json([request.ip, request.runtime.name, typeof request.waitUntil, typeof opts.waitUntil,
             Object.keys(request)]);"#,
    )
    .await;
    let (_, body) = renderer.get("/").await;
    assert_eq!(body, r#"["127.0.0.1","isopod","function","function",[]]"#);
}

#[tokio::test]
async fn the_handler_is_given_the_options_that_the_gateway_sends_and_no_others() {
    let mut renderer = Renderer::with_fetch(
        r#"opts.onEarlyHints?.({ phase: "static", links: ["</a.css>; rel=preload; as=style", "</b.js>; rel=modulepreload"] });
           opts.onEarlyHints?.({ phase: "dynamic", links: [] });
           return Response.json([Object.keys(opts), opts.context ?? null, opts.responseLinkHeader ?? null]);"#,
    )
    .await;
    assert_eq!(renderer.get("/").await.1, r#"[["waitUntil"],null,null]"#);

    let context = Some(JobContext::from_json(r#"{"user":{"name":"J\u00fcrgen","id":7}}"#.into()).unwrap());
    let options = HandlerOptions { context, early_hints: true, response_link_header: true };
    renderer.job(2, RequestHead { options, ..head("GET", "/") }).await;
    for (phase, links) in [
        (HintPhase::Static, &["</a.css>; rel=preload; as=style", "</b.js>; rel=modulepreload"][..]),
        (HintPhase::Dynamic, &[]),
    ] {
        let FromRenderer::EarlyHints { id: 2, hints } = renderer.hear().await else { panic!("no hints") };
        assert_eq!((hints.phase, hints.links().collect::<Vec<_>>()), (phase, links.to_vec()));
    }
    let (_, _, body) = renderer.response(2).await;
    let keys = r#"["waitUntil","context","onEarlyHints","responseLinkHeader"]"#;
    let name = "J\u{fc}rgen";
    assert_eq!(body, format!(r#"[{keys},{{"user":{{"name":"{name}","id":7}}}},true]"#));
}

#[tokio::test]
async fn a_context_that_is_no_json_fails_its_job_alone() {
    let mut renderer = Renderer::with_fetch("return new Response('fine');").await;
    let context = Some(JobContext::from_json("{".into()).unwrap());
    let options = HandlerOptions { context, ..HandlerOptions::default() };
    renderer.job(1, RequestHead { options, ..head("GET", "/") }).await;
    let FromRenderer::Failed { failure, .. } = renderer.hear().await else { panic!("it did not fail") };
    assert!(failure.detail.contains("SyntaxError"), "{}", failure.detail);
    assert_eq!(renderer.get("/").await.1, "fine");
}

#[tokio::test]
async fn work_outlives_its_response_and_a_drain_waits_for_it() {
    let mut renderer = Renderer::with_fetch(
        r#"if (request.url.endsWith("/done")) return new Response(String(globalThis.done));
           globalThis.done ??= 0;
           const work = async (ms) => { await new Promise((end) => setTimeout(end, ms)); globalThis.done++; };
           request.waitUntil(work(request.url.endsWith("/long") ? 400 : 1));
           opts?.waitUntil?.(Promise.reject(new Error("its own affair")));
           return new Response("at once");"#,
    )
    .await;
    assert_eq!(renderer.get("/short").await.1, "at once");
    while renderer.get("/done").await.1 == "0" {}
    assert_eq!(renderer.get("/long").await.1, "at once");
    let started = Instant::now();
    renderer.control.send(&ToChild::Drain).await.unwrap();
    let status = timeout(PATIENCE, renderer.process.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
    assert!(started.elapsed() > Duration::from_millis(200), "it did not wait: {:?}", started.elapsed());
}
