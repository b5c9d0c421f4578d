//! Hooks that misbehave: each has its outcome, and a log line that names it.

use tests::wait::within_patience;
use tests::{Bundle, Cluster};

/// A pipeline over a renderer that writes two pieces; `?hook=NAME&how=HOW` lets a hook misbehave.
const MISBEHAVING: &str = r#"
import { defineRenderPipeline, noRouter } from './isopod/pipeline/index.js'

const view = {
  name: 'two pieces',
  async render({ url }) {
    if (url.searchParams.get('hook') === 'onShellError') throw new Error('the shell failed')
    const pieces = ['<html><head></head><body><p>one</p>', '<p>two</p></body></html>']
    const stream = new ReadableStream({
      async pull(controller) {
        await new Promise((done) => setTimeout(done, 1))
        const piece = pieces.shift()
        if (piece === undefined) controller.close()
        else controller.enqueue(new TextEncoder().encode(piece))
      },
    }, { highWaterMark: 0 })
    return { stream, allReady: Promise.resolve() }
  },
}

const wrong = {
  onRequest: 7,
  onRouterReady: { isStream: 'yes' },
  onShellReady: { header: 7 },
  onResponse: new Uint8Array(3),
  getState: [1],
  onShellError: 7,
}

let kept
function hook(name) {
  return (first) => {
    const context = name === 'onRequest' ? undefined : first.context
    const { searchParams } = new URL(name === 'onRequest' ? first.url : context.request.url)
    if (searchParams.get('hook') !== name) return
    switch (searchParams.get('how')) {
      case 'throws': throw new Error('secret boom')
      case 'rejects': return Promise.reject(new Error('secret boom'))
      case 'hangs': return new Promise(() => {})
      case 'shape': return wrong[name]
    }
  }
}

export default defineRenderPipeline({
  render: { view, router: noRouter },
  onRequest(request, { context }) {
    if (new URL(request.url).pathname === '/late') {
      const answer = Response.json({ written: kept.write('<p>late</p>') })
      return { shouldCancel: true, response: answer }
    }
    kept = context
    return hook('onRequest')(request)
  },
  onRouterReady: hook('onRouterReady'),
  onShellReady: hook('onShellReady'),
  onResponse: hook('onResponse'),
  getState: hook('getState'),
  onShellError: hook('onShellError'),
})
"#;

const PAGE: &str = "<html><head></head><body><p>one</p><p>two</p></body></html>";

async fn misbehaving() -> Cluster {
    Cluster::of(Bundle::pipeline(MISBEHAVING)).config("hook_timeout = \"100ms\"").start().await
}

fn log_of(hook: &str, how: &str) -> String {
    let what = match how {
        "hangs" => "did not resolve within 100 ms (hook_timeout)",
        "shape" => "returned",
        _ => "threw: secret boom",
    };
    format!("{hook}: {what}")
}

#[tokio::test]
async fn a_hook_that_misbehaves_has_its_outcome_and_is_named_in_the_log() {
    let cluster = misbehaving().await;
    for how in ["throws", "rejects", "hangs", "shape"] {
        for hook in ["onRequest", "onShellError", "onRouterReady", "onShellReady", "getState", "onResponse"] {
            let path = format!("/?hook={hook}&how={how}");
            let sent = cluster.client().get(cluster.url(&path)).send().await;
            match hook {
                "onRequest" | "onShellError" => {
                    let answer = sent.unwrap();
                    assert_eq!(answer.status(), 500, "{path}");
                    let html = answer.text().await.unwrap();
                    assert!(html.contains("The page failed.") && !html.contains("secret"), "{path}: {html}");
                }
                "onResponse" => match sent {
                    Ok(answer) => assert!(answer.text().await.is_err(), "{path} is cut, never a clean end"),
                    Err(error) => assert!(!error.is_timeout(), "{path}: {error}"),
                },
                _ => {
                    let answer = sent.unwrap();
                    assert_eq!(answer.status(), 200, "{path}");
                    let html = answer.text().await.unwrap();
                    let html = html.split("<script>").next().unwrap().to_owned()
                        + html.rsplit("</script>").next().unwrap();
                    assert!(
                        PAGE.starts_with(&html) || html.contains(PAGE) || html.starts_with("<html><head>")
                    );
                }
            }
            let line = log_of(hook, how);
            let found = cluster.log().find(|text| text.contains(&line).then_some(()));
            assert!(within_patience(&line, found).await.is_some(), "{line}");
        }
    }
    cluster
        .metrics_until("the failures are counted, no job is left", |metrics| {
            let failures = |kind| metrics.sum("app_hook_failures_total", &[("kind", kind)]);
            failures("threw") >= 12.0
                && failures("timeout") >= 6.0
                && failures("shape") >= 6.0
                && metrics.jobs_in_flight() == 0.0
        })
        .await;
}

#[tokio::test]
async fn a_write_after_the_end_is_refused_and_named() {
    let cluster = misbehaving().await;
    assert_eq!(cluster.get("/").await.status, 200);
    assert_eq!(cluster.get("/late").await.json()["written"], false);
    let line = "write: context.write() was called when nothing could be sent";
    let found = cluster.log().find(|text| text.contains(line).then_some(()));
    assert!(within_patience(line, found).await.is_some());
}

async fn does_not_start(on_server_created: &str, said: &[&str]) {
    let source = format!(
        "import {{ defineRenderPipeline, noRouter }} from './isopod/pipeline/index.js'
         const view = {{ name: 'none', render: () => Promise.reject(new Error('never rendered')) }}
         export default defineRenderPipeline({{
           render: {{ view, router: noRouter }},
           onServerCreated: {on_server_created},
         }})"
    );
    let exit = Cluster::of(Bundle::pipeline(&source))
        .config("hook_timeout = \"100ms\"\nmax_app_metrics = 2")
        .start_to_end()
        .await;
    exit.expect_code(65).expect_said(said);
}

#[tokio::test]
async fn an_app_whose_server_cannot_be_created_does_not_start() {
    let remedy = "the hook onServerCreated must succeed before the app can serve";
    does_not_start(
        "() => { throw new Error('no database') }",
        &["onServerCreated: threw: no database", remedy],
    )
    .await;
    does_not_start(
        "() => new Promise(() => {})",
        &["onServerCreated: did not resolve within 100 ms", remedy],
    )
    .await;
}

#[tokio::test]
async fn an_app_with_too_many_metrics_does_not_start() {
    let three = "(app) => { for (const name of ['a', 'b', 'c']) app.metrics.counter({ name, help: name }) }";
    does_not_start(three, &["the metric 'c' is one too many: 2 are the limit (max_app_metrics)"]).await;
}

#[tokio::test]
async fn label_sets_beyond_the_limit_are_counted_together() {
    let source = "
        import { defineRenderPipeline, noRouter } from './isopod/pipeline/index.js'
        const view = { name: 'none', render: () => Promise.reject(new Error('never rendered')) }
        let hits
        export default defineRenderPipeline({
          render: { view, router: noRouter },
          onServerCreated(app) {
            hits = app.metrics.counter({ name: 'hits_total', help: 'Hits.', labels: ['path'] })
            app.get('/hit/:path', (_, { params }) => { hits.inc({ path: params.path }); return new Response('hit') })
          },
        })";
    let cluster = Cluster::of(Bundle::pipeline(source)).config("max_app_metric_series = 3").start().await;
    for path in ["a", "b", "c", "d", "a"] {
        assert_eq!(cluster.get(&format!("/hit/{path}")).await.text(), "hit");
    }
    let metrics =
        cluster.metrics_until("all are counted", |metrics| metrics.sum("app_hits_total", &[]) == 5.0).await;
    assert_eq!(metrics.sum("app_hits_total", &[("path", "a")]), 2.0);
    assert_eq!(metrics.sum("app_hits_total", &[("path", "other")]), 2.0);
    assert_eq!(metrics.sum("isopod_app_metric_overflows_total", &[]), 2.0);
    let line = "has 3 label sets, which is the limit (max_app_metric_series)";
    let found = cluster.log().find(|text| text.contains(line).then_some(()));
    assert!(within_patience(line, found).await.is_some());
}
