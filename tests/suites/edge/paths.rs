//! Redirects and rewrites.

use tests::{Bundle, Cluster};

use super::{echo, said};

#[tokio::test]
async fn redirects_carry_parameters_and_query() {
    let config = r#"
[[redirects]]
from = "/blog/$slug"
to = "/posts/$slug"
status = 308
[[redirects]]
from = "/docs/$"
to = "https://docs.example/v1/$?from=old"
[[redirects]]
from = "/{-$locale}/about"
to = "/{-$locale}/info"
keep_query = false
[[redirects]]
from = "/feed/{$name}.xml"
to = "/feeds/$name"
"#;
    let cluster = Cluster::of(echo().file("client/blog/file.txt", "file")).config(config).start().await;
    for (path, status, location) in [
        ("/blog/a%20b?x=1&y=%20", 308, "/posts/a%20b?x=1&y=%20"),
        ("/Blog/a/", 308, "/posts/a"),
        ("/docs/a/b%2Fc?q", 307, "https://docs.example/v1/a/b%2Fc?from=old&q"),
        ("/docs", 307, "https://docs.example/v1?from=old"),
        ("/about?x=1", 307, "/info"),
        ("/de/about", 307, "/de/info"),
        ("/feed/news.xml", 307, "/feeds/news"),
    ] {
        let answer = cluster.get(path).await;
        assert_eq!((answer.status, answer.header("location")), (status, location), "{path}");
    }
    assert_eq!(said(&cluster.get("/blog/file.txt").await), "file", "static files come first");
    assert_eq!(said(&cluster.get("/posts/a").await), "GET /posts/a");
    let counted = cluster.metrics().await.sum("isopod_requests_total", &[("route", "redirect")]);
    assert_eq!(counted, 7.0);
    cluster.stop().await;
}

#[tokio::test]
async fn paths_lead_to_their_one_spelling() {
    let config = r#"
path_trailing_slash = "strict"
path_case = "sensitive"
[[redirects]]
from = "/about/"
to = "/about"
status = 308
[[redirects]]
from = "/Docs/$"
to = "/docs/$"
status = 308
"#;
    let cluster = Cluster::of(echo()).config(config).start().await;
    for (path, location) in [("/about/?x=1", "/about?x=1"), ("/Docs/a/B", "/docs/a/B")] {
        let answer = cluster.get(path).await;
        assert_eq!((answer.status, answer.header("location")), (308, location), "{path}");
        assert_eq!(said(&cluster.get(location).await), format!("GET {location}"));
    }
    assert_eq!(said(&cluster.get("/About/").await), "GET /About/");
    cluster.stop().await;
}

#[tokio::test]
async fn rewrites_show_the_app_another_path() {
    let config = r#"
[[rewrites]]
from = "/u/$name"
to = "/users/$name?via=u"
[[rewrites]]
from = "/users/$name"
to = "/people/$name"
[[rewrites]]
from = "/app/$"
to = "/shell.html"
"#;
    let cluster = Cluster::of(echo().file("client/shell.html", "<p>shell</p>")).config(config).start().await;
    assert_eq!(said(&cluster.get("/u/ann?x=1").await), "GET /people/ann?via=u&x=1");
    assert_eq!(said(&cluster.post_json("/u/ann", "{}").await), "POST /people/ann?via=u");
    assert_eq!(said(&cluster.get("/app/any/where").await), "<p>shell</p>");
    assert_eq!(cluster.get("/u/a%2F..%2Fb").await.status, 400, "rewriting makes no path that was refused");
    cluster.stop().await;
}

#[tokio::test]
async fn more_rewrites_than_a_request_may_have_lead_nowhere() {
    let rows = (0..20).map(|row| format!("[[rewrites]]\nfrom = \"/r{row}\"\nto = \"/r{}\"\n", row + 1));
    let cluster = Cluster::of(echo()).config(&rows.collect::<String>()).start().await;
    assert_eq!(said(&cluster.get("/r4").await), "GET /r20", "sixteen are made");
    assert_eq!(cluster.get("/r3").await.status, 508);
    let counted = cluster.metrics().await.sum("isopod_refusals_total", &[("reason", "rewrite_chain")]);
    assert_eq!(counted, 1.0);
    cluster.stop().await;
}

#[tokio::test]
async fn no_rewrite_leads_past_a_door() {
    let config = r#"
[[basic_auth]]
path = "/staging/$"
users = ["ann:plain:let me in"]
[[rewrites]]
from = "/open/$"
to = "/staging/$"
[[rewrites]]
from = "/far/$"
to = "/open/$"
[[rewrites]]
from = "/public/$"
to = "/pages/$"
[[headers]]
path = "/open/$"
set = { x-asked = "open" }
[[headers]]
path = "/staging/$"
set = { x-led-to = "staging" }
"#;
    let cluster = Cluster::of(echo().file("client/staging/a.txt", "file")).config(config).start().await;
    for path in ["/open/a.txt", "/Open/%61.txt", "/far/a.txt", "/open/page", "/open"] {
        let closed = cluster.get(path).await;
        assert_eq!(closed.status, 401, "{path}");
        assert!(closed.header("www-authenticate").starts_with("Basic"), "{path}");
        let known = cluster.client().get(cluster.url(path)).basic_auth("ann", Some("let me in"));
        assert_eq!(cluster.answer(known).await.status, 200, "{path}");
    }
    assert_eq!(said(&cluster.get("/public/a").await), "GET /pages/a");
    let refused = cluster.metrics().await.sum("isopod_refusals_total", &[("reason", "basic_auth")]);
    assert_eq!(refused, 5.0);
    // All else goes by the path that was asked for.
    let known = cluster.client().get(cluster.url("/open/a.txt")).basic_auth("ann", Some("let me in"));
    let known = cluster.answer(known).await;
    assert_eq!(
        (said(&known).as_str(), known.header("x-asked"), known.header("x-led-to")),
        ("file", "open", "")
    );
    cluster.stop().await;
}

#[tokio::test]
async fn loops_ambiguities_and_mistakes_are_told_together_before_anything_starts() {
    let config = r#"
[[redirects]]
from = "/a/$x"
to = "/b/$x"
[[redirects]]
from = "/b/$y"
to = "/a/$y"
[[rewrites]]
from = "/$"
to = "/app/$"
[[rewrites]]
from = "/users/$id"
to = "/x"
[[rewrites]]
from = "/users/$name"
to = "/y"
[[headers]]
path = "/p//q"
set = { x = "1" }
"#;
    let exit = Cluster::of(Bundle::fetch("return new Response('ok')")).config(config).start_to_end().await;
    exit.expect_code(64).expect_said(&[
        "redirects.to, row 1",
        "a loop: /a/$x -> row 1 -> /b/$y -> row 2 -> /a/$x",
        "rewrites.to, row 1",
        "rewrites.from, row 3",
        "/users/$name and /users/$id match the same paths",
        "headers.path, row 1",
        "it has an empty segment",
    ]);
    assert_eq!(exit.stdout, "", "it never listens");
}
