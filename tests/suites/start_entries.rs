//! TanStack Start behind each kind of server entry: what its document describes works unchanged, and the pipeline's
//! hooks stand around it. The default entry, which is none, is what the threads apps have.

use std::collections::BTreeSet;

use tests::http::Answer;
use tests::{App, Bundle, Cluster};

async fn get(cluster: &Cluster, entry: &str, path: &str) -> Answer {
    cluster.answer(cluster.client().get(cluster.url(path)).header("x-entry", entry)).await
}

#[tokio::test]
async fn every_kind_of_entry_renders_and_has_a_new_router_for_each_request() {
    let cluster = Cluster::of(App::StartEntries).start().await;
    let mut routers = BTreeSet::new();
    for entry in ["stream", "render", "callback", "wrapping"] {
        for _ in 0..2 {
            let page = get(&cluster, entry, "/").await;
            let html = page.text();
            assert_eq!(page.status, 200, "{entry}: {html}");
            let shown = format!("entry {entry}, user nobody, router ");
            let (_, rest) = html.split_once(&shown).unwrap_or_else(|| panic!("{entry}: {html}"));
            let router: u32 = rest.split('<').next().unwrap().parse().unwrap();
            assert!(routers.insert(router), "{entry} renders with router {router} again");
        }
        let deferred = get(&cluster, entry, "/deferred").await.text();
        assert!(deferred.contains("worth the wait"), "{entry}: {deferred}");
    }
    assert_eq!(get(&cluster, "callback", "/").await.header("x-callback"), "ran");
    assert!(get(&cluster, "wrapping", "/").await.header("x-rendered-in").parse::<u32>().is_ok());
}

#[tokio::test]
async fn an_entry_may_authenticate_log_and_keep_a_connection() {
    let cluster = Cluster::of(App::StartEntries).start().await;
    let refused = get(&cluster, "guarded", "/").await;
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, "Bearer"));
    let request = cluster.client().get(cluster.url("/")).header("x-entry", "guarded");
    let page = cluster.answer(request.header("authorization", "Bearer secret")).await;
    assert_eq!((page.status, page.header("x-user")), (200, "Ada"));
    assert!(page.text().contains("entry guarded, user Ada"), "{}", page.text());
    for line in ["GET / by a stranger", "GET / by Ada"] {
        assert!(cluster.log().find(|text| text.contains(line).then_some(())).await.is_some(), "{line}");
    }
}

#[tokio::test]
async fn the_pipelines_hooks_stand_around_starts_handler() {
    let cluster = Cluster::of(App::StartEntries).start().await;
    let page = get(&cluster, "pipeline", "/").await.text();
    assert!(page.starts_with("<!-- header --><!DOCTYPE html>"), "{page}");
    assert!(page.ends_with("</body></html><!-- footer -->"), "{page}");
    assert!(page.contains("entry pipeline, user Grace"), "appProps reach it as context: {page}");
    assert!(page.contains("[\"user\",\"Grace\"]"), "the state: {page}");
    let deferred = get(&cluster, "pipeline", "/deferred").await;
    assert_eq!(deferred.header("content-length"), "", "it streams");
    assert!(deferred.text().contains("worth every millisecond"), "{}", deferred.text());
    let whole = get(&cluster, "pipeline", "/deferred?whole").await;
    assert_eq!(whole.header("content-length"), whole.body.len().to_string());
    assert_eq!(get(&cluster, "pipeline", "/health").await.text(), "well");
    assert_eq!(get(&cluster, "pipeline", "/skipped").await.status, 404);
    cluster
        .metrics_until("its metrics are shown", |metrics| metrics.sum("app_created_total", &[]) == 1.0)
        .await;
}

#[tokio::test]
async fn an_entry_needs_no_start() {
    let bundle = Bundle::new(
        "export default { fetch: (request) => Response.json({ url: request.url, header: request.headers.get('x-a') }) }",
    );
    let cluster = Cluster::of(bundle).start().await;
    let answer = cluster.answer(cluster.client().get(cluster.url("/a?b")).header("x-a", "c")).await.json();
    assert_eq!((answer["url"].as_str(), answer["header"].as_str()), (Some(&*cluster.url("/a?b")), Some("c")));
}
