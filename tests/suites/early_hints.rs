//! Early hints: what a page is known to need comes before it.

use std::time::Duration;

use h2::client::ResponseFuture;
use tests::http2::{Http2, Http2Answer};
use tests::metrics::Metrics;
use tests::{App, Bundle, Cluster};
use tokio::net::TcpStream;

const PAGE: &str = "GET / HTTP/1.1\r\nhost: localhost\r\naccept: text/html\r\n";
const BROWSER: &str = "sec-fetch-mode: navigate\r\n";

/// An app that reports two links and answers a while later.
fn app() -> Bundle {
    Bundle::new(
        "export default { async fetch(request, opts) {
           if (request.headers.has('x-isopod-warmup')) return new Response()
           opts?.onEarlyHints?.({ phase: 'static', links: ['</app.js>; rel=modulepreload', '</app.css>; rel=preload; as=style'] })
           await new Promise((done) => setTimeout(done, 300))
           return new Response('<p>page</p>', { headers: { 'content-type': 'text/html' } })
         } }",
    )
}

async fn learnt(served: impl Into<tests::app::Served>) -> Cluster {
    let cluster = Cluster::of(served).config("threads = 1\nh2c = true").start().await;
    let mut first = cluster.connect().await;
    first.send(format!("{PAGE}connection: close\r\n\r\n")).await;
    let first = first.read_to_end().await;
    assert_eq!(first.status, 200);
    cluster
}

fn sent(metrics: &Metrics, how: &str) -> f64 {
    metrics.sum("isopod_early_hints_total", &[("how", how)])
}

#[tokio::test]
async fn a_browser_gets_the_links_of_a_known_page_at_once() {
    for app in [App::ThreadsReact, App::ThreadsSolid] {
        let cluster = learnt(app).await;
        let mut browser = cluster.connect().await;
        browser.send(format!("{PAGE}{BROWSER}connection: close\r\n\r\n")).await;
        let received = browser.read_until("</html>").await;
        let (hints, page) = received.split_once("\r\n\r\n").unwrap();
        assert!(hints.starts_with("HTTP/1.1 103 Early Hints\r\nlink: </"), "{hints}");
        assert!(hints.contains("modulepreload"), "{hints}");
        assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
        let head = page.split_once("\r\n\r\n").unwrap().0.to_ascii_lowercase();
        assert!(!head.contains("\nlink: "), "what was sent is not sent again: {head}");
        assert!(sent(&cluster.metrics().await, "interim") >= 1.0);
    }
}

#[tokio::test]
async fn others_get_them_with_the_response() {
    let cluster = learnt(app()).await;
    let mut other = cluster.connect().await;
    other.send(format!("{PAGE}connection: close\r\n\r\n")).await;
    let answer = other.read_to_end().await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("link: </app.js>; rel=modulepreload\r\n"), "{}", answer.head);
    assert!(answer.head.contains("link: </app.css>"), "{}", answer.head);
    let mut machine = cluster.connect().await;
    machine.send("GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    assert!(!machine.read_to_end().await.head.contains("link:"), "who asks for no page gets none");
    let mut old = cluster.connect().await;
    old.send(format!("{}{BROWSER}\r\n", PAGE.replace("HTTP/1.1", "HTTP/1.0"))).await;
    let old = old.read_to_end().await;
    assert_eq!(old.status, 200, "HTTP/1.0 has no interim responses: {}", old.head);
}

#[tokio::test]
async fn a_page_that_is_not_known_yet_sends_them_as_they_are_found() {
    let cluster = Cluster::of(app()).config("threads = 1").start().await;
    let mut browser = cluster.connect().await;
    browser.send(format!("{PAGE}{BROWSER}connection: close\r\n\r\n")).await;
    let hints = browser.read_until("\r\n\r\n").await;
    assert!(hints.starts_with("HTTP/1.1 103 Early Hints\r\nlink: </app.js>"), "{hints}");
    let all = browser.read_until("<p>page</p>").await;
    assert!(all.contains("\r\n\r\nHTTP/1.1 200 OK\r\n"), "{all}");
}

#[tokio::test]
async fn pipelined_responses_stay_whole() {
    let cluster = learnt(app()).await;
    let mut browser = cluster.connect().await;
    browser
        .send(format!("{PAGE}{BROWSER}\r\n{PAGE}{BROWSER}\r\n{PAGE}{BROWSER}connection: close\r\n\r\n"))
        .await;
    let received = browser.read_to_end_as_text().await;
    assert_eq!(received.matches("HTTP/1.1 200 OK").count(), 3, "{received}");
    assert_eq!(received.matches("<p>page</p>").count(), 3, "{received}");
    assert!(received.starts_with("HTTP/1.1 103 Early Hints"), "{received}");
}

#[tokio::test]
async fn http2_has_them_too() {
    let cluster = learnt(app()).await;
    let mut browser = Http2::over(TcpStream::connect(cluster.address()).await.unwrap(), "localhost").await;
    let fields = [("accept", "text/html"), ("sec-fetch-mode", "navigate")];
    let (mut response, _) = browser.begin("GET", "/", &fields, false).await.unwrap();
    let informational =
        |response: &mut ResponseFuture, cx: &mut std::task::Context<'_>| response.poll_informational(cx);
    let hints = std::future::poll_fn(|cx| informational(&mut response, cx));
    let hints = tokio::time::timeout(Duration::from_millis(250), hints).await;
    let hints = hints.expect("before the page is rendered").unwrap().unwrap();
    assert_eq!(hints.status(), 103);
    let links: Vec<_> = hints.headers().get_all("link").iter().map(|link| link.to_str().unwrap()).collect();
    assert_eq!(links, ["</app.js>; rel=modulepreload", "</app.css>; rel=preload; as=style"]);
    let answer = Http2Answer::read(response.await.unwrap()).await.unwrap();
    assert_eq!((answer.status, answer.body.as_str(), answer.header("link")), (200, "<p>page</p>", ""));
}

#[tokio::test]
async fn they_can_be_switched_off() {
    let cluster = Cluster::of(app()).config("early_hints = false").start().await;
    for _ in 0..3 {
        let mut browser = cluster.connect().await;
        browser.send(format!("{PAGE}{BROWSER}connection: close\r\n\r\n")).await;
        let answer = browser.read_to_end().await;
        assert_eq!(answer.status, 200);
        assert!(!answer.head.contains("link:"), "{}", answer.head);
    }
}
