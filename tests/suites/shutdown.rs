//! How a cluster ends: what runs is finished, and nothing is left behind.

use nix::sys::signal::Signal;
use tests::http::Answer;
use tests::wait::eventually;
use tests::{App, Bundle, Cluster};

/// An app that never answers `/hang`.
fn app() -> Bundle {
    Bundle::fetch("if (url.pathname === '/hang') await new Promise(() => {})\nreturn new Response('ok')")
}

async fn drains(cluster: &Cluster) {
    eventually("the gateway drains", async || {
        let probe = cluster.client().get(cluster.admin_url("/readyz")).send().await;
        probe.map_or(true, |probe| probe.status() == 503).then_some(())
    })
    .await;
}

#[tokio::test]
async fn sigterm_finishes_what_runs() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let cluster = Cluster::of(App::ThreadsReact).renderers(2).start().await;
        let children = cluster.child_pids();
        assert!(children.len() >= 3, "two renderers and an fn worker: {children:?}");
        let mut running = cluster.client().get(cluster.url("/api/stream")).send().await.unwrap();
        running.chunk().await.unwrap().expect("it streams");
        cluster.signal(signal);
        drains(&cluster).await;
        let rest = Answer::read(running).await.unwrap().text();
        assert!(rest.ends_with("chunk 9\n"), "{rest}");
        cluster.exit(children).await.expect_code(0);
    }
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_ended() {
    let cluster = Cluster::of(app()).config("drain_timeout = \"500ms\"").start().await;
    let children = cluster.child_pids();
    let mut hanging = cluster.connect().await;
    hanging.send("GET /hang HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    cluster.metrics_until("it hangs", |metrics| metrics.jobs_in_flight() == 1.0).await;
    cluster.signal(Signal::SIGTERM);
    let exit = cluster.exit(children).await;
    assert!(exit.code().is_some(), "it ends by itself: {exit:?}");
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let cluster = Cluster::of(app()).config("drain_timeout = \"10m\"").start().await;
    let children = cluster.child_pids();
    let mut hanging = cluster.connect().await;
    hanging.send("GET /hang HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    cluster.metrics_until("it hangs", |metrics| metrics.jobs_in_flight() == 1.0).await;
    cluster.signal(Signal::SIGTERM);
    drains(&cluster).await;
    cluster.signal(Signal::SIGTERM);
    cluster.exit(children).await.expect_code(143);
}

#[tokio::test]
async fn a_killed_gateway_leaves_no_child() {
    let cluster = Cluster::of(app()).renderers(2).fn_workers(2).start().await;
    let children = cluster.child_pids();
    assert!(children.len() >= 4, "two renderers and two fn workers: {children:?}");
    let mut hanging = cluster.connect().await;
    hanging.send("GET /hang HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    cluster.metrics_until("it hangs", |metrics| metrics.jobs_in_flight() == 1.0).await;
    cluster.signal(Signal::SIGKILL);
    assert_eq!(cluster.exit(children).await.code(), None);
}

#[tokio::test]
async fn a_gateway_that_is_killed_while_it_starts_leaves_no_child() {
    let slow = Bundle::new(
        "setInterval(() => {}, 1000)\nawait new Promise(() => {})\nexport default { fetch: () => new Response('ok') }",
    );
    let exit = Cluster::of(slow).config("load_timeout = \"10m\"").kill_while_it_starts().await;
    assert_eq!(exit.code(), None);
}
