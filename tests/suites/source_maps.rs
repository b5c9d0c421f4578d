//! Stacks in the log name the files that people wrote.

use tests::{Bundle, Cluster};

/// One line of code, and a map that leads all of it to line 42 of `src/page.tsx`.
fn app(code: &str) -> Bundle {
    let map = r#"{"version":3,"sources":["../../src/page.tsx"],"names":[],"mappings":"AAyCA"}"#;
    Bundle::new(&format!("{code}\n//# sourceMappingURL=server.js.map\n")).file("server/server.js.map", map)
}

const THROWS: &str = "export default { fetch(request) { if (request.headers.has('x-isopod-warmup')) return new Response(); if (request.url.endsWith('/caught')) { console.error(new Error('noticed').stack); return new Response('fine'); } throw new Error('broken', { cause: new Error('deeper') }) } }";

#[tokio::test]
async fn a_stack_in_the_log_leads_to_the_source() {
    let cluster = Cluster::of(app(THROWS)).start().await;
    let answer = cluster.get("/").await;
    assert_eq!(answer.status, 500);
    assert!(!answer.text().contains("page.tsx") && !answer.text().contains("broken"), "{}", answer.text());
    assert_eq!(cluster.get("/caught").await.text(), "fine");
    let exit = cluster.stop().await;
    for message in ["broken", "deeper", "noticed"] {
        let stack = exit.stderr.split(message).nth(1).unwrap_or_default();
        assert!(
            stack.lines().nth(1).is_some_and(|line| line.contains("src/page.tsx:42:")),
            "{message}: {}",
            exit.stderr
        );
    }
}

#[tokio::test]
async fn a_map_that_is_damaged_leaves_the_stack_as_it_is() {
    let cluster = Cluster::of(app(THROWS).file("server/server.js.map", "{ damaged")).start().await;
    assert_eq!(cluster.get("/").await.status, 500);
    let exit = cluster.stop().await;
    assert!(exit.stderr.contains("broken") && exit.stderr.contains("server/server.js:1:"), "{}", exit.stderr);
}
