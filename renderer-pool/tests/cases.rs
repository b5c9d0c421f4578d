//! What the Web's standards and Node's documents promise, case by case, in a real renderer.
//!
//! The cases are JavaScript, in `tests/cases`: each runs under Node as well, which is how they were checked. The
//! table of `docs/compatibility.md` names them, and a test looks that it does.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test says what it expects in the shortest way")]

mod renderer;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use renderer::{Renderer, app};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

/// Runs the cases of a file; all must end well but those that are known to fail, which must fail.
async fn run(Cases { file, not, .. }: &Cases) {
    let read = |name: &str| std::fs::read_to_string(folder().join(name)).unwrap();
    let app =
        app(&[("server/server.js", &read("run.js")), ("server/cases.js", &read(&format!("{file}.js")))]);
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(app.path().join("server/cert.pem"), key.cert.pem()).unwrap();
    std::fs::write(app.path().join("server/key.pem"), key.signing_key.serialize_pem()).unwrap();
    copy(&folder().join("packages"), &app.path().join("node_modules"));
    let mut renderer = Renderer::ready(app.path(), &[]).await;
    let (status, body) = renderer.get("/").await;
    assert_eq!(status, 200, "{body}");
    let outcomes: BTreeMap<String, String> = serde_json::from_str(&body).unwrap();
    assert!(!outcomes.is_empty());
    let failed: BTreeMap<_, _> = outcomes.iter().filter(|(_, outcome)| *outcome != "ok").collect();
    let names: Vec<_> = failed.keys().map(|name| name.as_str()).collect();
    assert_eq!(names, *not, "{failed:#?}");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A file of `tests/cases`, what it is about, and its cases that are known to fail: the table says "not" of them.
struct Cases {
    file: &'static str,
    title: &'static str,
    not: &'static [&'static str],
}

const fn cases(file: &'static str, title: &'static str, not: &'static [&'static str]) -> Cases {
    Cases { file, title, not }
}

const FETCH: Cases = cases("fetch", "Fetch", &[]);
const URLS: Cases = cases("url", "URL and URL Pattern", &[]);
const STREAMS: Cases = cases("streams", "Streams", &[]);
const ENCODING: Cases = cases("encoding", "Encoding and Compression", &[]);
const EVENTS: Cases = cases("events", "Events, timers, messages, structured clone, performance", &[]);
const FILES: Cases = cases("files", "Files and forms", &[]);
const CRYPTO: Cases = cases("crypto", "Web Cryptography", &[]);
const NODE: Cases = cases("node", "Node's smaller modules", &[]);
const TLS: Cases = cases("tls", "Node's `tls`, `https`, `http2`", &[]);
const COMMONJS: Cases = cases("commonjs", "CommonJS and packages", &[]);

const ALL: [Cases; 10] = [FETCH, URLS, STREAMS, ENCODING, EVENTS, FILES, CRYPTO, NODE, TLS, COMMONJS];

#[tokio::test]
async fn fetch_and_its_types() {
    run(&FETCH).await;
}

#[tokio::test]
async fn urls_and_patterns() {
    run(&URLS).await;
}

#[tokio::test]
async fn streams() {
    run(&STREAMS).await;
}

#[tokio::test]
async fn encoding_and_compression() {
    run(&ENCODING).await;
}

#[tokio::test]
async fn events_timers_and_messages() {
    run(&EVENTS).await;
}

#[tokio::test]
async fn files_and_forms() {
    run(&FILES).await;
}

#[tokio::test]
async fn web_cryptography() {
    run(&CRYPTO).await;
}

#[tokio::test]
async fn nodes_smaller_modules() {
    run(&NODE).await;
}

#[tokio::test]
async fn nodes_tls() {
    run(&TLS).await;
}

#[tokio::test]
async fn commonjs() {
    run(&COMMONJS).await;
}

/// The names of a file's cases, as they are written: a line each.
fn names(file: &str) -> Vec<String> {
    let source = std::fs::read_to_string(folder().join(format!("{file}.js"))).unwrap();
    let name = |line: &str| Some(line.strip_prefix("  \"")?.split_once("\":")?.0.to_owned());
    source.lines().filter_map(name).collect()
}

fn table(Cases { file, title, not }: &Cases) -> String {
    let row = |name: &String| {
        format!("| {name} | {} |\n", if not.contains(&name.as_str()) { "not" } else { "supported" })
    };
    let rows: String = names(file).iter().map(row).collect();
    format!("## {title}\n\n`renderer-pool/tests/cases/{file}.js`\n\n| | |\n|---|---|\n{rows}")
}

#[test]
fn the_tables_rows_are_the_cases() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/web-apis.md");
    let document = std::fs::read_to_string(path).unwrap();
    for cases in &ALL {
        assert!(document.contains(&table(cases)), "docs/web-apis.md must contain:\n\n{}", table(cases));
    }
}
