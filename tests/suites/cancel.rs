//! The client goes away: the job hears of it, and its place is free.

use tests::http2::Http2;
use tests::metrics::Metrics;
use tests::wait::eventually;
use tests::{App, Bundle, Cluster};
use tokio::net::TcpStream;

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

/// Who leaves while he waits for a place is no work for anybody, over both protocols.
#[tokio::test]
async fn a_client_that_leaves_the_queue_is_never_run() {
    let bundle = Bundle::fetch(
        "globalThis.seen = (globalThis.seen ?? []).concat(url.pathname)
         if (url.pathname === '/hang') await new Promise((_, reject) => {
           request.signal.addEventListener('abort', () => reject(request.signal.reason))
         })
         return Response.json(globalThis.seen)",
    );
    let config = "max_jobs_per_isolate = 1\nqueue_wait = \"10s\"\nh2c = true";
    let cluster = Cluster::of(bundle).config(config).start().await;
    let queued = |jobs: f64| move |metrics: &Metrics| metrics.sum("isopod_queued_jobs", &[]) == jobs;
    let mut holds = cluster.connect().await;
    holds.send("GET /hang HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    cluster.metrics_until("the place is taken", |metrics| metrics.jobs_in_flight() == 1.0).await;

    let mut waits = cluster.connect().await;
    waits.send("GET /http1 HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let stream = TcpStream::connect(cluster.address()).await.unwrap();
    let mut http2 = Http2::over(stream, "localhost").await;
    let (response, sender) = http2.begin("GET", "/http2", &[], false).await.unwrap();
    cluster.metrics_until("both wait", queued(2.0)).await;
    drop(waits);
    cluster.metrics_until("one has left", queued(1.0)).await;
    drop((response, sender));
    cluster.metrics_until("the other has, too", queued(0.0)).await;
    drop(holds);
    let answer = eventually("there is a place again", async || {
        let answer = cluster.get("/after").await;
        (answer.status == 200).then_some(answer)
    })
    .await;
    assert_eq!(answer.json(), serde_json::json!(["/hang", "/after"]));
}
