//! More than fits: it waits within bounds, or is refused at once.

use std::time::{Duration, Instant};

use tests::http::RawConnection;
use tests::metrics::Metrics;
use tests::{Bundle, Cluster};

/// An app that answers at once, except at `/hang`.
fn app() -> Bundle {
    Bundle::fetch("if (url.pathname === '/hang') await new Promise(() => {})\nreturn new Response('ok')")
}

/// Takes the only place; dropping the connection frees it.
async fn take_the_place(cluster: &Cluster) -> RawConnection {
    let mut connection = cluster.connect().await;
    connection.send("GET /hang HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    cluster.metrics_until("the place is taken", |metrics| metrics.jobs_in_flight() == 1.0).await;
    connection
}

fn refusals(metrics: &Metrics, reason: &str) -> f64 {
    metrics.sum("isopod_refusals_total", &[("reason", reason)])
}

#[tokio::test]
async fn what_does_not_fit_the_queue_is_refused_at_once() {
    let config = "max_jobs_per_isolate = 1\nqueue_limit = 1\nqueue_wait = \"20s\"";
    let cluster = Cluster::of(app()).config(config).start().await;
    let place = take_the_place(&cluster).await;
    let waiting = cluster.get("/");
    let others = async {
        let queued = |metrics: &Metrics| metrics.sum("isopod_queued_jobs", &[]) == 1.0;
        cluster.metrics_until("one waits", queued).await;
        let asked = Instant::now();
        let refused = cluster.get("/").await;
        let took = asked.elapsed();
        assert_eq!(refused.status, 503);
        assert!(refused.header("retry-after").parse::<u32>().unwrap() >= 1);
        assert!(took < Duration::from_millis(100), "{took:?}");
        assert_eq!(refusals(&cluster.metrics().await, "queue_full"), 1.0);
        drop(place);
    };
    let (waited, ()) = tokio::join!(waiting, others);
    assert_eq!((waited.status, waited.text().as_str()), (200, "ok"), "who waits gets the free place");
}

#[tokio::test]
async fn who_waits_too_long_is_refused() {
    let config = "max_jobs_per_isolate = 1\nqueue_wait = \"50ms\"";
    let cluster = Cluster::of(app()).config(config).start().await;
    let place = take_the_place(&cluster).await;
    let refused = cluster.get("/").await;
    assert_eq!(refused.status, 503);
    assert!(!refused.header("retry-after").is_empty());
    assert_eq!(refusals(&cluster.metrics().await, "queue_timeout"), 1.0);
    assert_eq!(cluster.answer(cluster.client().get(cluster.admin_url("/livez"))).await.status, 200);
    drop(place);
    cluster.metrics_until("the place is free", |metrics| metrics.jobs_in_flight() == 0.0).await;
    assert_eq!(cluster.get("/").await.status, 200);
}

#[tokio::test]
async fn a_job_past_its_time_is_504() {
    let cluster = Cluster::of(app()).config("job_timeout = \"300ms\"").start().await;
    assert_eq!(cluster.get("/hang").await.status, 504);
    cluster.metrics_until("its place is free", |metrics| metrics.jobs_in_flight() == 0.0).await;
    assert_eq!(cluster.get("/").await.status, 200);
}
