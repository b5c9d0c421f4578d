//! A render pipeline with Solid and TanStack Router, through the gateway.

use tests::{App, Cluster};

#[tokio::test]
async fn a_page_is_loaded_rendered_and_handed_over() {
    let cluster = Cluster::of(App::NotesSolid).start().await;
    let page = cluster.get("/notes/3?locale=de").await;
    let html = page.text();
    assert_eq!(page.status, 200);
    assert!(html.starts_with("<!-- /notes/$id --><!DOCTYPE html><html>"), "{html}");
    assert!(html.contains("id=\"note\">Note 3</h1>") && html.contains("[\"locale\",\"de\"]"), "{html}");
    assert!(html.contains("$_TSR") && html.matches("window._$HY||").count() == 1, "{html}");
    assert!(html.ends_with("</body></html><!-- end -->"), "{html}");
    let old = cluster.get("/old").await;
    assert_eq!((old.status, old.header("location")), (308, "/notes/1"));
    assert_eq!(cluster.get("/nowhere").await.status, 404);
}

#[tokio::test]
async fn a_late_part_streams_and_a_crawler_gets_it_in_place() {
    let cluster = Cluster::of(App::NotesSolid).start().await;
    let html = cluster.get("/deferred").await.text();
    assert!(html.contains("id=\"pending\"") && html.contains("worth the wait</p></template>"), "{html}");
    let request = cluster.client().get(cluster.url("/deferred")).header("user-agent", "Googlebot/2.1");
    let whole = cluster.answer(request).await;
    assert_eq!(whole.header("content-length"), whole.body.len().to_string());
    let html = whole.text();
    assert!(html.contains("worth the wait</p>") && !html.contains("</template>"), "{html}");
}

#[tokio::test]
async fn a_render_that_never_ends_is_disposed_of_and_its_page_ends() {
    let cluster = Cluster::of(App::NotesSolid).env("APP_ABORT_DELAY", "300").start().await;
    let html = cluster.get("/never").await.text();
    assert!(html.contains("id=\"pending\"") && html.ends_with("</body></html><!-- end -->"), "{html}");
    for line in ["onError timeout at /never", "disposed of a page"] {
        assert!(cluster.log().find(|text| text.contains(line).then_some(())).await.is_some(), "{line}");
    }
    cluster
        .metrics_until("it is counted, and no job is left", |metrics| {
            metrics.sum("app_render_errors_total", &[("code", "timeout")]) == 1.0
                && metrics.jobs_in_flight() == 0.0
        })
        .await;
}
