//! What the operator's keys let an app reach, through a whole cluster.

use tests::{App, Bundle, Cluster};
use tokio::net::TcpListener;

#[tokio::test]
async fn egress_and_writable_reach_the_isolate() {
    let open = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (open, data) = (open.local_addr().unwrap(), tempfile::tempdir().unwrap());
    let app = Bundle::new(
        "import { writeFile } from 'node:fs/promises'
         import { connect } from 'node:net'
         const dial = (port) => new Promise((resolve) => {
           try {
             const socket = connect({ host: '127.0.0.1', port }, () => { socket.destroy(); resolve('connected') })
             socket.on('error', (error) => resolve(error.code))
           } catch (error) { resolve(error.code) }
         })
         const attempt = (promise) => promise.then(() => 'written', (error) => error.code)
         export default {
           async fetch(request) {
             const { port, directory } = Object.fromEntries(new URL(request.url).searchParams)
             if (!port) return new Response()
             return Response.json([
               await dial(+port), await dial(+port + 1), await attempt(writeFile(`${directory}/a`, '')),
               await attempt(writeFile('/tmp/a', '')),
             ])
           },
         }",
    );
    let path = data.path().to_str().unwrap();
    let cluster = Cluster::of(app).flag("--egress", &open.to_string()).flag("--writable", path).start().await;
    let answer = cluster.get(&format!("/?port={}&directory={path}", open.port())).await;
    assert_eq!(answer.text(), r#"["connected","ERR_ACCESS_DENIED","written","ERR_ACCESS_DENIED"]"#);
    cluster.stop().await;
}

#[tokio::test]
async fn rules_that_make_no_sense_end_the_start() {
    let exit = Cluster::of(Bundle::fetch("return new Response()"))
        .flag("--egress", "https://db.test")
        .flag("--writable", "/nowhere/at/all")
        .start_to_end()
        .await;
    exit.expect_code(64);
    for part in ["egress", "https://db.test", "db.test, *.test", "writable", "/nowhere/at/all", "create it"] {
        assert!(exit.stderr.contains(part), "{part}: {}", exit.stderr);
    }
}

#[tokio::test]
async fn a_start_app_adds_its_links_to_the_response_when_it_is_told_to() {
    let without = Cluster::of(App::ThreadsReact).start().await;
    assert!(without.get("/").await.headers("link").is_empty());
    without.stop().await;
    let with = Cluster::of(App::ThreadsReact).flag("--response-link-header", "true").start().await;
    let answer = with.get("/").await;
    let links = answer.headers("link").join(", ");
    assert!(links.contains("rel=modulepreload") || links.contains("rel=preload"), "{links}");
    with.stop().await;
}
