//! How often clients may ask, counted by one gateway or by several together.

use std::time::{Duration, Instant};

use tests::Cluster;
use tests::certificate::Certificate;
use tests::redis::Redis;

use super::echo;

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_back() {
    let config = "[[rate_limits]]\npath = \"/api/$\"\nkey = \"header:x-api-key\"\nlimit = 6\nwindow = \"1m\"\nburst = 2\n\
                  [[rate_limits]]\nlimit = 1000\nmethods = [\"GET\"]";
    let cluster = Cluster::of(echo()).config(config).start().await;
    let ask =
        |key: &str| cluster.answer(cluster.client().get(cluster.url("/api/a")).header("x-api-key", key));
    let first = ask("a").await;
    assert_eq!((first.status, first.header("ratelimit-policy")), (200, "\"rule-1\";q=6;w=60"));
    assert_eq!(first.header("ratelimit"), "\"rule-1\";r=1;t=10");
    assert_eq!(ask("a").await.status, 200);
    let refused = ask("a").await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "10"));
    assert!(refused.header("ratelimit").starts_with("\"rule-1\";r=0;t="), "{:?}", refused.headers);
    assert_eq!(ask("b").await.status, 200, "another key has a bucket of its own");
    let page = cluster.get("/page").await;
    assert!(page.header("ratelimit").starts_with("\"rule-2\";r="), "{:?}", page.headers);
    assert_eq!(cluster.post_json("/page", "{}").await.header("ratelimit"), "");
    let counted = cluster.metrics().await.sum("isopod_refusals_total", &[("reason", "rate_limited")]);
    assert_eq!(counted, 1.0);
    cluster.stop().await;
}

/// What a stranger says of whom he asks for makes him nobody else.
#[tokio::test]
async fn a_forged_address_gets_no_bucket_of_its_own() {
    let config = "[[rate_limits]]\nkey = \"header:x-forwarded-for\"\nlimit = 1\nwindow = \"1h\"";
    let cluster = Cluster::of(echo()).config(config).start().await;
    let ask = |address: &str| cluster.client().get(cluster.url("/a")).header("x-forwarded-for", address);
    assert_eq!(cluster.answer(ask("1.1.1.1")).await.status, 200);
    assert_eq!(cluster.answer(ask("2.2.2.2")).await.status, 429);
    assert_eq!(cluster.metrics().await.sum("isopod_forged_forwards_total", &[]), 2.0);
    cluster.stop().await;
}

#[tokio::test]
async fn gateways_count_together_on_redis_and_alone_while_it_is_gone() {
    let mut redis = Redis::start().await;
    let gateway = || {
        let config = format!(
            "rate_limit_redis = {:?}\nrate_limit_redis_timeout = \"2s\"\n\
             [[rate_limits]]\nlimit = 4\nwindow = \"1h\"",
            redis.url()
        );
        Cluster::of(echo()).fn_workers(0).flag("--threads", "1").config(&config).start()
    };
    let (one, two) = tokio::join!(gateway(), gateway());
    let mut remaining = Vec::new();
    for cluster in [&one, &two, &one, &two] {
        let answer = cluster.get("/api/hello").await;
        assert_eq!(answer.status, 200, "{}", cluster.log());
        remaining.push(answer.header("ratelimit").split(';').nth(1).unwrap().to_owned());
    }
    assert_eq!(remaining, ["r=3", "r=2", "r=1", "r=0"], "both count in one bucket");
    assert_eq!(one.get("/api/hello").await.status, 429);
    assert_eq!(two.get("/api/hello").await.status, 429);
    assert_eq!(redis.keys().await.len(), 1);
    assert_eq!(one.metrics().await.sum("isopod_rate_limit_fallbacks_total", &[]), 0.0);

    redis.kill().await;
    for cluster in [&one, &two] {
        // Each has its own bucket now, as full as if nobody had asked.
        for _ in 0..4 {
            assert_eq!(cluster.get("/api/hello").await.status, 200, "{}", cluster.log());
        }
        assert_eq!(cluster.get("/api/hello").await.status, 429);
        assert_eq!(cluster.metrics().await.sum("isopod_rate_limit_fallbacks_total", &[]), 5.0);
    }

    redis.restart().await;
    one.metrics_until("Redis is back", |metrics| {
        metrics.sum("isopod_rate_limit_redis_connections", &[]) > 0.0
    })
    .await;
    assert_eq!(one.get("/api/hello").await.status, 200, "the new server has a full bucket");
    assert_eq!(one.metrics().await.sum("isopod_rate_limit_fallbacks_total", &[]), 5.0);
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn redis_over_tls_is_believed_if_its_authority_is() {
    let dir = tempfile::tempdir().unwrap();
    let certificate = Certificate::write(dir.path(), "127.0.0.1");
    let (redis, url) = Redis::start_with_tls(&certificate).await;
    let gateway = |authority: &str| {
        let config = format!(
            "rate_limit_redis = {url:?}\nrate_limit_redis_timeout = \"5s\"\n{authority}\n[[rate_limits]]\nlimit = 2\nwindow = \"1h\""
        );
        Cluster::of(echo()).fn_workers(0).flag("--threads", "1").config(&config).start()
    };
    let authority = format!("rate_limit_redis_ca = {:?}", certificate.chain.to_str().unwrap());
    let (believing, other) = tokio::join!(gateway(&authority), gateway(""));
    assert_eq!(believing.get("/api/hello").await.status, 200, "{}", believing.log());
    assert_eq!(redis.keys().await.len(), 1, "it is counted there: {}", believing.log());
    assert_eq!(believing.metrics().await.sum("isopod_rate_limit_fallbacks_total", &[]), 0.0);
    assert_eq!(other.get("/api/hello").await.status, 200, "{}", other.log());
    assert_eq!(other.metrics().await.sum("isopod_rate_limit_fallbacks_total", &[]), 1.0, "nobody signed it");
    let said = other.log().find(|line| line.contains("Redis cannot be reached").then_some(())).await;
    assert!(said.is_some(), "{}", other.log());
    believing.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn a_redis_that_hangs_costs_a_request_its_timeout_and_the_next_ones_nothing() {
    let redis = Redis::start().await;
    let config = format!(
        "rate_limit_redis = {:?}\nrate_limit_redis_timeout = \"1s\"\n[[rate_limits]]\nlimit = 100\nwindow = \"1h\"",
        redis.url()
    );
    let cluster = Cluster::of(echo()).fn_workers(0).flag("--threads", "1").config(&config).start().await;
    assert_eq!(cluster.get("/").await.status, 200);
    redis.freeze();
    let asked = Instant::now();
    assert_eq!(cluster.get("/").await.status, 200);
    assert!(
        asked.elapsed() >= Duration::from_secs(1),
        "the timeout was not waited for: {:?}",
        asked.elapsed()
    );
    cluster
        .metrics_until("the connection is given up", |metrics| {
            metrics.sum("isopod_rate_limit_redis_connections", &[]) < 1.0
        })
        .await;
    let asked = Instant::now();
    for _ in 0..3 {
        assert_eq!(cluster.get("/").await.status, 200);
    }
    assert!(
        asked.elapsed() < Duration::from_secs(1),
        "requests wait for what is gone: {:?}",
        asked.elapsed()
    );
    assert!(cluster.metrics().await.sum("isopod_rate_limit_fallbacks_total", &[]) >= 2.0);
    redis.thaw();
    cluster
        .metrics_until("Redis is back", |metrics| {
            metrics.sum("isopod_rate_limit_redis_connections", &[]) > 0.0
        })
        .await;
    cluster.stop().await;
}
