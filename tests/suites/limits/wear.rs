//! What recycles an isolate or a process without anyone noticing, and clients that go.

use tests::metrics::Metrics;
use tests::{Bundle, Cluster};

use super::faults::APP;
use super::incident::{Seen, Work, ask, at_full_strength, replaced, under_load};

#[tokio::test]
async fn an_isolate_is_recycled_after_so_many_jobs_without_anyone_noticing() {
    let config = "max_jobs_before_recycle = 200\nrestart_backoff = \"1ms\"\nrestarts_per_minute = 1000";
    let cluster =
        Cluster::of(Bundle::fetch(APP)).renderers(1).spares(1).fn_workers(0).config(config).start().await;
    let recycled = |metrics: &Metrics| replaced(metrics, Some("max_jobs")) >= 3.0;
    let (_, others) =
        under_load(&cluster, Work::BUNDLE, cluster.metrics_until("three were recycled", recycled)).await;
    assert_eq!(Work::BUNDLE.hurt(&others), Vec::<&Seen>::new());
    assert!(others.len() >= 400, "{}", others.len());
    cluster.stop().await;
}

#[tokio::test]
async fn a_process_beyond_its_memory_is_replaced_whole() {
    let config = "max_rss = \"300MiB\"\nmax_external = \"4GiB\"\nrestart_backoff = \"1ms\"";
    let cluster =
        Cluster::of(Bundle::fetch(APP)).renderers(2).spares(1).fn_workers(0).config(config).start().await;
    cluster.metrics_until("a spare is ready", at_full_strength).await;
    let mut metrics = cluster.metrics().await;
    while replaced(&metrics, Some("rss_limit")) == 0.0 {
        assert_eq!(ask(&cluster, "/buffers").await, Seen::Answer(200, "kept".into()));
        metrics = cluster.metrics().await;
    }
    cluster.metrics_until("full strength", at_full_strength).await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_client_that_goes_is_heard_of_within_ten_milliseconds() {
    const CLIENTS_THAT_GO: u32 = 50;
    let bundle =
        Bundle::fetch("await new Promise((resolve) => request.signal.addEventListener('abort', resolve))");
    let cluster = Cluster::of(bundle).fn_workers(0).start().await;
    for gone in 1..=CLIENTS_THAT_GO {
        let mut connection = cluster.connect().await;
        connection.send("GET /hang HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        cluster.metrics_until("the job runs", |metrics| metrics.jobs_in_flight() == 1.0).await;
        drop(connection);
        let heard = |metrics: &Metrics| metrics.sum("isopod_abort_seconds_count", &[]) == f64::from(gone);
        cluster.metrics_until("the app has heard of it", heard).await;
    }
    let metrics = cluster.metrics().await;
    let in_time = metrics.sum("isopod_abort_seconds_bucket", &[("le", "0.01")]);
    assert!(in_time >= f64::from(CLIENTS_THAT_GO) * 0.9, "{in_time} of {CLIENTS_THAT_GO}");
    assert_eq!(metrics.sum("isopod_requests_total", &[("status", "499")]), f64::from(CLIENTS_THAT_GO));
    let mean = metrics.sum("isopod_abort_seconds_sum", &[]) / f64::from(CLIENTS_THAT_GO);
    println!("{in_time} of {CLIENTS_THAT_GO} within 10 ms, {:.2} ms on average", mean * 1e3);
}
