//! No state crosses requests: ten thousand of them, each with an id of its own.

use tests::load::each;
use tests::{App, Cluster};

const REQUESTS: usize = 10_000;
const AT_A_TIME: usize = 64;

async fn every_answer_carries_its_own_id_only(app: App) {
    let cluster = Cluster::of(app).config("max_jobs_per_isolate = 64").start().await;
    let wrong = each(0..REQUESTS, AT_A_TIME, async |number| {
        let (id, header) = (format!("id-{number}-end"), format!("header-{number}-end"));
        let request = cluster.client().get(cluster.url(&format!("/echo/{id}"))).header("x-echo", &header);
        let answer = cluster.answer(request).await;
        // React may part texts by empty comments.
        let html = answer.text().replace("<!-- -->", "");
        let foreign = |prefix: &str, own: &str| {
            html.match_indices(prefix).any(|(at, _)| {
                let rest = &html[at + prefix.len()..];
                rest.starts_with(|digit: char| digit.is_ascii_digit()) && !html[at..].starts_with(own)
            })
        };
        let own = html.contains(&format!(">{id}|{id}|{header}<"));
        let is_right = answer.status == 200 && own && !foreign("id-", &id) && !foreign("header-", &header);
        (!is_right).then_some((number, answer.status, html))
    })
    .await;
    let wrong: Vec<_> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{} of {REQUESTS} are wrong, such as {:?}", wrong.len(), wrong.first());
}

#[tokio::test]
async fn every_react_page_carries_its_own_id_only() {
    every_answer_carries_its_own_id_only(App::ThreadsReact).await;
}

#[tokio::test]
async fn every_solid_page_carries_its_own_id_only() {
    every_answer_carries_its_own_id_only(App::ThreadsSolid).await;
}
