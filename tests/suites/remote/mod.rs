//! Workers on other machines: over a real NATS server, each in a network of its own where the kernel allows it.

mod access;
mod calls;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use tempfile::TempDir;
use tests::http::Answer;
use tests::load::each;
use tests::nats::{Machines, Nats, StartWorker};
use tests::wait::eventually;
use tests::{Bundle, Cluster};

const PROGRAM: &str = env!("CARGO_BIN_EXE_remote-worker");

/// A file in which workers write down what they do.
struct Record {
    _dir: TempDir,
    path: PathBuf,
}

impl Record {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record");
        std::fs::write(&path, "").unwrap();
        Self { _dir: dir, path }
    }

    fn lines(&self) -> Vec<String> {
        std::fs::read_to_string(&self.path).unwrap().lines().map(str::to_owned).collect()
    }

    fn has(&self, line: &str) -> bool {
        self.lines().iter().any(|other| other == line)
    }

    /// How often each call ran.
    fn runs(&self) -> HashMap<usize, usize> {
        let mut runs = HashMap::new();
        for line in self.lines() {
            if let Some(id) = line.strip_prefix("run ") {
                *runs.entry(id.parse().unwrap()).or_default() += 1;
            }
        }
        runs
    }
}

/// Threads of a gateway; each has a connection of its own.
const THREADS: usize = 2;

/// A gateway without workers of its own.
async fn gateway(url: &str, flags: &[(&str, &str)]) -> Cluster {
    let app = Bundle::fetch("return new Response('app')");
    let mut cluster = Cluster::of(app).fn_workers(0).flag("--nats", url);
    if flags.iter().all(|(name, _)| *name != "--threads") {
        cluster = cluster.flag("--threads", &THREADS.to_string());
    }
    for (name, value) in flags {
        cluster = cluster.flag(name, value);
    }
    cluster.start().await
}

async fn knows(cluster: &Cluster, workers: f64) {
    knows_on(cluster, workers, THREADS as f64).await;
}

/// Waits until the gateway knows so many workers, and all of its threads are connected.
async fn knows_on(cluster: &Cluster, workers: f64, threads: f64) {
    cluster
        .metrics_until("the gateway knows the workers", |metrics| {
            let of = |name: &str| metrics.sum(name, &[]);
            (of("isopod_nats_workers"), of("isopod_nats_connections")) == (workers, threads)
        })
        .await;
}

async fn call(cluster: &Cluster, name: &str, input: &str) -> Answer {
    cluster.post_json(&format!("/_native/{name}"), input).await
}

#[tokio::test]
async fn a_worker_elsewhere_answers_functions_routes_and_streams() {
    let (nats, record) = (Nats::start("max_payload: 65536").await, Record::new());
    let cluster = gateway(&nats.url(), &[]).await;
    let early = call(&cluster, "remote.read", r#"{"id":0}"#).await;
    assert_eq!(early.status, 503, "{}", early.text());
    let worker = StartWorker::of(PROGRAM, &nats.url()).record(&record.path).spawn().await;
    knows(&cluster, 1.0).await;

    // Longer than one message may be, in both directions.
    let input = format!(r#"{{"id":1,"text":"{}","answer_bytes":300000}}"#, "b".repeat(200_000));
    let answer = call(&cluster, "remote.once", &input).await;
    assert_eq!(answer.status, 200, "{}\n{}", answer.text(), cluster.log());
    let json = answer.json();
    assert_eq!(json["received"], 200_000);
    assert_eq!(json["text"].as_str().unwrap().len(), 300_000);
    assert_eq!(call(&cluster, "remote.none", "{}").await.status, 404);
    assert_eq!(call(&cluster, "remote.read", "{").await.status, 400);

    let stream = cluster.get("/remote/stream/300").await;
    assert_eq!((stream.status, stream.body.len()), (200, 3_000_000));
    let upload = cluster.client().post(cluster.url("/remote/upload")).body(vec![b'c'; 3_000_000]);
    let upload = cluster.answer(upload).await;
    assert_eq!((upload.status, upload.text().as_str()), (200, "3000000"), "{}", cluster.log());
    assert_eq!(cluster.get("/other").await.text(), "app");

    // A worker that is told to end takes itself off the list.
    assert_eq!(worker.stop().await, 0);
    knows(&cluster, 0.0).await;
    assert_eq!(call(&cluster, "remote.read", r#"{"id":2}"#).await.status, 503);
    assert_eq!(cluster.metrics().await.sum("isopod_nats_lost_calls_total", &[]), 0.0);
}

#[tokio::test]
async fn a_reader_that_stops_stops_the_stream_and_one_that_leaves_ends_it() {
    let (nats, record) = (Nats::start("").await, Record::new());
    let cluster = gateway(&nats.url(), &[]).await;
    let _worker = StartWorker::of(PROGRAM, &nats.url()).record(&record.path).spawn().await;
    knows(&cluster, 1.0).await;
    let response = cluster.client().get(cluster.url("/remote/stream/100000")).send().await.unwrap();
    let mut body = response.bytes_stream();
    body.next().await.unwrap().unwrap();
    // Sockets and windows fill, and then nothing more is made.
    let mut made = 0;
    eventually("the stream stands still", async || {
        let now = record.lines().len();
        let stands = now == made && now > 1;
        made = now;
        tokio::time::sleep(Duration::from_millis(200)).await;
        stands.then_some(())
    })
    .await;
    assert!(made < 5000, "{made} pieces of 10,000 bytes were made for a reader that had stopped");
    drop(body);
    eventually("the function hears of it", async || record.has("cancelled 100000").then_some(())).await;
}

#[tokio::test]
async fn a_client_that_leaves_and_a_deadline_reach_the_function() {
    let (nats, record) = (Nats::start("").await, Record::new());
    let cluster = gateway(&nats.url(), &[("--native-call-timeout", "700ms")]).await;
    let _worker = StartWorker::of(PROGRAM, &nats.url()).record(&record.path).spawn().await;
    knows(&cluster, 1.0).await;
    let request = cluster.client().post(cluster.url("/_native/remote.once"));
    let request = request.header("content-type", "application/json").body(r#"{"id":1,"millis":60000}"#);
    let leaving = tokio::spawn(request.send());
    eventually("the call runs", async || record.has("run 1").then_some(())).await;
    leaving.abort();
    eventually("the function hears of it", async || record.has("cancelled 1").then_some(())).await;

    let late = call(&cluster, "remote.once", r#"{"id":2,"millis":60000}"#).await;
    assert_eq!(late.status, 504, "{}", late.text());
    eventually("the function hears of it", async || record.has("cancelled 2").then_some(())).await;
}

/// Makes 10,000 calls and kills one of two workers among them: each call's status.
async fn calls_over_a_loss(cluster: &Cluster, machines: &Machines, record: &Record, name: &str) -> Vec<u16> {
    const CALLS: usize = 10_000;
    let mut first = machines.worker(0, PROGRAM, &record.path).await;
    let second = machines.worker(1, PROGRAM, &record.path).await;
    knows(cluster, 2.0).await;
    let calling = each(0..CALLS, 64, |id| async move {
        (id, call(cluster, name, &format!(r#"{{"id":{id},"millis":3}}"#)).await.status)
    });
    let killing = async {
        eventually("a third of the calls ran", async || (record.lines().len() > CALLS / 3).then_some(()))
            .await;
        first.kill().await;
    };
    let (answers, ()) = tokio::join!(calling, killing);
    let mut statuses = vec![0; CALLS];
    answers.into_iter().for_each(|(id, status)| statuses[id] = status);
    drop(second);
    statuses
}

#[tokio::test]
async fn no_call_is_lost_without_a_word_nor_made_twice_when_a_worker_is_killed() {
    let (machines, record) = (Machines::two().await, Record::new());
    let cluster = gateway(&machines.url(), &[]).await;
    let statuses = calls_over_a_loss(&cluster, &machines, &record, "remote.once").await;
    let runs = record.runs();
    let failed = statuses.iter().filter(|status| **status == 502).count();
    assert!(statuses.iter().all(|status| [200, 502].contains(status)), "other answers than 200 and 502");
    assert!(failed > 0 && failed <= 64, "{failed} calls failed; those that ran there are expected to");
    for (id, status) in statuses.iter().enumerate() {
        let ran = runs.get(&id).copied().unwrap_or(0);
        assert!(ran <= 1, "call {id} ran {ran} times");
        assert!(*status != 200 || ran == 1, "call {id} was answered and did not run");
    }
    let lost = cluster.metrics().await.sum("isopod_nats_lost_calls_total", &[]);
    assert_eq!(lost, failed as f64);
}

#[tokio::test]
async fn calls_that_may_be_repeated_all_succeed_when_a_worker_is_killed() {
    let (machines, record) = (Machines::two().await, Record::new());
    let cluster = gateway(&machines.url(), &[]).await;
    let statuses = calls_over_a_loss(&cluster, &machines, &record, "remote.again").await;
    let failed: Vec<_> = statuses.iter().enumerate().filter(|(_, status)| **status != 200).collect();
    assert!(failed.is_empty(), "{failed:?}\n{}", cluster.log());
    assert!(record.runs().values().all(|ran| (1..=2).contains(ran)), "more than one repetition");
    assert!(cluster.metrics().await.sum("isopod_native_retries_total", &[]) > 0.0);
}

#[tokio::test]
async fn a_machine_that_is_cut_off_is_noticed_long_before_the_deadline() {
    let (machines, record) = (Machines::two().await, Record::new());
    let cluster = gateway(&machines.url(), &[]).await;
    let mut first = machines.worker(0, PROGRAM, &record.path).await;
    knows(&cluster, 1.0).await;
    let calling = call(&cluster, "remote.once", r#"{"id":1,"millis":60000}"#);
    let cutting = async {
        eventually("the call runs", async || record.has("run 1").then_some(())).await;
        if !machines.cut_off(0) {
            first.kill().await;
        }
        Instant::now()
    };
    let (answer, cut) = tokio::join!(calling, cutting);
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert!(cut.elapsed() < Duration::from_secs(4), "noticed after {:?}", cut.elapsed());
}

#[tokio::test]
async fn without_nats_calls_are_refused_at_once_and_served_when_it_is_back() {
    let (mut nats, record) = (Nats::start("").await, Record::new());
    let cluster = gateway(&nats.url(), &[]).await;
    let _worker = StartWorker::of(PROGRAM, &nats.url()).record(&record.path).spawn().await;
    knows(&cluster, 1.0).await;
    let running = call(&cluster, "remote.once", r#"{"id":1,"millis":60000}"#);
    let killing = async {
        eventually("the call runs", async || record.has("run 1").then_some(())).await;
        nats.kill().await;
    };
    let (lost, ()) = tokio::join!(running, killing);
    assert_eq!(lost.status, 502, "{}", lost.text());
    cluster
        .metrics_until("no connection is up", |metrics| metrics.sum("isopod_nats_connections", &[]) == 0.0)
        .await;
    let asked = Instant::now();
    let refused = call(&cluster, "remote.read", r#"{"id":2}"#).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "1"), "{}", refused.text());
    assert!(asked.elapsed() < Duration::from_secs(1));
    let log = cluster.log().to_string();
    assert!(log.contains("the connection to NATS is lost"), "{log}");
    nats.restart().await;
    eventually("calls are served again", async || {
        let answer = call(&cluster, "remote.read", r#"{"id":3}"#).await;
        (answer.status == 200).then_some(())
    })
    .await;
    assert!(cluster.metrics().await.sum("isopod_nats_disconnects_total", &[]) >= 1.0);
}

#[tokio::test]
async fn a_function_at_its_limit_is_busy_and_so_is_a_full_connection() {
    let (nats, record) = (Nats::start("").await, Record::new());
    let cluster = gateway(&nats.url(), &[("--threads", "1"), ("--nats-max-calls", "2")]).await;
    let _worker = StartWorker::of(PROGRAM, &nats.url()).record(&record.path).spawn().await;
    knows_on(&cluster, 1.0, 1.0).await;
    let slow = |id: u32| {
        let body = format!(r#"{{"id":{id},"millis":60000}}"#);
        let request = cluster.client().post(cluster.url("/_native/remote.single"));
        tokio::spawn(request.header("content-type", "application/json").body(body).send())
    };
    let first = slow(1);
    eventually("the first runs", async || record.has("run 1").then_some(())).await;
    let busy = call(&cluster, "remote.single", r#"{"id":2}"#).await;
    assert_eq!(busy.status, 503, "{}", busy.text());
    let request = cluster.client().post(cluster.url("/_native/remote.once"));
    let request = request.header("content-type", "application/json").body(r#"{"id":3,"millis":60000}"#);
    let second = tokio::spawn(request.send());
    eventually("the second runs", async || record.has("run 3").then_some(())).await;
    let full = call(&cluster, "remote.read", r#"{"id":4}"#).await;
    assert_eq!((full.status, full.header("retry-after")), (503, "1"), "{}", full.text());
    assert!(!record.has("run 2") && !record.has("run 4"));
    first.abort();
    second.abort();
    eventually("there is room again", async || {
        (call(&cluster, "remote.read", r#"{"id":5}"#).await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn workers_that_say_different_things_of_a_function_are_told() {
    let nats = Nats::start("").await;
    let cluster = gateway(&nats.url(), &[]).await;
    let _one = StartWorker::of(PROGRAM, &nats.url()).spawn().await;
    let _other = StartWorker::of(PROGRAM, &nats.url()).variable("CONTRARY", "1").spawn().await;
    knows(&cluster, 2.0).await;
    assert_eq!(cluster.metrics().await.sum("isopod_nats_conflicts_total", &[]), 1.0);
    let told = |line: &str| line.contains("different things of one function").then(|| line.to_owned());
    let line = cluster.log().find(told).await.unwrap();
    for part in ["remote.again", "may be repeated", "may not be repeated", "remote-worker.rs"] {
        assert!(line.contains(part), "{part}: {line}");
    }
}
