//! Compressed responses, read by decoders of their own.

use std::io::Read;

use tests::http::Answer;
use tests::{App, Bundle, Cluster};

async fn asked(cluster: &Cluster, path: &str, accept: &str) -> Answer {
    cluster.answer(cluster.client().get(cluster.url(path)).header("accept-encoding", accept)).await
}

fn decoded(answer: &Answer) -> Vec<u8> {
    let (bytes, mut out) = (&*answer.body, Vec::new());
    match answer.header("content-encoding") {
        "" => out.extend_from_slice(bytes),
        "br" => drop(brotli::Decompressor::new(bytes, 4096).read_to_end(&mut out).unwrap()),
        "zstd" => drop(zstd::stream::read::Decoder::new(bytes).unwrap().read_to_end(&mut out).unwrap()),
        "gzip" => drop(flate2::read::GzDecoder::new(bytes).read_to_end(&mut out).unwrap()),
        other => unreachable!("{other}"),
    }
    out
}

async fn pages_and_files_are_the_same_in_every_encoding(app: App) {
    let cluster = Cluster::of(app).start().await;
    let plain = asked(&cluster, "/links-100", "identity").await;
    assert_eq!((plain.header("content-encoding"), plain.header("vary")), ("", "accept-encoding"));
    let html = plain.text();
    let script = html.split('"').find(|part| part.starts_with("/assets/") && part.ends_with(".js")).unwrap();
    // Of a file, what the build wrote is preferred to what would be made now: br and gzip, zstd where its Node can.
    for (accept, encoding, of_file) in [
        ("gzip, deflate, br, zstd", "zstd", &["zstd", "br"][..]),
        ("gzip, deflate, br", "br", &["br"]),
        ("gzip", "gzip", &["gzip"]),
        ("zstd;q=0.1, gzip;q=0.9, br;q=0.5", "gzip", &["gzip"]),
        ("br;q=0, *;q=0.5", "zstd", &["zstd", "gzip"]),
        ("identity", "", &[""]),
    ] {
        let page = asked(&cluster, "/links-100", accept).await;
        assert_eq!((page.status, page.header("content-encoding")), (200, encoding), "{accept}");
        assert_eq!(page.header("vary"), "accept-encoding");
        let text = String::from_utf8(decoded(&page)).unwrap();
        assert!((1..=100).all(|id| text.contains(&format!("href=\"/threads/{id}\""))), "{accept}");
        let file = asked(&cluster, script, accept).await;
        assert!(of_file.contains(&file.header("content-encoding")), "{script} {accept}");
        assert_eq!(decoded(&file), cluster.get(script).await.body, "{accept}");
        assert!(encoding.is_empty() || page.body.len() * 3 < html.len(), "{accept}: {}", page.body.len());
    }
    cluster.stop().await;
}

#[tokio::test]
async fn react_pages_and_files_are_the_same_in_every_encoding() {
    pages_and_files_are_the_same_in_every_encoding(App::ThreadsReact).await;
}

#[tokio::test]
async fn solid_pages_and_files_are_the_same_in_every_encoding() {
    pages_and_files_are_the_same_in_every_encoding(App::ThreadsSolid).await;
}

#[tokio::test]
async fn a_compressed_page_streams_as_the_app_writes_it() {
    let cluster = Cluster::of(App::ThreadsReact).start().await;
    for accept in ["zstd", "br", "gzip"] {
        let request = cluster.client().get(cluster.url("/deferred")).header("accept-encoding", accept);
        let mut page = request.send().await.unwrap();
        assert_eq!(page.headers()["content-encoding"], accept);
        let (mut bytes, mut html) = (Vec::new(), String::new());
        while !html.contains("id=\"shell\"") {
            bytes.extend_from_slice(
                &page.chunk().await.unwrap().expect("the shell comes before the page ends"),
            );
            html = String::from_utf8_lossy(&readable(accept, &bytes)).into_owned();
        }
        assert!(!html.contains("id=\"deferred-value\""), "{accept}: the shell waited for the value");
        while let Some(chunk) = page.chunk().await.unwrap() {
            bytes.extend_from_slice(&chunk);
        }
        let html = String::from_utf8(readable(accept, &bytes)).unwrap();
        assert!(html.contains("id=\"deferred-value\"") && html.contains("</html>"), "{accept}: {html}");
    }
    cluster.stop().await;
}

/// What can be read of bytes that need not be all.
fn readable(encoding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut reader: Box<dyn Read + '_> = match encoding {
        "br" => Box::new(brotli::Decompressor::new(bytes, 4096)),
        "zstd" => Box::new(zstd::stream::read::Decoder::new(bytes).unwrap()),
        _ => Box::new(flate2::read::GzDecoder::new(bytes)),
    };
    let (mut out, mut piece) = (Vec::new(), [0; 4096]);
    while let Ok(read) = reader.read(&mut piece)
        && read > 0
    {
        out.extend_from_slice(&piece[..read]);
    }
    out
}

#[tokio::test]
async fn what_must_not_be_compressed_is_not() {
    let bundle = Bundle::fetch(
        "const text = 'again and again '.repeat(500)
         const headers = Object.fromEntries(url.searchParams)
         return new Response(url.pathname === '/short' ? 'short' : text, { headers, status: url.pathname === '/part' ? 206 : 200 })",
    )
    .file("client/a.txt", "again and again ".repeat(500))
    .file("client/b.js", "original ".repeat(500))
    .file("client/b.js.br", "built");
    let cluster = Cluster::of(bundle).start().await;
    for path in [
        "/events?content-type=text/event-stream",
        "/image?content-type=image/png",
        "/own?content-type=text/html&content-encoding=identity",
        "/kept?content-type=text/html&cache-control=no-transform",
        "/short?content-type=text/html",
        "/part?content-type=text/html&content-range=bytes%200-1/2",
    ] {
        let answer = asked(&cluster, path, "br, gzip, zstd").await;
        assert!(matches!(answer.header("content-encoding"), "" | "identity"), "{path}: {:?}", answer.headers);
    }
    let tagged = asked(&cluster, "/page?content-type=text/html&etag=%22a%22", "br").await;
    assert_eq!((tagged.header("content-encoding"), tagged.header("etag")), ("br", "W/\"a\""));
    let head =
        cluster.client().head(cluster.url("/page?content-type=text/html")).header("accept-encoding", "br");
    let head = cluster.answer(head).await;
    assert_eq!((head.header("content-encoding"), head.header("vary")), ("", "accept-encoding"));
    let part = cluster
        .client()
        .get(cluster.url("/a.txt"))
        .header("accept-encoding", "br")
        .header("range", "bytes=0-4");
    let part = cluster.answer(part).await;
    assert_eq!((part.status, part.header("content-encoding"), &*part.text()), (206, "", "again"));
    assert_eq!(
        asked(&cluster, "/b.js", "gzip, br").await.text(),
        "built",
        "what the build made is preferred"
    );
    cluster.stop().await;
}

#[tokio::test]
async fn rows_of_the_configuration_decide_before_compression_does() {
    let bundle = Bundle::fetch(
        "const headers = { 'content-type': 'text/html', vary: 'cookie', etag: '\"app\"' }
         return new Response('again and again '.repeat(500), { headers })",
    )
    .file("client/kept/b.js", "original ".repeat(500))
    .file("client/kept/b.js.br", "built");
    let config = r#"
[[headers]]
path = "/kept/$"
set = { cache-control = "private, no-transform" }
[[headers]]
path = "/picture"
set = { content-type = "image/png" }
[[headers]]
path = "/bare"
set = { etag = "\"row\"" }
remove = ["vary"]
"#;
    let cluster = Cluster::of(bundle).config(config).start().await;
    let page = asked(&cluster, "/kept/page", "br, gzip, zstd").await;
    assert_eq!(
        (page.header("cache-control"), page.header("content-encoding")),
        ("private, no-transform", "")
    );
    assert_eq!(page.text(), "again and again ".repeat(500));
    assert_eq!(page.headers("vary"), ["cookie"], "nobody gets it compressed");
    assert_eq!(asked(&cluster, "/picture", "br").await.header("content-encoding"), "");
    // A row never hides from caches that the page is compressed for some, nor calls the encoded bytes the same.
    let bare = asked(&cluster, "/bare", "br").await;
    assert_eq!((bare.header("content-encoding"), bare.headers("vary")), ("br", vec!["accept-encoding"]));
    assert_eq!((bare.header("etag"), bare.header("x-content-type-options")), ("W/\"row\"", "nosniff"));
    assert_eq!(decoded(&bare), "again and again ".repeat(500).as_bytes());
    let other = asked(&cluster, "/page", "br").await;
    assert_eq!(
        (other.header("content-encoding"), other.headers("vary")),
        ("br", vec!["cookie", "accept-encoding"])
    );
    // Of files the form is chosen before: what was built is what no proxy is to change.
    let file = asked(&cluster, "/kept/b.js", "br").await;
    assert_eq!((file.header("content-encoding"), &*file.text()), ("br", "built"));
    assert_eq!(file.header("cache-control"), "private, no-transform");
    cluster.stop().await;
}

#[tokio::test]
async fn compression_can_be_left_to_the_build_or_off() {
    let page = || {
        Bundle::fetch("return new Response('x'.repeat(5000), { headers: { 'content-type': 'text/html' } })")
            .file("client/b.js", "original ".repeat(500))
            .file("client/b.js.br", "built")
    };
    let kept = Cluster::of(page()).config("compression = \"static\"").start().await;
    assert_eq!(asked(&kept, "/b.js", "br").await.header("content-encoding"), "br");
    assert_eq!(asked(&kept, "/page", "br").await.header("content-encoding"), "");
    kept.stop().await;
    let off = Cluster::of(page()).config("compression = \"off\"").start().await;
    for path in ["/b.js", "/page"] {
        let answer = asked(&off, path, "br").await;
        assert_eq!((answer.header("content-encoding"), answer.header("vary")), ("", ""), "{path}");
    }
    off.stop().await;
}
