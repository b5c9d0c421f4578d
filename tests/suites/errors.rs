//! What becomes of an error: the log has its stack in the author's own files, with what caused it; a visitor in
//! production sees nothing of it, a developer all.

use serde_json::Value;
use tests::http::Answer;
use tests::{App, Bundle, Cluster};

/// `server.js` as a bundler writes it of `src/shop.ts`, whose line 3 throws at column 9.
const BUNDLE: &str = "export default { async fetch(request) { if (request.headers.has('x-isopod-warmup')) return new Response();
if (new URL(request.url).pathname === '/fine') return new Response('fine');
try { JSON.parse('<'); } catch (cause) {
throw new Error('no price for <b>tea</b>', { cause }); } } };
//# sourceMappingURL=server.js.map
";

const SOURCE: &str = "export function price(item: string): number {
  // Everybody wants tea.
  throw new Error(`no price for ${item}`)
}
";

/// Maps column 0 of line 4 of the bundle to line 3, column 2 of the source; all before it to line 1.
fn source_map() -> String {
    serde_json::json!({
        "version": 3,
        "file": "server.js",
        "sources": ["../src/shop.ts"],
        "sourcesContent": [SOURCE],
        "names": [],
        "mappings": "AAAA;AAAA;AAAA;AAEE",
    })
    .to_string()
}

fn shop() -> Bundle {
    Bundle::new(BUNDLE).file("server/server.js.map", source_map())
}

async fn accepting(cluster: &Cluster, path: &str, accept: &str) -> Answer {
    cluster.answer(cluster.client().get(cluster.url(path)).header("accept", accept)).await
}

async fn logged(cluster: &Cluster, part: &str) -> String {
    cluster.log().find(|line| line.contains(part).then(|| line.to_owned())).await.unwrap()
}

#[tokio::test]
async fn the_log_names_the_authors_files_and_the_cause_and_production_tells_nothing() {
    let cluster = Cluster::of(shop()).config("log_format = \"json\"").start().await;
    for accept in ["text/html", "application/json", "*/*"] {
        let answer = accepting(&cluster, "/buy", accept).await;
        assert_eq!(answer.status, 500);
        for told in ["tea", "shop.ts", "server.js", "at ", "SyntaxError"] {
            assert!(!answer.text().contains(told), "{told}: {}", answer.text());
        }
    }
    let line = logged(&cluster, "the bundle failed").await;
    let line: Value = serde_json::from_str(&line).unwrap();
    let text = line.to_string();
    for part in ["no price for <b>tea</b>", "/src/shop.ts:3:3", "Caused by: SyntaxError"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(text.contains("\"request_id\":\"") && text.contains("/buy"), "{text}");
    assert_eq!(cluster.get("/fine").await.text(), "fine");
}

#[tokio::test]
async fn a_developer_sees_the_error_in_its_source() {
    let cluster = Cluster::of(shop()).env("NODE_ENV", "development").start().await;
    let page = accepting(&cluster, "/buy?item=<i>", "text/html").await;
    assert_eq!((page.status, page.header("content-type")), (500, "text/html; charset=utf-8"));
    let html = page.text();
    for part in [
        "no price for &lt;b&gt;tea&lt;/b&gt;",
        "src/shop.ts:3:3",
        "&gt; 3 |   throw new Error(`no price for ${item}`)",
        "2 |   // Everybody wants tea.",
        "Caused by: SyntaxError",
    ] {
        assert!(html.contains(part), "{part}: {html}");
    }
    assert!(!html.contains("<b>") && !html.contains("<i>"), "nothing of it is markup: {html}");
    let id = page.header("x-request-id");
    assert!(html.contains(id), "the page names request {id}: {html}");

    let json = accepting(&cluster, "/buy", "application/json").await.json();
    assert_eq!(json["error"], "Error: no price for <b>tea</b>");
    assert!(
        json["requestId"].is_string() && json["stack"].is_array() && json["excerpt"].is_array(),
        "{json}"
    );
    let text = accepting(&cluster, "/buy", "*/*").await.text();
    assert!(text.starts_with("500 Error: no price"), "{text}");
    let head = cluster.answer(cluster.client().head(cluster.url("/buy"))).await;
    assert_eq!((head.status, head.text().as_str()), (500, ""));
    assert_eq!(cluster.get("/fine").await.text(), "fine");
}

#[tokio::test]
async fn an_error_without_a_source_map_is_shown_where_it_is() {
    let app = Bundle::fetch("if (url.pathname === '/null') throw null\nthrow new RangeError('too far')");
    let cluster = Cluster::of(app).env("NODE_ENV", "development").start().await;
    let text = accepting(&cluster, "/", "text/plain").await.text();
    assert!(text.contains("RangeError: too far") && text.contains("server/server.js:"), "{text}");
    assert!(text.lines().any(|line| line.starts_with("> ") && line.contains("too far")), "{text}");
    let text = accepting(&cluster, "/null", "text/plain").await.text();
    assert!(text.starts_with("500 null"), "{text}");
}

#[tokio::test]
async fn a_broken_source_map_hides_no_error() {
    let app = shop().file("server/server.js.map", "{ this is no map");
    let cluster = Cluster::of(app).start().await;
    assert_eq!(cluster.get("/buy").await.status, 500);
    let line = logged(&cluster, "the bundle failed").await;
    assert!(line.contains("no price for"), "{line}");
}

#[tokio::test]
async fn a_components_stack_is_logged_with_its_request() {
    let cluster = Cluster::of(App::ThreadsReact).config("log_format = \"json\"").start().await;
    let answer = cluster.get("/boom-render").await;
    let line = logged(&cluster, "Component stack:").await;
    let line: Value = serde_json::from_str(&line).unwrap();
    let text = line.to_string();
    let id = answer.header("x-request-id");
    assert!(text.contains(id), "request {id}: {text}");
    assert!(text.contains("Boom"), "the component is named: {text}");
    assert!(!answer.text().contains("server/assets"), "{}", answer.text());
}

#[tokio::test]
async fn the_page_that_react_makes_of_an_error_has_no_stack() {
    let cluster = Cluster::of(App::ThreadsReact).start().await;
    for path in ["/boom-render", "/boom"] {
        let page = accepting(&cluster, path, "text/html").await.text();
        assert!(page.contains("</html>"), "{path}: {page}");
        for told in ["dist/server", "file://", "    at "] {
            assert!(!page.contains(told), "{told} in {path}: {page}");
        }
    }
}
