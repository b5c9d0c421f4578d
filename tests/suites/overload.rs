//! More than fits: it waits within bounds, or is refused at once.

use std::time::{Duration, Instant};

use tests::http::RawConnection;
use tests::metrics::Metrics;
use tests::{Bundle, Cluster, wait};

/// An app that answers at once, except at `/hang`.
fn app() -> Bundle {
    Bundle::fetch("if (url.pathname === '/hang') await new Promise(() => {})\nreturn new Response('ok')")
}

/// Takes the only place; dropping the connection frees it.
async fn take_the_place(cluster: &Cluster) -> RawConnection {
    let mut connection = cluster.connect().await;
    connection.send("GET /hang HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    cluster.metrics_until("the place is taken", |metrics| metrics.jobs_in_flight() == 1.0).await;
    connection
}

fn refusals(metrics: &Metrics, reason: &str) -> f64 {
    metrics.sum("isopod_refusals_total", &[("reason", reason)])
}

#[tokio::test]
async fn what_does_not_fit_the_queue_is_refused_at_once() {
    let config = "max_jobs_per_isolate = 1\nqueue_limit = 1\nqueue_wait = \"20s\"";
    let cluster = Cluster::of(app()).config(config).start().await;
    let place = take_the_place(&cluster).await;
    let waiting = cluster.get("/");
    let others = async {
        let queued = |metrics: &Metrics| metrics.sum("isopod_queued_jobs", &[]) == 1.0;
        cluster.metrics_until("one waits", queued).await;
        let asked = Instant::now();
        let refused = cluster.get("/").await;
        let took = asked.elapsed();
        assert_eq!(refused.status, 503);
        assert!(refused.header("retry-after").parse::<u32>().unwrap() >= 1);
        assert!(took < Duration::from_millis(100), "{took:?}");
        assert_eq!(refusals(&cluster.metrics().await, "queue_full"), 1.0);
        drop(place);
    };
    let (waited, ()) = tokio::join!(waiting, others);
    assert_eq!((waited.status, waited.text().as_str()), (200, "ok"), "who waits gets the free place");
}

#[tokio::test]
async fn who_waits_too_long_is_refused() {
    let config = "max_jobs_per_isolate = 1\nqueue_wait = \"50ms\"";
    let cluster = Cluster::of(app()).config(config).start().await;
    let place = take_the_place(&cluster).await;
    let refused = cluster.get("/").await;
    assert_eq!(refused.status, 503);
    assert!(!refused.header("retry-after").is_empty());
    assert_eq!(refusals(&cluster.metrics().await, "queue_timeout"), 1.0);
    assert_eq!(cluster.answer(cluster.client().get(cluster.admin_url("/livez"))).await.status, 200);
    drop(place);
    cluster.metrics_until("the place is free", |metrics| metrics.jobs_in_flight() == 0.0).await;
    assert_eq!(cluster.get("/").await.status, 200);
}

#[tokio::test]
async fn a_job_past_its_time_is_504() {
    let cluster = Cluster::of(app()).config("job_timeout = \"300ms\"").start().await;
    assert_eq!(cluster.get("/hang").await.status, 504);
    cluster.metrics_until("its place is free", |metrics| metrics.jobs_in_flight() == 0.0).await;
    assert_eq!(cluster.get("/").await.status, 200);
}

#[tokio::test]
async fn a_full_queue_makes_room_for_what_matters_more() {
    let config = "max_jobs_per_isolate = 1\nqueue_limit = 1\nqueue_wait = \"20s\"";
    let cluster = Cluster::of(app()).config(config).start().await;
    let place = take_the_place(&cluster).await;
    let queued = |metrics: &Metrics| metrics.sum("isopod_queued_jobs", &[]) == 1.0;
    let prefetch = cluster.answer(
        cluster
            .client()
            .get(cluster.url("/"))
            .header("sec-purpose", "prefetch")
            .header("accept", "text/html"),
    );
    let others = async {
        cluster.metrics_until("the prefetch waits", queued).await;
        let page = cluster.get("/");
        let end = async {
            let shed = |metrics: &Metrics| refusals(metrics, "shed") == 1.0;
            cluster.metrics_until("the prefetch has made room", shed).await;
            let function = cluster.get("/_serverFn/a").await;
            assert_eq!(function.status, 503, "what matters less does not");
            drop(place);
        };
        tokio::join!(page, end).0
    };
    let (prefetched, page) = tokio::join!(prefetch, others);
    assert_eq!((prefetched.status, page.status), (503, 200));
    assert!(prefetched.text().starts_with("<!doctype html>"), "{}", prefetched.text());
    assert_eq!(refusals(&cluster.metrics().await, "queue_full"), 1.0);
}

#[tokio::test]
async fn a_route_that_fails_again_and_again_is_given_a_rest() {
    let bundle = Bundle::fetch(
        "if (url.pathname.startsWith('/bad/') && !globalThis.well) await new Promise(() => {})
         if (url.pathname === '/heal') globalThis.well = true
         return new Response('ok')",
    );
    let config = "job_timeout = \"200ms\"\nbreaker_failures = 2\nbreaker_pause = \"2s\"";
    let cluster = Cluster::of(bundle).config(config).start().await;
    let resting = |metrics: &Metrics| refusals(metrics, "route_resting");
    let mut number = 0;
    let refused = wait::eventually("the route rests", async || {
        number += 1;
        let answer = cluster.get(&format!("/bad/{number}")).await;
        assert!(matches!(answer.status, 503 | 504), "{}", answer.status);
        (answer.status == 503).then_some(answer)
    })
    .await;
    let seconds: u32 = refused.header("retry-after").parse().unwrap();
    assert!((1..=2).contains(&seconds), "as long as the rest: {seconds}");
    assert!(resting(&cluster.metrics().await) >= 1.0);
    assert_eq!(cluster.get("/heal").await.status, 200, "other routes go on");
    wait::eventually("one tries, and it is well again", async || {
        (cluster.get("/bad/1").await.status == 200).then_some(())
    })
    .await;
    assert_eq!(cluster.get("/bad/2").await.status, 200);
}

#[tokio::test]
async fn a_server_function_that_fails_leaves_the_others_alone() {
    let bundle = Bundle::fetch(
        "if (url.pathname === '/_serverFn/1f') await new Promise(() => {})
         return new Response('ok')",
    );
    let config = "job_timeout = \"200ms\"\nbreaker_failures = 1\nbreaker_pause = \"10m\"";
    let cluster = Cluster::of(bundle).config(config).start().await;
    assert_eq!(cluster.get("/_serverFn/1f").await.status, 504);
    assert_eq!(cluster.get("/_serverFn/1f").await.status, 503);
    assert_eq!(refusals(&cluster.metrics().await, "route_resting"), 1.0);
    assert_eq!(cluster.get("/_serverFn/2e").await.status, 200);
}

#[tokio::test]
async fn a_route_whose_requests_are_terminated_again_and_again_is_given_a_rest() {
    let bundle = Bundle::fetch(
        "if (url.pathname.startsWith('/loop/')) for (;;);
         return new Response('ok')",
    );
    let config =
        "max_turn = \"100ms\"\nbreaker_failures = 2\nrestart_backoff = \"1ms\"\nrestarts_per_minute = 1000";
    let cluster = Cluster::of(bundle).spares(1).config(config).start().await;
    wait::eventually("the route rests", async || {
        let answer = cluster.get("/loop/1").await;
        assert!(matches!(answer.status, 500 | 503), "{}", answer.status);
        (answer.status == 503 && refusals(&cluster.metrics().await, "route_resting") >= 1.0).then_some(())
    })
    .await;
    assert_eq!(cluster.get("/").await.status, 200, "other routes go on");
}

#[tokio::test]
async fn a_route_whose_responses_break_off_again_and_again_is_given_a_rest() {
    let bundle = Bundle::fetch(
        "if (!url.pathname.startsWith('/cut/')) return new Response('ok')
         let begun = false
         return new Response(new ReadableStream({
           async pull(controller) {
             if (begun) { await new Promise((done) => setTimeout(done, 50)); for (;;); }
             begun = true
             controller.enqueue(new TextEncoder().encode('<p>the shell'))
           },
         }, { highWaterMark: 0 }))",
    );
    let config =
        "max_turn = \"100ms\"\nbreaker_failures = 2\nrestart_backoff = \"1ms\"\nrestarts_per_minute = 1000";
    let cluster = Cluster::of(bundle).spares(1).config(config).start().await;
    let mut was_cut = 0;
    wait::eventually("the route rests", async || {
        let answer = cluster.client().get(cluster.url("/cut/1")).send().await.unwrap();
        if answer.status() == 200 {
            assert!(answer.bytes().await.is_err(), "it is never as if it were whole");
            was_cut += 1;
        }
        (refusals(&cluster.metrics().await, "route_resting") >= 1.0).then_some(())
    })
    .await;
    assert!(was_cut >= 2, "{was_cut}");
    let line = |line: &str| (line.contains("is given a rest") && line.contains("/cut/")).then_some(());
    assert!(cluster.log().find(line).await.is_some(), "the log names the route: {}", cluster.log());
    assert_eq!(cluster.get("/").await.status, 200, "other routes go on");
}

/// An app whose `/bad` pages hang until `/heal` was asked for. Afterwards those at `/bad/0` do.
fn app_that_heals() -> Bundle {
    Bundle::fetch(
        "if (url.pathname.startsWith('/bad/') && (!globalThis.well || url.pathname === '/bad/0')) await new Promise(() => {})
         if (url.pathname === '/heal') globalThis.well = true
         return new Response('ok')",
    )
}

async fn until_the_route_rests(cluster: &Cluster) {
    wait::eventually("the route rests", async || {
        cluster.get("/bad/1").await;
        (refusals(&cluster.metrics().await, "route_resting") >= 1.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_next_one_tries_when_the_client_of_the_one_that_tries_has_gone() {
    let config = "job_timeout = \"2s\"\nbreaker_failures = 1\nbreaker_pause = \"1s\"";
    let cluster = Cluster::of(app_that_heals()).config(config).start().await;
    until_the_route_rests(&cluster).await;
    assert_eq!(cluster.get("/heal").await.status, 200);
    wait::eventually("one tries, and its client goes", async || {
        let mut trial = cluster.connect().await;
        trial.send("GET /bad/0 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
        let runs = |metrics: &Metrics| metrics.jobs_in_flight() == 1.0;
        let answer = trial.read_until("\r\n\r\n");
        tokio::select! {
            _ = cluster.metrics_until("it runs", runs) => Some(()),
            _ = answer => None,
        }
    })
    .await;
    let gone = Instant::now();
    wait::eventually("the next one tries", async || {
        (cluster.get("/bad/1").await.status == 200).then_some(())
    })
    .await;
    assert!(gone.elapsed() < Duration::from_secs(20), "{:?}", gone.elapsed());
}

#[tokio::test]
async fn the_next_one_tries_when_the_one_that_tries_is_refused() {
    let rows = "job_timeout = \"30s\"\nbreaker_failures = 1\nbreaker_pause = \"1s\"
         [[route_limits]]\npath = \"/bad/$id\"\nmax_concurrent = 1\ntimeout = \"300ms\"
         [[route_limits]]\npath = \"/bad/0\"\nmax_concurrent = 1\n";
    let cluster = Cluster::of(app_that_heals()).config(rows).start().await;
    let mut slow = cluster.connect().await;
    slow.send("GET /bad/0 HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    cluster.metrics_until("it runs", |metrics| metrics.jobs_in_flight() == 1.0).await;
    until_the_route_rests(&cluster).await;
    assert_eq!(cluster.get("/heal").await.status, 200);
    wait::eventually("one would try, and is refused", async || {
        cluster.get("/bad/0").await;
        (refusals(&cluster.metrics().await, "route_busy") >= 1.0).then_some(())
    })
    .await;
    assert_eq!(cluster.get("/bad/1").await.status, 200, "the next one tries");
    drop(slow);
}

#[tokio::test]
async fn a_route_may_take_longer_than_others() {
    let bundle = Bundle::fetch(
        "const began = performance.now()
         const aborted = new Promise((done) => request.signal.addEventListener('abort', done))
         if (url.pathname !== '/other/late') await aborted
         else await new Promise((done) => setTimeout(done, 800))
         return new Response(String(performance.now() - began))",
    );
    let config = "abort_delay = \"200ms\"\nabort_grace = \"300ms\"
         [[route_limits]]\npath = \"/long/$id\"\ntimeout = \"2s\"\n";
    let cluster = Cluster::of(bundle).config(config).start().await;
    assert_eq!(cluster.get("/other/late").await.status, 504, "others are closed after half a second");
    let long = cluster.get("/long/1").await;
    let took: f64 = long.text().parse().unwrap();
    assert_eq!(long.status, 200);
    assert!((1600.0..2000.0).contains(&took), "the signal aborts the grace before its end: {took} ms");
}

#[tokio::test]
async fn who_reads_slowly_or_listens_to_events_keeps_nobody_off_a_route() {
    let bundle = Bundle::fetch(
        "const endless = { pull(controller) { controller.enqueue(new Uint8Array(65536)) } }
         if (url.pathname === '/some/1') return new Response(new ReadableStream(endless))
         const headers = { 'content-type': 'text/event-stream' }
         if (url.pathname === '/some/2') return new Response(new ReadableStream({}), { headers })
         if (url.pathname === '/some/3') await new Promise(() => {})
         return new Response('ok')",
    );
    let config = "write_timeout = \"10m\"\nmin_download_rate = \"0B\"
         [[route_limits]]\npath = \"/some/$id\"\nmax_concurrent = 1\n";
    let cluster = Cluster::of(bundle).config(config).start().await;
    let mut clients = Vec::new();
    for (path, slow) in [("/some/2", 0.0), ("/some/2", 0.0), ("/some/1", 1.0), ("/some/1", 2.0)] {
        let mut client = cluster.connect().await;
        client.send(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")).await;
        let head = client.read_until("\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
        let is_slow = |metrics: &Metrics| metrics.sum("isopod_slow_clients", &[]) == slow;
        cluster.metrics_until("it is slow", is_slow).await;
        clients.push(client);
    }
    assert_eq!(cluster.get("/some/4").await.status, 200);
    let mut working = cluster.connect().await;
    working.send("GET /some/3 HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    cluster.metrics_until("all run", |metrics| metrics.jobs_in_flight() == 5.0).await;
    assert_eq!(cluster.get("/some/4").await.status, 503, "the isolate works for that one");
    assert_eq!(refusals(&cluster.metrics().await, "route_busy"), 1.0);
}

#[tokio::test]
async fn a_route_may_take_only_so_much() {
    let rows = "[[route_limits]]\npath = \"/slow/$id\"\nmax_concurrent = 1\ntimeout = \"300ms\"\n";
    let bundle = Bundle::fetch(
        "if (url.pathname.startsWith('/slow/')) await new Promise(() => {})\nreturn new Response('ok')",
    );
    let cluster = Cluster::of(bundle).config(rows).start().await;
    let slow = cluster.get("/slow/1");
    let others = async {
        cluster.metrics_until("it runs", |metrics| metrics.jobs_in_flight() == 1.0).await;
        assert_eq!(cluster.get("/slow/2").await.status, 503);
        assert_eq!(cluster.get("/").await.status, 200, "other routes are not limited");
        assert_eq!(refusals(&cluster.metrics().await, "route_busy"), 1.0);
    };
    let (slow, ()) = tokio::join!(slow, others);
    assert_eq!(slow.status, 504, "it has a time of its own");
    cluster.metrics_until("the isolate has let go of it", |metrics| metrics.jobs_in_flight() == 0.0).await;
    assert_eq!(cluster.get("/slow/3").await.status, 504, "its place is free");
    let wrong = "[[route_limits]]\npath = \"/a\"\nmax_concurrent = 0\n";
    let exit = Cluster::of(app()).config(wrong).start_to_end().await;
    exit.expect_code(64).expect_said(&["max_concurrent", "1 to 100000"]);
}
