//! Data of the web-platform-tests, as far as packages ship it, in a real renderer: see `tests/wpt/README.md`.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test says what it expects in the shortest way")]

mod renderer;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use renderer::{Renderer, app};
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wpt")
}

/// Names of what fails, by subject.
type Failures = BTreeMap<String, BTreeSet<String>>;

#[tokio::test]
async fn nothing_fails_of_the_web_platform_tests_but_what_is_known_to() {
    let read = |name: &str| std::fs::read_to_string(folder().join(name)).unwrap();
    let app = app(&[("server/server.js", &read("run.js"))]);
    for file in ["base64", "data-urls", "setters_tests", "urlpatterntestdata", "urltestdata"] {
        let name = format!("{file}.json");
        std::fs::write(app.path().join("server").join(&name), read(&name)).unwrap();
    }
    let mut renderer = Renderer::ready(app.path(), &[]).await;
    let (status, body) = renderer.get("/").await;
    assert_eq!(status, 200, "{body}");
    let outcomes: BTreeMap<String, Value> = serde_json::from_str(&body).unwrap();
    let found: Failures = outcomes
        .iter()
        .map(|(subject, outcome)| {
            (subject.clone(), serde_json::from_value(outcome["failed"].clone()).unwrap())
        })
        .collect();
    let known: Failures = serde_json::from_str(&read("known.json")).unwrap();
    for (subject, outcome) in &outcomes {
        assert!(outcome["run"].as_u64().unwrap() > 70, "{subject} has lost its data: {outcome}");
        let new: Vec<_> = found[subject].difference(&known[subject]).collect();
        let gone: Vec<_> = known[subject].difference(&found[subject]).collect();
        assert!(new.is_empty() && gone.is_empty(), "{subject}: fail now: {new:#?}, pass now: {gone:#?}");
    }
}
