//! The client goes away: the job hears of it, and its place is free.

use tests::wait::eventually;
use tests::{App, Bundle, Cluster};

async fn a_closed_connection_aborts_the_request(app: App) {
    const PATHS: usize = 5;
    let cluster = Cluster::of(app).start().await;
    assert_eq!(cluster.get("/api/abort?count").await.json()["aborts"], 0);
    for aborts in 1..=PATHS {
        let mut answer = cluster.client().get(cluster.url("/api/abort")).send().await.unwrap();
        assert!(answer.chunk().await.unwrap().is_some(), "it streams");
        drop(answer);
        let record = eventually("the request's signal aborts", async || {
            let record = cluster.get("/api/abort?count").await.json();
            (record["aborts"] == aborts).then_some(record)
        })
        .await;
        assert_eq!(record["reason"], "AbortError");
        assert_eq!(record["open"], 0);
    }
    cluster.metrics_until("no job is left", |metrics| metrics.jobs_in_flight() == 0.0).await;
}

#[tokio::test]
async fn a_closed_connection_aborts_the_request_in_react() {
    a_closed_connection_aborts_the_request(App::ThreadsReact).await;
}

#[tokio::test]
async fn a_closed_connection_aborts_the_request_in_solid() {
    a_closed_connection_aborts_the_request(App::ThreadsSolid).await;
}

#[tokio::test]
async fn a_client_that_leaves_before_the_head_frees_its_place() {
    let bundle = Bundle::fetch(
        "if (url.pathname === '/hang') await new Promise((_, reject) => {
           request.signal.addEventListener('abort', () => { globalThis.aborts = (globalThis.aborts ?? 0) + 1; reject(request.signal.reason) })
         })
         return new Response(`aborts:${globalThis.aborts ?? 0}`)",
    );
    let cluster = Cluster::of(bundle).config("max_jobs_per_isolate = 1").start().await;
    let mut connection = cluster.connect().await;
    connection.send("GET /hang HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    cluster.metrics_until("the job runs", |metrics| metrics.jobs_in_flight() == 1.0).await;
    drop(connection);
    cluster.metrics_until("its place is free", |metrics| metrics.jobs_in_flight() == 0.0).await;
    assert_eq!(cluster.get("/").await.text(), "aborts:1");
}
