//! Functions and routes in the gateway's own process: all that a worker process does, without one.

use nix::sys::signal::Signal;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tests::builder::ClusterBuilder;
use tests::http::Answer;
use tests::wait::eventually;
use tests::{Bundle, Cluster};

/// A bundle that answers a path by one expression; `call` is a native function's. The functions that the manifest names
/// need no isolate.
fn bundle(expression: &str) -> Bundle {
    let direct = |name: &str| (format!("id-{name}"), Value::from(name));
    let names = ["own.double", "own.note", "own.panics", "own.holds", "own.brief", "own.naps"];
    let direct: serde_json::Map<_, _> = names.into_iter().map(direct).collect();
    let manifest = json!({ "format": 1, "functions": { "base": "/_serverFn/", "direct": direct } });
    Bundle::fetch(&format!(
        r#"const call = (name, data) => globalThis[Symbol.for("isopod.host")].callNative(name, data);
           return Response.json(await (async () => {{ {expression} }})());"#
    ))
    .file("isopod.json", manifest.to_string())
}

/// A gateway with functions of its own and no worker process.
fn alone(expression: &str) -> ClusterBuilder {
    Cluster::of(bundle(expression)).fn_workers(0).program("embedding-gateway")
}

async fn start() -> Cluster {
    alone("return 'the bundle'").start().await
}

/// What Start's client sends for a value in JSON.
fn payload(data: &str) -> String {
    format!(r#"{{"t":{{"t":10,"i":0,"p":{{"k":["data"],"v":[{data}]}},"o":0}},"f":63,"m":[]}}"#)
}

/// A direct call by GET.
fn reads(cluster: &Cluster, name: &str, data: &str) -> RequestBuilder {
    let payload: String = payload(data).bytes().map(|byte| format!("%{byte:02x}")).collect();
    let url = cluster.url(&format!("/_serverFn/id-{name}?payload={payload}"));
    cluster.client().get(url).header("x-tsr-serverFn", "true").header("sec-fetch-site", "same-origin")
}

async fn read(cluster: &Cluster, name: &str, data: &str) -> Answer {
    cluster.answer(reads(cluster, name, data)).await
}

/// A call without Start around it.
async fn call(cluster: &Cluster, name: &str, input: &str) -> Answer {
    cluster.post_json(&format!("/_native/{name}"), input).await
}

/// Calls that have held or napped, and those that held and are gone.
async fn counts(cluster: &Cluster) -> (u64, u64) {
    let counts = call(cluster, "own.counts", "null").await.json();
    (counts[0].as_u64().unwrap(), counts[1].as_u64().unwrap())
}

const NOTHING: &str = r#"{"t":2,"s":1}"#;

#[tokio::test]
async fn direct_functions_are_answered_by_the_gateways_own_process() {
    let cluster = start().await;
    let answer = read(&cluster, "own.double", r#"{"t":0,"s":21}"#).await;
    assert_eq!((answer.status, answer.header("x-tss-serialized")), (200, "true"), "{}", answer.text());
    assert!(answer.text().contains(r#""s":42"#), "{}", answer.text());
    let post = cluster
        .client()
        .post(cluster.url("/_serverFn/id-own.note"))
        .header("x-tsr-serverFn", "true")
        .header("sec-fetch-site", "same-origin")
        .header("content-type", "application/json")
        .body(payload(r#"{"t":1,"s":"hello"}"#));
    let answer = cluster.answer(post).await;
    assert!(answer.status == 200 && answer.text().contains("POST hello"), "{}", answer.text());
    // States are opened once for all threads.
    let process = call(&cluster, "own.process", "null").await.json();
    let status = cluster.status().await;
    assert_eq!(process[1], 1);
    let mut workers = children(&status);
    workers.retain(|child| child["kind"] == "fn_worker");
    let [worker] = &workers[..] else { panic!("one fn worker: {status}") };
    assert_eq!((&worker["pid"], &worker["embedded"]), (&process[0], &Value::Bool(true)), "{status}");
    assert_eq!((&worker["state"], &worker["slot"]), (&json!("ready"), &json!(0)), "{status}");
    assert!(worker["functions"].as_array().unwrap().contains(&json!("own.double")), "{status}");
    let metrics = cluster.metrics().await;
    assert_eq!(metrics.sum("isopod_fn_workers", &[("state", "ready")]), 1.0);
    assert_eq!(metrics.sum("isopod_native_calls_total", &[("caller", "client"), ("outcome", "value")]), 3.0);
    cluster.stop().await;
}

fn children(status: &Value) -> Vec<Value> {
    let pool = status.get("pool").unwrap_or(status);
    pool["children"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_body_that_is_none_is_refused() {
    let cluster = start().await;
    let mut connection = cluster.connect().await;
    let head = "POST /_serverFn/id-own.note HTTP/1.1\r\nhost: localhost\r\nx-tsr-serverFn: true\r\n\
                sec-fetch-site: same-origin\r\ncontent-type: application/json\r\n\
                transfer-encoding: chunked\r\n\r\n";
    connection.send([head, "ZZ\r\n"].concat()).await;
    let answer = connection.read_to_end().await;
    assert_eq!(answer.status, 400, "{answer:?}");
    let refused = [("reason", "body_broken")];
    cluster
        .metrics_until("it is counted", |metrics| metrics.sum("isopod_refusals_total", &refused) == 1.0)
        .await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_page_calls_them_from_its_isolate() {
    let cluster = alone("return [await call('own.double', 4), await call('own.note', 'x')]").start().await;
    let answer = cluster.get("/").await;
    assert_eq!(answer.json(), json!([8, "GET x"]), "{}", cluster.log());
    assert_eq!(cluster.metrics().await.sum("isopod_native_calls_total", &[("caller", "isolate")]), 2.0);
}

#[tokio::test]
async fn routes_answer_before_the_bundle_and_stream() {
    let cluster = start().await;
    assert_eq!(cluster.get("/own/things/7").await.json(), "thing 7");
    let posted = cluster.answer(cluster.client().delete(cluster.url("/own/things/7"))).await;
    assert_eq!((posted.status, posted.header("allow")), (405, "GET, HEAD, OPTIONS"), "{}", posted.text());
    let lines = cluster.get("/own/numbers").await.text();
    assert_eq!(lines.lines().count(), 1000);
    assert!(lines.ends_with("998\n999\n"), "{lines}");
    assert_eq!(cluster.get("/else").await.json(), "the bundle");
}

#[tokio::test]
async fn a_panic_costs_its_own_call_alone() {
    let cluster = start().await;
    for _ in 0..3 {
        let answer = read(&cluster, "own.panics", NOTHING).await;
        assert_eq!(answer.status, 500, "{}", answer.text());
        assert!(!answer.text().contains("impossible"), "{}", answer.text());
        assert_eq!(read(&cluster, "own.double", r#"{"t":0,"s":1}"#).await.status, 200);
    }
    cluster.log().nth("panicked: something impossible", 3).await;
    cluster.log().nth("own.panics", 3).await;
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_call() {
    let cluster = start().await;
    let mut connection = cluster.connect().await;
    let path = "/_serverFn/id-own.holds";
    let fields = "host: localhost\r\nx-tsr-serverFn: true\r\nsec-fetch-site: same-origin\r\n";
    connection.send(&format!("GET {path} HTTP/1.1\r\n{fields}\r\n")).await;
    eventually("it holds", async || (counts(&cluster).await == (1, 0)).then_some(())).await;
    drop(connection);
    eventually("it is gone", async || (counts(&cluster).await == (1, 1)).then_some(())).await;
    cluster
        .metrics_until("and counted", |metrics| {
            metrics.sum("isopod_native_calls_total", &[("outcome", "cancelled")]) == 1.0
        })
        .await;
}

#[tokio::test]
async fn a_deadline_answers_and_ends_the_call() {
    let cluster = start().await;
    let answer = read(&cluster, "own.brief", NOTHING).await;
    assert_eq!(answer.status, 504, "{}", answer.text());
    eventually("it is gone", async || (counts(&cluster).await == (1, 1)).then_some(())).await;
}

#[tokio::test]
async fn a_function_has_no_more_calls_than_it_may() {
    let cluster = start().await;
    let mut held = cluster.connect().await;
    let fields = "host: localhost\r\nx-tsr-serverFn: true\r\nsec-fetch-site: same-origin\r\n";
    held.send(&format!("GET /_serverFn/id-own.holds HTTP/1.1\r\n{fields}\r\n")).await;
    eventually("it holds", async || (counts(&cluster).await == (1, 0)).then_some(())).await;
    let answer = read(&cluster, "own.holds", NOTHING).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    drop(held);
    eventually("its place is free", async || (counts(&cluster).await == (1, 1)).then_some(())).await;
}

#[tokio::test]
async fn what_runs_is_finished_when_the_gateway_ends() {
    let cluster = start().await;
    let children = cluster.child_pids();
    assert_eq!(call(&cluster, "own.leaves", "400").await.status, 200);
    let napping = tokio::spawn(reads(&cluster, "own.naps", r#"{"t":0,"s":400}"#).send());
    eventually("it naps", async || (counts(&cluster).await.0 == 1).then_some(())).await;
    cluster.signal(Signal::SIGTERM);
    let answer = Answer::read(napping.await.unwrap().unwrap()).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let exit = cluster.exit(children).await;
    exit.expect_code(0).expect_said(&["what was left running is done"]);
}

#[tokio::test]
async fn what_does_not_finish_is_cut_off() {
    let cluster = alone("return 1").config("drain_timeout = \"300ms\"").start().await;
    let children = cluster.child_pids();
    assert_eq!(call(&cluster, "own.leaves", "600000").await.status, 200);
    cluster.signal(Signal::SIGTERM);
    let exit = cluster.exit(children).await;
    exit.expect_code(0).expect_said(&["cut off"]);
}

#[tokio::test]
async fn worker_processes_have_other_functions_beside_them() {
    let cluster =
        Cluster::of(bundle("return [await call('own.asks'), await call('values.day', new Date(1))]"))
            .program("embedding-gateway")
            .variable("TEST_EMBEDS", "own")
            .flag("--fn-worker-bin", env!("CARGO_BIN_EXE_values-worker"))
            .start()
            .await;
    let day = 86_400_000;
    let answer = cluster.get("/").await;
    assert_eq!(answer.json()[0], json!([day, 8]), "{}\n{}", answer.text(), cluster.log());
    assert_eq!(cluster.children("fn_worker").await.len(), 2);
    assert_eq!(call(&cluster, "own.none", "null").await.status, 404);
    // The process comes and goes as ever; what the gateway has itself does not care.
    let lost = cluster.kill_fn_worker(0).await;
    assert_eq!(read(&cluster, "own.double", r#"{"t":0,"s":1}"#).await.status, 200);
    eventually("another has its place", async || {
        let children = cluster.children("fn_worker").await;
        (children.len() == 2 && children.iter().all(|child| child.pid != lost)).then_some(())
    })
    .await;
    cluster
        .metrics_until("both are ready", |metrics| {
            metrics.sum("isopod_fn_workers", &[("state", "ready")]) == 2.0
        })
        .await;
    assert_eq!(cluster.get("/").await.json()[0], json!([day, 8]));
    cluster.stop().await;
}

#[tokio::test]
async fn what_both_have_is_told_with_both_places_before_anything_listens() {
    let exit = Cluster::of(bundle("return 1"))
        .program("embedding-gateway")
        .flag("--fn-worker-bin", env!("CARGO_BIN_EXE_values-worker"))
        .start_to_end()
        .await;
    exit.expect_code(65).expect_said(&["two functions are named `values.echo`: at tests/src/values.rs:"]);
    assert!(!exit.stdout.contains("listening"), "{}", exit.stdout);
}

#[tokio::test]
async fn a_state_that_cannot_be_made_stops_the_start() {
    let exit = alone("return 1").variable("TEST_EMBEDS", "broken").start_to_end().await;
    exit.expect_code(65).expect_said(&["Opened` cannot be made", "the database is on another planet"]);
    assert!(!exit.stdout.contains("listening"), "{}", exit.stdout);
}

#[tokio::test]
async fn the_apps_build_may_ask_the_gateway_for_the_types() {
    let program = env!("CARGO_BIN_EXE_embedding-gateway");
    let output = tokio::process::Command::new(program).arg("--emit-types").output().await.unwrap();
    let types = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && types.contains("interface NativeRoutes"), "{types}");
}
