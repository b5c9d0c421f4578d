//! A gateway's second start is quicker: it finds what the first has compiled.

use tests::{App, Cluster};

/// Starts a cluster and returns how many pieces of code its isolate found, and how many it compiled.
async fn loaded_code(app: App, cache: &str) -> (f64, f64) {
    let cluster = Cluster::of(app).flag("--code-cache", cache).start().await;
    assert_eq!(cluster.get("/").await.status, 200);
    let metrics = cluster.metrics().await;
    let code = |source| metrics.sum("isopod_loaded_code_total", &[("source", source)]);
    let counts = (code("cached"), code("compiled"));
    cluster.stop().await;
    counts
}

#[tokio::test]
async fn what_one_start_compiles_the_next_one_finds() {
    for app in [App::ThreadsReact, App::ThreadsSolid] {
        let directory = tempfile::tempdir().unwrap();
        let cache = directory.path().join("made/by/the/gateway");
        let (cached, compiled) = loaded_code(app, cache.to_str().unwrap()).await;
        assert!(cached == 0.0 && compiled > 10.0, "{cached} cached, {compiled} compiled");
        assert_eq!(loaded_code(app, cache.to_str().unwrap()).await, (compiled, 0.0));
    }
}

#[tokio::test]
async fn without_a_cache_nothing_is_counted() {
    assert_eq!(loaded_code(App::ThreadsReact, "off").await, (0.0, 0.0));
}
