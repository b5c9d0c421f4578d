//! Files of the client folder, served without an isolate.

use tests::{App, Bundle, Cluster};

const SCRIPT: &str = "console.log('served as it is')";

/// An app whose handler answers with what it was asked for.
fn app() -> Bundle {
    Bundle::fetch("/* SOURCE-OF-THE-SERVER */ return new Response(`bundle:${url.pathname}`)")
        .file("client/assets/index-DbD6Fl5e.js", SCRIPT)
        .file("client/hello.txt", "0123456789")
        .file("client/page.html", "<p>page</p>")
        .file("client/docs/index.html", "<p>docs</p>")
        .file("client/.env", "PASSWORD=1")
        .file("client/.git/config", "PASSWORD=2")
}

#[tokio::test]
async fn files_have_their_types_and_validators() {
    let cluster = Cluster::of(app()).start().await;
    for (path, kind) in [
        ("/assets/index-DbD6Fl5e.js", "text/javascript"),
        ("/hello.txt", "text/plain"),
        ("/page.html", "text/html"),
    ] {
        let answer = cluster.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.header("content-type").starts_with(kind), "{path}: {:?}", answer.headers);
    }
    assert_eq!(cluster.get("/assets/index-DbD6Fl5e.js").await.text(), SCRIPT);

    let etag = cluster.get("/hello.txt").await.header("etag").to_owned();
    assert!(etag.contains('"'), "{etag}");
    for (condition, status) in
        [(etag.as_str(), 304), ("*", 304), ("\"other\"", 200), (&format!("\"other\", {etag}"), 304)]
    {
        let request = cluster.client().get(cluster.url("/hello.txt")).header("if-none-match", condition);
        let answer = cluster.answer(request).await;
        assert_eq!(answer.status, status, "{condition}");
        assert_eq!(answer.body.is_empty(), status == 304, "{condition}");
    }
}

#[tokio::test]
async fn hashed_names_are_immutable_and_others_are_not() {
    let cluster = Cluster::of(app()).start().await;
    let hashed = cluster.get("/assets/index-DbD6Fl5e.js").await;
    assert!(hashed.header("cache-control").contains("immutable"), "{:?}", hashed.headers);
    assert!(hashed.header("cache-control").contains("max-age=31536000"), "{:?}", hashed.headers);
    let plain = cluster.get("/hello.txt").await;
    assert!(!plain.header("cache-control").contains("immutable"), "{:?}", plain.headers);
}

#[tokio::test]
async fn ranges_are_answered_in_part() {
    let cluster = Cluster::of(app()).start().await;
    for (range, status, content_range, body) in [
        ("bytes=2-5", 206, "bytes 2-5/10", "2345"),
        ("bytes=7-", 206, "bytes 7-9/10", "789"),
        ("bytes=-3", 206, "bytes 7-9/10", "789"),
        ("bytes=20-", 416, "bytes */10", ""),
        ("lines=1-2", 200, "", "0123456789"),
    ] {
        let request = cluster.client().get(cluster.url("/hello.txt")).header("range", range);
        let answer = cluster.answer(request).await;
        assert_eq!((answer.status, answer.header("content-range")), (status, content_range), "{range}");
        if status != 416 {
            assert_eq!(answer.text(), body, "{range}");
        }
    }
}

#[tokio::test]
async fn head_tells_the_length_and_sends_nothing() {
    let cluster = Cluster::of(app()).start().await;
    let mut connection = cluster.connect().await;
    connection.send("HEAD /hello.txt HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    let answer = connection.read_to_end().await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-length: 10"), "{}", answer.head);
    assert_eq!(answer.body, "");
}

#[tokio::test]
async fn a_folder_is_its_prerendered_page_and_the_rest_is_the_bundles() {
    let cluster = Cluster::of(app()).start().await;
    assert_eq!(cluster.get("/docs/").await.text(), "<p>docs</p>");
    for path in ["/", "/assets/", "/assets/index-OTHER.js", "/hello.txt/x"] {
        assert!(cluster.get(path).await.text().starts_with("bundle:"), "{path}");
    }
}

#[tokio::test]
async fn nothing_outside_the_client_folder_and_no_dotfile_is_served() {
    let bundle = app();
    std::fs::write(bundle.path().join("outside.txt"), "OUTSIDE").unwrap();
    std::os::unix::fs::symlink(bundle.path().join("outside.txt"), bundle.path().join("client/link.txt"))
        .unwrap();
    let cluster = Cluster::of(bundle).start().await;
    for path in [
        "/../server/server.js",
        "/../outside.txt",
        "/%2e%2e/outside.txt",
        "/%2e%2e%2foutside.txt",
        "/.%2e/outside.txt",
        "/assets/../../outside.txt",
        "/assets/..%2f..%2fserver/server.js",
        "/assets/..%5c..%5coutside.txt",
        "/assets/%252e%252e/%252e%252e/outside.txt",
        "/..;/outside.txt",
        "//outside.txt",
        "/.env",
        "/%2eenv",
        "/.git/config",
        "/docs/../.env",
        "/hello.txt%00.js",
        "/link.txt",
    ] {
        let mut connection = cluster.connect().await;
        connection.send(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")).await;
        let answer = connection.read_to_end().await;
        for secret in ["OUTSIDE", "SOURCE-OF-THE-SERVER", "PASSWORD"] {
            assert!(!answer.body.contains(secret), "{path}: {}", answer.body);
        }
    }
}

#[tokio::test]
async fn a_built_apps_assets_are_served_as_its_pages_name_them() {
    for app in [App::ThreadsReact, App::ThreadsSolid] {
        let cluster = Cluster::of(app).start().await;
        let html = cluster.get("/").await.text();
        let named: std::collections::BTreeSet<_> =
            html.split('"').filter(|text| text.starts_with("/assets/")).collect();
        assert!(named.len() >= 2, "{html}");
        for path in named {
            let answer = cluster.get(path).await;
            assert_eq!(answer.status, 200, "{path}");
            assert!(answer.header("cache-control").contains("immutable"), "{path}: {:?}", answer.headers);
        }
    }
}
