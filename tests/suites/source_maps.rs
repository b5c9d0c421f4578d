//! Stacks in the log name the files that people wrote.

use tests::{App, Bundle, Cluster};

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

/// What the real apps' log says, built with `build.sourcemap`: files and lines as they were written.
async fn the_log_of_a_real_build_names_its_sources(app: App) -> String {
    let cluster = Cluster::of(app).fn_workers(0).start().await;
    assert_eq!(cluster.get("/faults/throws").await.status, 500);
    cluster.get("/boom-render").await;
    let log = cluster.stop().await.stderr;
    let thrown = log.split("thrown by a loader").nth(1).expect("a line of the loader's error");
    let (first, cause) = thrown.split_once("its cause").expect("a line of its cause");
    for stack in [first, cause] {
        let frame = stack.lines().nth(1).unwrap_or_default();
        assert!(frame.contains("threads-shared/faults.ts:"), "{frame} in {thrown}");
    }
    log
}

#[tokio::test]
async fn the_log_of_a_real_react_build_names_sources_and_components() {
    let log = the_log_of_a_real_build_names_its_sources(App::PlainThreadsReact).await;
    let thrown = log.split("boom from the render").nth(1).unwrap();
    assert!(thrown.lines().nth(1).unwrap().contains("src/routes/boom-render.tsx"), "{thrown}");
    let components = thrown.split("Component stack:").nth(1).unwrap();
    assert!(components.lines().nth(1).unwrap().contains("at Boom ("), "{components}");
    assert!(
        components.contains("at Document (") && components.contains("src/routes/__root.tsx:"),
        "{components}"
    );
}

#[tokio::test]
async fn the_log_of_a_real_solid_build_names_sources() {
    the_log_of_a_real_build_names_its_sources(App::PlainThreadsSolid).await;
}
