//! The app's routes in metrics, as the build's manifest names them.

use tests::Cluster;

use super::echo;

#[tokio::test]
async fn requests_are_counted_by_pattern_and_never_by_path() {
    let manifest = r#"{"format":1,"routes":["/","/threads/$id","/files/$"],"immutable":[],"sourceMaps":[],"packages":{}}"#;
    let cluster = Cluster::of(echo().file("isopod.json", manifest)).start().await;
    for path in ["/", "/threads/1", "/threads/2?x=1", "/files/a/b/c", "/wp-login.php", "/.env"] {
        assert_eq!(cluster.get(path).await.status, 200, "{path}");
    }
    let metrics = cluster.metrics().await;
    for (pattern, requests) in [("/", 1.0), ("/threads/$id", 2.0), ("/files/$", 1.0), ("other", 2.0)] {
        let labels = [("pattern", pattern), ("status", "2xx")];
        assert_eq!(metrics.sum("isopod_route_requests_total", &labels), requests, "{pattern}");
        assert_eq!(metrics.sum("isopod_route_duration_seconds_count", &[("pattern", pattern)]), requests);
    }
    assert_eq!(metrics.sum("isopod_route_requests_total", &[]), 6.0);
    cluster.stop().await;
}
