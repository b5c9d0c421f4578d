//! Which trace a request belongs to, for the app, the log and the client.

use tests::{Bundle, Cluster};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// An app that tells which trace it is part of.
fn app() -> Bundle {
    Bundle::fetch(
        "return Response.json([request.headers.get('traceparent'), request.headers.get('tracestate')])",
    )
}

/// What the app saw of a request that says it belongs to a trace.
async fn seen(cluster: &Cluster) -> (String, Option<String>) {
    let request =
        cluster.client().get(cluster.url("/")).header("traceparent", PARENT).header("tracestate", "a=1");
    let json = cluster.answer(request).await.json();
    (json[0].as_str().unwrap_or_default().to_owned(), json[1].as_str().map(str::to_owned))
}

#[tokio::test]
async fn a_trusted_proxys_trace_goes_on_to_the_app_and_the_log_names_it() {
    let cluster = Cluster::of(app())
        .flag("--trusted-proxy", "127.0.0.1")
        .config("log_format = \"json\"\nlog_filter = \"info\"")
        .start()
        .await;
    let (parent, state) = seen(&cluster).await;
    assert_eq!((&parent[..36], &parent[52..]), (&PARENT[..36], "-01"));
    assert_ne!(parent, PARENT, "the app is part of the gateway's span");
    assert_eq!(state.as_deref(), Some("a=1"));
    let line = cluster.log().find(|line| line.contains(TRACE).then(|| line.to_owned())).await.unwrap();
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["trace_id"], &line["target"]), (&TRACE.into(), &"access".into()));
    assert_eq!(line["span_id"], parent[36..52]);
    assert_eq!(line["parent_span_id"], PARENT[36..52]);
    cluster.stop().await;
}

#[tokio::test]
async fn a_strangers_trace_is_not_continued_and_the_client_may_learn_of_its_own() {
    let cluster = Cluster::of(app()).config("trace_response = true\ntrace_sampled_percent = 0").start().await;
    let (parent, state) = seen(&cluster).await;
    assert_ne!(parent[3..35], *TRACE);
    assert_eq!((parent.len(), &parent[52..], state), (55, "-02", None));
    let answer = cluster.get("/").await;
    assert_eq!(answer.header("traceresponse"), answer.json()[0].as_str().unwrap());
    cluster.stop().await;
}

#[tokio::test]
async fn lines_of_the_app_name_the_trace_as_the_access_log_does() {
    let bundle = Bundle::fetch("console.log('said by the app')\nthrow new Error('thrown by the app')");
    let cluster = Cluster::of(bundle).config("log_format = \"json\"\nlog_filter = \"info\"").start().await;
    assert_eq!(cluster.get("/page").await.status, 500);
    let line = async |part: &str| -> serde_json::Value {
        let line = cluster
            .log()
            .find(|line| (line.contains(part) && line.contains("/page")).then(|| line.to_owned()));
        serde_json::from_str(&line.await.unwrap()).unwrap()
    };
    let access = line("\"target\":\"access\"").await;
    assert_eq!(access["trace_id"].as_str().unwrap().len(), 32);
    for part in ["said by the app", "thrown by the app"] {
        let line = line(part).await;
        for name in ["request_id", "trace_id", "span_id"] {
            assert_eq!(line[name], access[name], "{part}: {name}");
        }
    }
    cluster.stop().await;
}

#[tokio::test]
async fn any_client_may_be_believed_or_none_asked_about_traces() {
    let any = Cluster::of(app()).config("trace_context = \"any\"").start().await;
    assert_eq!(seen(&any).await.0[3..35], *TRACE);
    any.stop().await;
    let off = Cluster::of(app()).config("trace_context = \"off\"").start().await;
    assert_eq!(seen(&off).await, (PARENT.to_owned(), Some("a=1".to_owned())), "as they came");
    assert!(off.get("/").await.json()[0].is_null());
    off.stop().await;
}
