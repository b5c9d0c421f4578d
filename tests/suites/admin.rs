//! The admin port: health, numbers, and what the pool looks like.

use tests::{App, Cluster};

#[tokio::test]
async fn the_admin_port_tells_how_it_goes() {
    let cluster = Cluster::of(App::ThreadsReact).renderers(2).start().await;
    cluster.get("/").await;
    cluster.get("/favicon.svg").await;
    cluster.get("/no/such/page").await;
    for path in ["/livez", "/readyz"] {
        assert_eq!(cluster.answer(cluster.client().get(cluster.admin_url(path))).await.status, 200, "{path}");
    }
    let metrics = cluster.metrics().await;
    for name in [
        "isopod_requests_total",
        "isopod_request_duration_seconds_count",
        "isopod_requests_in_flight",
        "isopod_queue_wait_seconds_count",
        "isopod_queued_jobs",
        "isopod_jobs_in_flight",
        "isopod_isolates",
        "isopod_fn_workers",
        "isopod_process_resident_bytes",
        "isopod_process_cpu_seconds",
    ] {
        assert!(metrics.has(name), "{name}");
    }
    assert!(metrics.sum("isopod_requests_total", &[("method", "GET"), ("status", "200")]) >= 2.0);
    assert!(metrics.sum("isopod_requests_total", &[("status", "404")]) >= 1.0);
    assert_eq!(metrics.sum("isopod_isolates", &[("state", "ready")]), 2.0);
    assert!(metrics.sum("isopod_process_resident_bytes", &[("kind", "renderer")]) > 1e6);

    assert_eq!(cluster.children("renderer").await.len(), 2);
    assert_eq!(cluster.children("fn_worker").await.len(), 1);
    let pids: Vec<_> = cluster.children("renderer").await.into_iter().map(|child| child.pid).collect();
    assert!(pids.iter().all(|pid| cluster.child_pids().contains(pid)));
}

#[tokio::test]
async fn the_public_port_tells_nothing_of_it() {
    let cluster = Cluster::of(App::ThreadsReact).start().await;
    for path in ["/metrics", "/status", "/readyz", "/livez"] {
        let answer = cluster.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(!answer.text().contains("isopod_"), "{path}");
    }
}

#[tokio::test]
async fn readiness_follows_the_quorum() {
    let cluster = Cluster::of(App::ThreadsReact).start().await;
    let lost = cluster.kill_renderer(0).await;
    tests::wait::eventually("not ready, with the reason", async || {
        let probe = cluster.answer(cluster.client().get(cluster.admin_url("/readyz"))).await;
        (probe.status == 503 && !probe.text().trim().is_empty()).then_some(())
    })
    .await;
    assert_eq!(cluster.answer(cluster.client().get(cluster.admin_url("/livez"))).await.status, 200);
    cluster.wait_until_replaced(lost).await;
    assert_eq!(cluster.get("/").await.status, 200);
}
