//! Renderers that die and bundles that throw.

use std::sync::atomic::{AtomicBool, Ordering};

use tests::http::Answer;
use tests::load::each;
use tests::wait::{eventually, within_patience};
use tests::{App, Bundle, Cluster};

/// What became of one request.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Answered(u16),
    /// The connection ended inside the answer.
    Cut,
}

async fn fate(cluster: &Cluster, path: &str) -> Fate {
    let answer = async { Answer::read(cluster.client().get(cluster.url(path)).send().await?).await };
    match within_patience("an answer", answer).await {
        Ok(answer) => {
            let whole = answer.status != 200 || answer.text().contains("</html>");
            assert!(whole, "a page that is cut must not end as if it were whole: {}", answer.text());
            Fate::Answered(answer.status)
        }
        Err(_) => Fate::Cut,
    }
}

#[tokio::test]
async fn a_killed_renderer_costs_at_most_what_it_was_running() {
    const CONCURRENCY: usize = 32;
    let cluster = Cluster::of(App::ThreadsReact).renderers(2).start().await;
    let over = AtomicBool::new(false);
    let load = each(0..CONCURRENCY, CONCURRENCY, async |_| {
        let mut fates = Vec::new();
        while !over.load(Ordering::Relaxed) {
            fates.push(fate(&cluster, "/").await);
        }
        fates
    });
    let incident = async {
        cluster.metrics_until("it is under load", |metrics| metrics.jobs_in_flight() >= 8.0).await;
        let lost = cluster.kill_renderer(0).await;
        cluster.wait_until_replaced(lost).await;
        over.store(true, Ordering::Relaxed);
    };
    let (fates, ()) = tokio::join!(load, incident);
    let fates: Vec<_> = fates.into_iter().flatten().collect();
    let hurt = fates.iter().filter(|fate| **fate != Fate::Answered(200));
    let hurt: Vec<_> =
        hurt.inspect(|fate| assert!(matches!(fate, Fate::Answered(502) | Fate::Cut))).collect();
    assert!(hurt.len() <= CONCURRENCY, "{} of {}: {hurt:?}", hurt.len(), fates.len());
    let restarts = cluster.metrics().await.sum("isopod_restarts_total", &[("kind", "renderer")]);
    assert_eq!(restarts, 1.0);
    assert_eq!(cluster.get("/").await.status, 200);
    cluster.stop().await;
}

#[tokio::test]
async fn a_request_that_changes_something_is_not_repeated() {
    let bundle = Bundle::fetch(
        "if (url.pathname === '/hang') await new Promise(() => {})
         return new Response('ok')",
    );
    let cluster = Cluster::of(bundle).renderers(2).start().await;
    let hanging = cluster.answer(cluster.client().post(cluster.url("/hang")).body("once"));
    let incident = async {
        cluster.metrics_until("it runs", |metrics| metrics.jobs_in_flight() == 1.0).await;
        for slot in [0, 1] {
            let lost = cluster.kill_renderer(slot).await;
            cluster.wait_until_replaced(lost).await;
        }
    };
    let (answer, ()) = tokio::join!(hanging, incident);
    assert_eq!(answer.status, 502);
    assert_eq!(cluster.metrics().await.sum("isopod_job_retries_total", &[]), 0.0);
    assert_eq!(cluster.get("/").await.text(), "ok");
}

#[tokio::test]
async fn a_safe_request_moves_to_another_isolate() {
    let bundle = Bundle::fetch(
        "globalThis.jobs = (globalThis.jobs ?? 0) + 1
         await new Promise((resolve) => setTimeout(resolve, 1500))
         return new Response(`job ${globalThis.jobs} of its isolate`)",
    );
    let cluster = Cluster::of(bundle).renderers(2).start().await;
    let asking = cluster.get("/");
    let incident = async {
        let busy = eventually("a renderer runs it", async || {
            cluster.children("renderer").await.iter().position(|renderer| renderer.in_flight == 1)
        })
        .await;
        cluster.kill_renderer(busy).await;
    };
    let (answer, ()) = tokio::join!(asking, incident);
    assert_eq!((answer.status, answer.text().as_str()), (200, "job 1 of its isolate"));
    assert_eq!(cluster.metrics().await.sum("isopod_job_retries_total", &[]), 1.0);
}

#[tokio::test]
async fn a_bundle_that_throws_answers_500_and_hurts_no_other_job() {
    let bundle = Bundle::fetch(
        "switch (url.pathname) {
           case '/throws': throw new Error('the password is 1234')
           case '/rejects': return Promise.reject('the password is 1234')
           case '/no-response': return 'the password is 1234'
           case '/throws-later': setTimeout(() => { throw new Error('the password is 1234') }, 1); return new Response('later')
           case '/slow': await new Promise((resolve) => setTimeout(resolve, 300)); return new Response('slow')
           default: return new Response('ok')
         }",
    );
    let cluster = Cluster::of(bundle).start().await;
    let renderer = cluster.children("renderer").await[0].pid;
    let slow = cluster.get("/slow");
    let throwing = async {
        for path in ["/throws", "/rejects", "/no-response"] {
            let answer = cluster.get(path).await;
            assert_eq!(answer.status, 500, "{path}");
            assert!(!answer.text().contains("1234"), "{path}: {}", answer.text());
        }
        assert_eq!(cluster.get("/throws-later").await.text(), "later");
    };
    let (slow, ()) = tokio::join!(slow, throwing);
    assert_eq!(slow.text(), "slow");
    assert_eq!(cluster.get("/").await.text(), "ok");
    assert_eq!(cluster.children("renderer").await[0].pid, renderer, "the isolate goes on");
    assert!(cluster.log().to_string().contains("the password is 1234"), "the log has the cause");
}

#[tokio::test]
async fn a_stream_that_fails_is_cut_and_never_ends_cleanly() {
    let bundle = Bundle::fetch(
        "return new Response(new ReadableStream({
           start(controller) { controller.enqueue(new TextEncoder().encode('first')) },
           pull(controller) { setTimeout(() => controller.error(new Error('broken')), 50); return new Promise(() => {}) },
         }))",
    );
    let cluster = Cluster::of(bundle).start().await;
    let mut answer = cluster.client().get(cluster.url("/")).send().await.unwrap();
    assert_eq!(answer.chunk().await.unwrap().unwrap(), "first");
    within_patience("the stream ends", answer.chunk()).await.unwrap_err();
    cluster.metrics_until("the job is gone", |metrics| metrics.jobs_in_flight() == 0.0).await;
}

#[tokio::test]
async fn process_abort_ends_its_isolate_and_no_neighbours_request() {
    let app = Bundle::fetch(
        "if (url.pathname === '/abort') process.abort()
         if (url.pathname === '/slow') await new Promise((resolve) => setTimeout(resolve, 1500))
         return new Response('ok')",
    );
    let cluster = Cluster::of(app).isolates(2).start().await;
    let slow = cluster.get("/slow");
    let aborts = async {
        cluster.metrics_until("it runs", |metrics| metrics.jobs_in_flight() == 1.0).await;
        let request = cluster.client().post(cluster.url("/abort"));
        cluster.answer(request).await
    };
    let (slow, aborted) = tokio::join!(slow, aborts);
    assert_eq!((slow.status, slow.text()), (200, "ok".into()), "the neighbour's request");
    assert_eq!(aborted.status, 500);
    let line = cluster.log().find(|line| line.contains("process.exit(134)").then_some(())).await;
    assert!(line.is_some(), "the log says what happened");
    cluster.wait_until_ready().await;
    assert_eq!(cluster.get("/").await.text(), "ok");
    cluster.stop().await;
}
