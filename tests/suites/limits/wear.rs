//! What recycles an isolate or a process without anyone noticing, and clients that go.

use std::cell::Cell;

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

/// Requests to `path` fill a process until it is replaced, while others ask.
async fn replaced_without_a_gap(path: &str, reason: &str, spares: u8) {
    const MOST: usize = 60;
    let config = "max_rss = \"400MiB\"\nmax_heap = \"256MiB\"\nmax_external = \"4GiB\"";
    let cluster = Cluster::of(Bundle::fetch(APP))
        .renderers(2)
        .spares(usize::from(spares))
        .fn_workers(0)
        .config(config)
        .start()
        .await;
    let whole = |now: &Metrics| {
        let [ready, standby, draining] = ["ready", "standby", "draining"].map(|state| now.isolates(state));
        ready == 2.0 && standby == f64::from(spares) && draining == 0.0
    };
    cluster.metrics_until("full strength", whole).await;
    let least = Cell::new(f64::INFINITY);
    let seen = |now: &Metrics| least.set(least.get().min(now.isolates("ready")));
    let incident = async {
        for _ in 0..MOST {
            assert_eq!(ask(&cluster, path).await, Seen::Answer(200, "kept".into()));
            let now = cluster.metrics().await;
            seen(&now);
            if replaced(&now, Some(reason)) > 0.0 {
                break;
            }
        }
        let until = |now: &Metrics| {
            seen(now);
            replaced(now, Some(reason)) > 0.0 && whole(now)
        };
        cluster.metrics_until("it is replaced", until).await
    };
    let (after, others) = under_load(&cluster, Work::BUNDLE, incident).await;
    assert_eq!(Work::BUNDLE.hurt(&others), Vec::<&Seen>::new());
    assert_eq!(least.get(), 2.0, "never fewer isolates than there should be");
    let gaps = after.sum("isopod_recovery_seconds_count", &[]);
    assert_eq!(gaps, 0.0, "the gateway itself has counted no moment with fewer");
    cluster.stop().await;
}

#[tokio::test]
async fn a_spare_takes_over_from_a_process_beyond_its_memory_without_a_gap() {
    replaced_without_a_gap("/buffers", "rss_limit", 1).await;
}

#[tokio::test]
async fn without_spares_a_process_beyond_its_memory_serves_until_another_is_ready() {
    replaced_without_a_gap("/buffers", "rss_limit", 0).await;
}

#[tokio::test]
async fn without_spares_an_isolate_whose_heap_fills_serves_until_another_is_ready() {
    replaced_without_a_gap("/heap", "heap_limit", 0).await;
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
