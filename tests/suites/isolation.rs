//! No state crosses requests: ten thousand of them, each with an id of its own, and a thousand at a time that take
//! every way that an async context can go, in the real apps.

use std::time::Duration;

use serde::Deserialize;
use tests::http::BROWSER;
use tests::load::each;
use tests::{App, Cluster};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const REQUESTS: usize = 10_000;
const AT_A_TIME: usize = 64;

async fn every_answer_carries_its_own_id_only(app: App) {
    // As many as ask: a trial of fewer would refuse some.
    let limit = format!("min_jobs_per_isolate = {AT_A_TIME}\nmax_jobs_per_isolate = {AT_A_TIME}");
    let cluster = Cluster::of(app).config(&limit).start().await;
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

/// A server that answers a request with its own path, after as many milliseconds as the request says.
async fn origin() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                let head = String::from_utf8(head).unwrap();
                let (path, wait) = head.split(' ').nth(1).unwrap().split_once("?wait=").unwrap();
                tokio::time::sleep(Duration::from_millis(wait.parse().unwrap())).await;
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{path}",
                    path.len()
                );
                // The job may have gone.
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    format!("http://{address}")
}

/// What a job's page or stream says that it found: `Walked` of `tests/apps/threads-shared/isolation.server.ts`.
#[derive(Debug, Deserialize)]
struct Walked {
    mark: String,
    looks: u64,
    wrong: Vec<String>,
    /// Whose request the component was rendered for; a stream has none.
    rendered: Option<String>,
}

/// What the page's `<pre>` elements hold, as JSON.
fn walks_of(html: &str) -> Vec<Walked> {
    // React may part texts by empty comments, Solid writes its keys into tags.
    let elements = html.split("<pre").skip(1).filter_map(|rest| rest.split_once('>')?.1.split_once("</pre>"));
    let json = |text: &str| text.replace("<!-- -->", "").replace("&quot;", "\"");
    elements.map(|(text, _)| serde_json::from_str(&json(text)).unwrap()).collect()
}

/// All marks in a text.
fn marks(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("mark-").map(|(at, _)| {
        let end = text[at..].find("-end").map_or(text.len(), |end| at + end + "-end".len());
        &text[at..end]
    })
}

/// The `number`th job: by turns a page as a browser gets it, in pieces; as a crawler does, whole; and a stream.
async fn walk(cluster: &Cluster, number: usize) -> u64 {
    let mark = format!("mark-{number}-end");
    let (path, walks) = match number % 3 {
        0 => ("/api/isolation".to_owned(), 2),
        _ => (format!("/isolation/{mark}"), 3),
    };
    let agent = if number % 3 == 1 { BROWSER } else { "Googlebot/2.1" };
    let request =
        cluster.client().get(cluster.url(&path)).header("x-mark", &mark).header("user-agent", agent);
    let answer = cluster.answer(request).await;
    let text = answer.text();
    assert_eq!(answer.status, 200, "job {number}: {text}\n{}", cluster.log());
    let foreign: Vec<_> = marks(&text).filter(|found| *found != mark).collect();
    assert!(foreign.is_empty(), "job {number} shows {foreign:?}");
    let found = match number % 3 {
        0 => text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
        _ => walks_of(&text),
    };
    assert_eq!(found.len(), walks, "job {number}: {text}");
    for walked in &found {
        assert_eq!((walked.mark.as_str(), walked.wrong.as_slice()), (mark.as_str(), &[][..]), "job {number}");
        assert!(
            walked.rendered.as_ref().is_none_or(|rendered| *rendered == mark),
            "job {number}: {walked:?}"
        );
    }
    found.iter().map(|walked| walked.looks).sum()
}

/// A thousand jobs at a time in one isolate, each with pauses and ways that its number decides: promises, thenables,
/// timers, ticks, microtasks, streams, events, `AsyncResource` and fetch, in loaders, server functions and while the page
/// streams.
async fn a_thousand_jobs_keep_their_contexts(app: App) {
    const JOBS: usize = 1000;
    let origin = origin().await;
    let cluster = Cluster::of(app)
        .fn_workers(0)
        .env("ORIGIN", &origin)
        .config(
            "max_jobs_per_isolate = 1000\nmin_jobs_per_isolate = 1000\nqueue_wait = \"30s\"\nabort_delay = \"5m\"",
        )
        .start()
        .await;
    let looks: u64 = each(1..JOBS + 1, JOBS, async |number| walk(&cluster, number).await).await.iter().sum();
    assert!(looks > 100_000, "{looks} looks");
    cluster.stop().await;
}

#[tokio::test]
async fn a_thousand_interleaved_jobs_of_the_react_app_keep_their_contexts() {
    a_thousand_jobs_keep_their_contexts(App::ThreadsReact).await;
}

#[tokio::test]
async fn a_thousand_interleaved_jobs_of_the_solid_app_keep_their_contexts() {
    a_thousand_jobs_keep_their_contexts(App::ThreadsSolid).await;
}
