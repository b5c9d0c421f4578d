//! Work that finished requests leave behind: handed to `waitUntil`, or forgotten.

use nix::sys::signal::Signal;
use tests::{Bundle, Cluster};

/// `/work` hands over a promise that ends when `/release` is asked for; others end by themselves or never.
fn app() -> Bundle {
    Bundle::new(
        "let release
         const released = new Promise((resolve) => { release = resolve })
         export default {
           async fetch(request, { waitUntil }) {
             const { pathname } = new URL(request.url)
             if (pathname === '/work') waitUntil(released)
             if (pathname === '/release') release()
             if (pathname === '/fails') waitUntil(Promise.reject(new Error('sent nothing')))
             if (pathname === '/never') waitUntil(new Promise(() => {}))
             if (pathname === '/later') waitUntil(new Promise((end) => setTimeout(end, 300)).then(() => console.log('saved')))
             return new Response('ok')
           },
         }",
    )
}

#[tokio::test]
async fn work_is_bounded_in_number_and_counted_by_its_end() {
    let cluster = Cluster::of(app()).config("background_limit = 2").start().await;
    for path in ["/work", "/work", "/work"] {
        assert_eq!(cluster.get(path).await.text(), "ok", "work that finds no room fails no request");
    }
    let refused = |line: &str| line.contains("background_limit").then_some(());
    cluster.log().find(refused).await.expect("a line that names the key");
    cluster
        .metrics_until("two pending, one refused", |metrics| {
            metrics.sum("isopod_background_work_pending", &[]) == 2.0
                && metrics.sum("isopod_background_work_total", &[("outcome", "refused")]) == 1.0
        })
        .await;
    cluster.get("/release").await;
    cluster.get("/fails").await;
    cluster
        .metrics_until("all have ended", |metrics| {
            metrics.sum("isopod_background_work_pending", &[]) == 0.0
                && metrics.sum("isopod_background_work_total", &[("outcome", "finished")]) == 2.0
                && metrics.sum("isopod_background_work_total", &[("outcome", "failed")]) == 1.0
        })
        .await;
    cluster.stop().await;
}

#[tokio::test]
async fn work_is_bounded_in_time() {
    let cluster = Cluster::of(app()).config("background_timeout = \"50ms\"").start().await;
    cluster.get("/never").await;
    let late = |line: &str| line.contains("background_timeout").then_some(());
    cluster.log().find(late).await.expect("a line that names the key");
    cluster
        .metrics_until("it timed out", |metrics| {
            metrics.sum("isopod_background_work_total", &[("outcome", "timed_out")]) == 1.0
        })
        .await;
    // Nothing is waited for: the drain does not hang.
    cluster.stop().await;
}

#[tokio::test]
async fn a_shutdown_waits_for_work() {
    let cluster = Cluster::of(app()).start().await;
    cluster.get("/later").await;
    let children = cluster.child_pids();
    cluster.signal(Signal::SIGTERM);
    let exit = cluster.exit(children).await;
    exit.expect_code(0);
    assert!(exit.stderr.contains("saved"), "{}", exit.stderr);
}

/// `/forgets/N` goes on after its response without telling anybody; `/keeps` does so by `waitUntil`.
const FORGETFUL: &str = "
    const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
    const work = async () => { for (let i = 0; i < 4; i++) await pause(40); console.log('worked on') }
    if (url.pathname.startsWith('/forgets')) work()
    if (url.pathname === '/keeps') request.waitUntil(work())
    return new Response('ok')";

#[tokio::test]
async fn a_promise_that_nobody_waits_for_is_reported_once_for_its_route_in_development() {
    let cluster = Cluster::of(Bundle::fetch(FORGETFUL)).env("NODE_ENV", "development").start().await;
    for path in ["/keeps", "/forgets?a=1", "/forgets?a=2"] {
        cluster.get(path).await;
    }
    let report = |line: &str| line.contains("nobody waits for").then(|| line.to_owned());
    let reported = cluster.log().find(report).await.unwrap();
    assert!(reported.contains("GET /forgets:") && reported.contains("waitUntil"), "{reported}");
    let exit = cluster.stop().await;
    assert_eq!(exit.stderr.matches("nobody waits for").count(), 1, "{}", exit.stderr);
    // Where it went on.
    assert!(exit.stderr.contains("at work (") && exit.stderr.contains("server.js:"), "{}", exit.stderr);
}

#[tokio::test]
async fn production_does_not_look_for_forgotten_promises() {
    let cluster = Cluster::of(Bundle::fetch(FORGETFUL)).start().await;
    cluster.get("/forgets").await;
    cluster.log().find(|line| line.contains("worked on").then_some(())).await.unwrap();
    let exit = cluster.stop().await;
    assert!(!exit.stderr.contains("nobody waits for"), "{}", exit.stderr);
}
