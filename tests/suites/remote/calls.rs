//! Functions that call functions of other processes: of this machine, and of others over NATS.

use serde_json::{Value, json};
use tests::http::Answer;
use tests::nats::{Nats, RemoteWorker, StartWorker};
use tests::wait::eventually;
use tests::{Bundle, Cluster};

use super::{PROGRAM, Record, call, gateway, knows};

/// A worker with the functions `far.*`, which other workers do not have.
async fn far(nats: &Nats, record: &Record) -> RemoteWorker {
    StartWorker::of(PROGRAM, &nats.url()).record(&record.path).variable("FAR", "1").spawn().await
}

async fn near(nats: &Nats, record: &Record) -> RemoteWorker {
    StartWorker::of(PROGRAM, &nats.url()).record(&record.path).spawn().await
}

/// Calls `name` by way of `relay`.
async fn relayed(cluster: &Cluster, relay: &str, name: &str, input: Value) -> Answer {
    call(cluster, relay, &json!({ "name": name, "input": input }).to_string()).await
}

#[tokio::test]
async fn a_function_calls_one_of_another_machine_from_nats_and_from_this_machine() {
    let (nats, record) = (Nats::start("").await, Record::new());
    // One worker of this machine, one of another; each has what the other has not.
    let cluster = Cluster::of(Bundle::fetch("return new Response('app')"))
        .flag("--fn-worker-bin", PROGRAM)
        .flag("--nats", &nats.url())
        .flag("--threads", "2")
        .start()
        .await;
    let _far = far(&nats, &record).await;
    knows(&cluster, 1.0).await;
    let there = relayed(&cluster, "remote.relay", "far.run", json!({ "id": 1, "text": "abc" })).await;
    assert_eq!((there.status, &there.json()["received"]), (200, &json!(3)), "{}", there.text());
    let back = relayed(&cluster, "far.relay", "remote.once", json!({ "id": 2 })).await;
    assert_eq!((back.status, &back.json()["id"]), (200, &json!(2)), "{}", back.text());
    assert_ne!(there.json()["pid"], back.json()["pid"]);
    let none = relayed(&cluster, "far.relay", "far.none", json!(null)).await;
    assert_eq!(
        (none.status, none.json()["error"].as_str()),
        (404, Some("there is no native function `far.none`"))
    );
    let long =
        relayed(&cluster, "remote.relay", "far.run", json!({ "id": 3, "answer_bytes": 900_000 })).await;
    assert_eq!((long.status, long.json()["text"].as_str().map(str::len)), (200, Some(900_000)));
    let calls = cluster.metrics().await.sum("isopod_native_calls_total", &[("caller", "function")]);
    assert_eq!(calls, 4.0);
}

#[tokio::test]
async fn request_cookies_and_redirects_pass_through_both_workers() {
    let (nats, record) = (Nats::start("").await, Record::new());
    let cluster = gateway(&nats.url(), &[]).await;
    let (_near, _far) = (near(&nats, &record).await, far(&nats, &record).await);
    knows(&cluster, 2.0).await;
    let greeted = cluster.get("/remote/relay/far.greet").await;
    assert_eq!(greeted.text(), "\"Ada of /remote/relay/far.greet\"", "{}", cluster.log());
    assert!(greeted.header("set-cookie").starts_with("greeted=yes"), "{}", greeted.header("set-cookie"));
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let moved = cluster.answer(client.get(cluster.url("/remote/relay/far.elsewhere"))).await;
    assert_eq!((moved.status, moved.header("location")), (303, "/login"), "{}", moved.text());
}

#[tokio::test]
async fn deadline_and_cancellation_reach_the_last_of_them() {
    let (nats, record) = (Nats::start("").await, Record::new());
    let cluster = gateway(&nats.url(), &[("--native-call-timeout", "1500ms")]).await;
    let (_near, _far) = (near(&nats, &record).await, far(&nats, &record).await);
    knows(&cluster, 2.0).await;
    let slow = |id: u32| json!({ "name": "far.run", "input": { "id": id, "millis": 60_000 } }).to_string();
    let request = cluster.client().post(cluster.url("/_native/remote.relay"));
    let leaving = tokio::spawn(request.header("content-type", "application/json").body(slow(1)).send());
    eventually("the last one runs", async || record.has("run 1").then_some(())).await;
    leaving.abort();
    eventually("it hears of the client", async || record.has("cancelled 1").then_some(())).await;
    let late = call(&cluster, "remote.relay", &slow(2)).await;
    assert_eq!(late.status, 504, "{}", late.text());
    eventually("it hears of the deadline", async || record.has("cancelled 2").then_some(())).await;
}

#[tokio::test]
async fn functions_of_two_processes_call_each_other_only_so_deep() {
    let (nats, record) = (Nats::start("").await, Record::new());
    let cluster = gateway(&nats.url(), &[]).await;
    let (near, _far) = (near(&nats, &record).await, far(&nats, &record).await);
    knows(&cluster, 2.0).await;
    let answer = call(&cluster, "remote.bounce", "null").await;
    assert_eq!(answer.status, 500, "{}", answer.text());
    assert_eq!(record.lines().iter().filter(|line| *line == "bounce").count(), 17);
    let told = |line: &str| line.contains("at the end of 16 functions").then_some(());
    assert!(near.log.find(told).await.is_some());
}

#[tokio::test]
async fn a_worker_that_dies_under_another_s_call_is_told_or_replaced() {
    let (nats, record) = (Nats::start("").await, Record::new());
    let cluster = gateway(&nats.url(), &[]).await;
    let (_near, mut first) = (near(&nats, &record).await, far(&nats, &record).await);
    knows(&cluster, 2.0).await;
    let once = relayed(&cluster, "remote.relay", "far.run", json!({ "id": 1, "millis": 60_000 }));
    let again = relayed(&cluster, "remote.relay", "far.read", json!({ "id": 2, "millis": 1000 }));
    let killing = async {
        eventually("both run", async || (record.has("run 1") && record.has("run 2")).then_some(())).await;
        let second = far(&nats, &record).await;
        knows(&cluster, 3.0).await;
        first.kill().await;
        second
    };
    let (once, again, _second) = tokio::join!(once, again, killing);
    assert_eq!((once.status, once.json()["error"].as_str()), (502, Some("the function's worker was lost")));
    assert_eq!((again.status, &again.json()["id"]), (200, &json!(2)), "{}", again.text());
    assert_eq!((record.runs()[&1], record.runs()[&2]), (1, 2));
}
