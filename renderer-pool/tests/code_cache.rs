//! Compiled code between starts of the real `renderer-pool` process.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test says what it expects in the shortest way")]

mod renderer;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use shared::message::FromChild;
use shared::message::control::CodeUse;
use tempfile::TempDir;

use renderer::{Renderer, app};

const PAGE: &str = r#"
    export function page(name) {
      const words = ["compiled", "once"];
      return `${name}: ${words.map((word) => word.toUpperCase()).join(" ")}`;
    }
"#;

/// An entry, a module, a CommonJS package, and a module of Node's that no snapshot holds.
fn mixed_app(greeting: &str) -> TempDir {
    let entry = format!(
        r#"import {{ page }} from "./page.js";
           import {{ EOL }} from "node:os";
           import lib from "lib";
           import {{ helper }} from "lib";
           export default {{ fetch: () => new Response(page("{greeting}") + lib.helper(EOL.length) + helper(1)) }};"#
    );
    app(&[
        ("server/server.js", &entry),
        ("server/page.js", PAGE),
        ("node_modules/lib/package.json", r#"{ "name": "lib", "main": "index.js" }"#),
        ("node_modules/lib/index.js", "exports.helper = (n) => ` +${n}`;"),
    ])
}

/// Starts a renderer, asks it for its page, and says where its code came from.
async fn start(app: &Path, cache: &Path) -> (String, CodeUse) {
    let mut renderer = Renderer::spawn_cached(app, &[], Some(cache)).await;
    let FromChild::IsolateReady { code, .. } = renderer.report().await else { panic!("not ready") };
    let (status, body) = renderer.get("/").await;
    assert_eq!(status, 200, "{body}");
    (body, code)
}

fn packs(cache: &Path) -> Vec<PathBuf> {
    fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn only_pack(cache: &Path) -> PathBuf {
    let packs = packs(cache);
    assert_eq!(packs.len(), 1, "{packs:?}");
    packs[0].clone()
}

#[tokio::test]
async fn the_second_start_compiles_nothing() {
    let (app, cache) = (mixed_app("hi"), tempfile::tempdir().unwrap());
    let (first, code) = start(app.path(), cache.path()).await;
    assert_eq!(first, "hi: COMPILED ONCE +1 +1");
    assert!(code.cached == 0 && code.compiled >= 4, "{code:?}");
    let kept = code.compiled;
    let (second, code) = start(app.path(), cache.path()).await;
    assert_eq!(second, first);
    assert_eq!(code, CodeUse { cached: kept, compiled: 0 });
}

#[tokio::test]
async fn functions_that_ran_for_the_first_page_are_kept_compiled() {
    let body = "  total += Math.sqrt(total + 1) * 3;\n".repeat(500);
    let entry = format!(
        "let total = 0;\nfunction ran() {{\n{body}}}\nfunction waits() {{\n{body}}}\n\
         export default {{ fetch: () => {{ ran(); return new Response(typeof waits); }} }};"
    );
    let idle = entry.replace("ran(); return", "return");
    let cache = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    for (entry, cache) in [&entry, &idle].into_iter().zip(&cache) {
        start(app(&[("server/server.js", entry)]).path(), cache.path()).await;
    }
    let [with, without] = cache.map(|cache| fs::metadata(only_pack(cache.path())).unwrap().len());
    assert!(with > without + 5000, "{with} and {without} bytes");
}

#[tokio::test]
async fn a_changed_module_is_compiled_and_the_others_are_not() {
    let (app, cache) = (mixed_app("hi"), tempfile::tempdir().unwrap());
    let (_, before) = start(app.path(), cache.path()).await;
    // As long as it was: V8 itself compares no more than the length.
    fs::write(app.path().join("server/page.js"), PAGE.replace("once", "TWOs")).unwrap();
    let (body, code) = start(app.path(), cache.path()).await;
    assert_eq!(body, "hi: COMPILED TWOS +1 +1");
    assert_eq!(code, CodeUse { cached: before.compiled - 1, compiled: 1 });
    let (_, code) = start(app.path(), cache.path()).await;
    assert_eq!(code, CodeUse { cached: before.compiled, compiled: 0 });
}

#[tokio::test]
async fn a_damaged_file_is_made_again() {
    let (app, cache) = (mixed_app("hi"), tempfile::tempdir().unwrap());
    let (page, whole) = start(app.path(), cache.path()).await;
    let pack = only_pack(cache.path());
    let bytes = fs::read(&pack).unwrap();
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 1;
    for damaged in [&flipped[..], &bytes[..bytes.len() - 1], b"", b"something else entirely, and long enough"]
    {
        fs::write(&pack, damaged).unwrap();
        assert_eq!(start(app.path(), cache.path()).await, (page.clone(), whole), "compiled as at first");
        let (_, code) = start(app.path(), cache.path()).await;
        assert_eq!(code, CodeUse { cached: whole.compiled, compiled: 0 });
    }
}

#[tokio::test]
async fn what_others_could_have_written_is_not_run() {
    let (app, cache) = (mixed_app("hi"), tempfile::tempdir().unwrap());
    start(app.path(), cache.path()).await;
    fs::set_permissions(only_pack(cache.path()), fs::Permissions::from_mode(0o666)).unwrap();
    let (_, code) = start(app.path(), cache.path()).await;
    assert_eq!(code.cached, 0);
}

#[tokio::test]
async fn a_directory_that_is_not_there_costs_time_alone() {
    let app = mixed_app("hi");
    let (body, code) = start(app.path(), &app.path().join("absent")).await;
    assert_eq!(body, "hi: COMPILED ONCE +1 +1");
    assert_eq!(code.cached, 0);
}

#[tokio::test]
async fn renderers_that_start_together_leave_one_whole_file() {
    let (app, cache) = (mixed_app("hi"), tempfile::tempdir().unwrap());
    let starts = (0..4).map(|_| start(app.path(), cache.path()));
    let pages = deno_core::futures::future::join_all(starts).await;
    assert!(pages.iter().all(|(page, _)| page == "hi: COMPILED ONCE +1 +1"));
    only_pack(cache.path());
    let (_, code) = start(app.path(), cache.path()).await;
    assert_eq!(code.compiled, 0);
}
