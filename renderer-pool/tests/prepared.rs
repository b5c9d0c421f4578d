//! A real `renderer-pool` process that waits for the order to load its app: what it does before, and what not.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test says what it expects in the shortest way")]

mod renderer;

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use shared::message::control::{CodeUse, StartPhases};
use shared::message::{FromChild, ToChild};
use shared::setup::{CodeCacheSetup, RendererSetup};

use renderer::{Renderer, app, setup};

const AHEAD: &str = "the app is compiled ahead";
const NOT_AHEAD: &str = "the app cannot be compiled ahead";

fn says(word: &str) -> String {
    format!("export default {{ fetch: () => new Response('{word}') }};")
}

/// A renderer that waits for the order to load the app.
async fn waiting(app: &Path) -> Renderer {
    Renderer::talkative(RendererSetup { waits: true, ..setup(app) }).await
}

struct Ready {
    startup_ms: u64,
    code: CodeUse,
    phases: StartPhases,
}

async fn ordered(renderer: &mut Renderer) -> Ready {
    renderer.control.send(&ToChild::Load).await.unwrap();
    match renderer.report().await {
        FromChild::IsolateReady { startup_ms, code, phases, .. } => Ready { startup_ms, code, phases },
        other => panic!("{other:?}"),
    }
}

fn now_ms() -> u128 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis()
}

#[tokio::test]
async fn the_app_is_compiled_ahead_and_runs_when_it_is_ordered() {
    let app = app(&[(
        "server/server.js",
        "const ran = Date.now(); export default { fetch: () => new Response(`${ran}`) };",
    )]);
    let mut renderer = waiting(app.path()).await;
    renderer.log_with(AHEAD).await;
    assert!(renderer.report_within(Duration::from_millis(100)).await.is_none(), "it was not told to");
    let told = now_ms();
    let Ready { startup_ms, phases, .. } = ordered(&mut renderer).await;
    let (_, ran) = renderer.get("/").await;
    assert!(ran.parse::<u128>().unwrap() >= told, "it ran at {ran}, and was ordered at {told}");
    assert!(phases.labelled().iter().all(|(phase, micros)| *micros > 0 || *phase == "keep"), "{phases:?}");
    let since_the_order = phases.evaluate_us + phases.warm_us + phases.keep_us;
    assert!(since_the_order < startup_ms * 1000 + 2000, "{startup_ms} {phases:?}");
    assert!(startup_ms * 1000 <= phases.load_us + since_the_order + 2000, "{startup_ms} {phases:?}");
}

#[tokio::test]
async fn what_the_first_page_imports_is_compiled_ahead_too() {
    let app = app(&[
        ("server/server.js", "export default { fetch: async () => (await import('./page.js')).page() };"),
        ("server/page.js", "import { word } from './word.js'; export const page = () => new Response(word);"),
        ("server/word.js", "export const word = 'lazy';"),
        ("server/other.js", "export const word = 'never';"),
    ]);
    let cache = tempfile::tempdir().unwrap();
    let code_cache = Some(CodeCacheSetup { directory: cache.path().into(), max_bytes: 64 << 20 });
    let kept = RendererSetup { code_cache, ..setup(app.path()) };
    let mut first = Renderer::spawn_setup(kept.clone()).await;
    let FromChild::IsolateReady { code, .. } = first.report().await else { panic!("not ready") };
    assert!(code.compiled >= 3, "{code:?}");
    let mut renderer = Renderer::talkative(RendererSetup { waits: true, ..kept }).await;
    let line = renderer.log_with(AHEAD).await;
    assert!(line.contains("modules=3"), "{line}");
    let ready = ordered(&mut renderer).await;
    assert_eq!(ready.code, CodeUse { cached: code.compiled, compiled: 0 });
    assert_eq!(renderer.get("/").await, (200, "lazy".to_owned()));
}

#[tokio::test]
async fn what_changes_before_the_order_is_loaded_as_it_is_then() {
    let app = app(&[("server/server.js", &says("early"))]);
    let mut renderer = waiting(app.path()).await;
    renderer.log_with(AHEAD).await;
    fs::write(app.path().join("server/server.js"), says("late")).unwrap();
    ordered(&mut renderer).await;
    renderer.log_with("the app has changed since").await;
    assert_eq!(renderer.get("/").await, (200, "late".to_owned()));
}

#[tokio::test]
async fn what_cannot_be_compiled_ahead_is_no_loss_if_it_can_be_loaded_then() {
    let app = app(&[("server/server.js", "export default {")]);
    let mut renderer = waiting(app.path()).await;
    renderer.log_with(NOT_AHEAD).await;
    fs::write(app.path().join("server/server.js"), says("whole")).unwrap();
    ordered(&mut renderer).await;
    assert_eq!(renderer.get("/").await, (200, "whole".to_owned()));
}

#[tokio::test]
async fn what_cannot_be_loaded_is_told_when_it_was_ordered() {
    let app = app(&[("server/server.js", "import './chunk.js'; export default {};")]);
    let mut renderer = waiting(app.path()).await;
    renderer.log_with(NOT_AHEAD).await;
    assert!(renderer.report_now().is_none(), "nobody asked");
    renderer.control.send(&ToChild::Load).await.unwrap();
    let FromChild::LoadFailed(failure) = renderer.report().await else { panic!("no failure") };
    assert!(failure.problem.contains("chunk.js` cannot be read"), "{failure:?}");
    assert_eq!(failure.file, "server/server.js");
}
