//! Faults of every kind, one after another, in a cluster under load: each costs its own request and no other, is named
//! in the log, and the cluster is at full strength again at once, from a spare.
//!
//! `cargo nextest run --release -E 'test(each_fault_costs)' --no-capture` prints the table of `docs/limits.md`.

#![allow(clippy::panic, clippy::print_stdout, reason = "a test says what it found, for the table in docs/")]

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tests::http::Answer;
use tests::load::each;
use tests::metrics::Metrics;
use tests::process;
use tests::wait::within_patience;
use tests::{Bundle, Cluster};

/// Clients that ask while a fault happens.
const CLIENTS: usize = 4;

/// The longest time below full strength with a spare.
const RECOVERY: Duration = Duration::from_millis(300);

const CONFIG: &str = "
max_turn = \"300ms\"
max_heap = \"256MiB\"
max_external = \"64MiB\"
restart_backoff = \"1ms\"
restarts_per_minute = 1000
";

const APP: &str = "
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const spin = () => { for (;;); };
  const encoder = new TextEncoder();
  switch (url.pathname) {
    case '/work': await sleep(5); return new Response('worked');
    case '/loop': spin();
    case '/loader': await sleep(10); while (true) { url.pathname; }
    case '/regexp': /^(a+)+$/.test('a'.repeat(60) + 'b'); return new Response();
    case '/microtasks': for (;;) { await null; encoder.encode(url.pathname); }
    case '/promises': {
      const storm = () => Promise.all([Promise.resolve().then(storm), Promise.resolve().then(() => {})]);
      await storm();
    }
    case '/later': setTimeout(spin, 20); return new Response('answered');
    case '/stream': return new Response(new ReadableStream({
      start(controller) { controller.enqueue(encoder.encode('first')); },
      async pull() { await sleep(20); spin(); },
    }, { highWaterMark: 1 }));
    case '/heap': {
      globalThis.kept ??= [];
      for (let i = 0; i < 20; i++) kept.push(new Array(100_000).fill(1.5));
      return new Response('kept');
    }
    case '/buffers': {
      globalThis.buffers ??= [];
      buffers.push(new Uint8Array(10 << 20).fill(1));
      return new Response('kept');
    }
    case '/exit': process.exit(3);
    case '/pid': await sleep(Number(url.searchParams.get('ms'))); return new Response(String(process.pid));
    case '/hang': await new Promise(() => {});
    case '/polite': await new Promise((resolve) => request.signal.addEventListener('abort', resolve));
      return new Response(request.signal.reason.name);
  }
  return new Response('ok');";

/// What a client sees.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Answer(u16, String),
    /// The connection ended inside the answer.
    Cut,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(status, _) => status.fmt(f),
            Self::Cut => f.write_str("a cut stream"),
        }
    }
}

async fn ask(cluster: &Cluster, path: &str) -> Seen {
    let answer = async { Answer::read(cluster.client().get(cluster.url(path)).send().await?).await };
    match within_patience(path, answer).await {
        Ok(answer) => Seen::Answer(answer.status, answer.text()),
        Err(_) => Seen::Cut,
    }
}

/// A way to go wrong.
struct Fault {
    name: &'static str,
    path: &'static str,
    /// What the client that asks for it sees in the end.
    seen: Seen,
    /// So often it is asked for, at most, until an isolate is replaced.
    times: usize,
    /// The reason in `isopod_isolate_replacements_total`; `None` where nothing is replaced.
    reason: Option<&'static str>,
    /// A line of the log, up to its fields.
    log: &'static str,
    /// What else that line says.
    place: &'static str,
}

const ENDED: &str = "a request was terminated and its isolate will be replaced";
const ASKS: &str = "an isolate asks for its replacement";

fn failed() -> Seen {
    Seen::Answer(500, "500 The app failed.\n".into())
}

fn turn(name: &'static str, path: &'static str, place: &'static str) -> Fault {
    Fault { name, path, seen: failed(), times: 1, reason: Some("turn_limit"), log: ENDED, place }
}

fn faults() -> Vec<Fault> {
    let ok = |text: &str| Seen::Answer(200, text.into());
    vec![
        turn("an endless loop", "/loop", "at spin"),
        turn("`while (true)` after an `await`", "/loader", "/loader"),
        turn("a catastrophic regular expression", "/regexp", "at fetch"),
        turn("an endless chain of microtasks", "/microtasks", "/microtasks"),
        turn("a storm of promises", "/promises", "/promises"),
        Fault { seen: ok("answered"), ..turn("a loop in a timer after the response", "/later", "at spin") },
        Fault { seen: Seen::Cut, ..turn("a loop in a stream", "/stream", "at spin") },
        Fault {
            name: "a heap that fills",
            path: "/heap",
            seen: ok("kept"),
            times: 40,
            reason: Some("heap_limit"),
            log: ASKS,
            place: "heap_limit",
        },
        Fault {
            name: "`ArrayBuffer`s that are kept",
            path: "/buffers",
            seen: ok("kept"),
            times: 20,
            reason: Some("external_limit"),
            log: ASKS,
            place: "external_limit",
        },
        Fault {
            name: "`process.exit()`",
            path: "/exit",
            seen: Seen::Answer(500, "500 The app failed.\n".into()),
            times: 1,
            reason: Some("isolate_failed"),
            log: "an isolate failed; its process will be replaced",
            place: "process.exit(3)",
        },
    ]
}

fn late_faults() -> Vec<Fault> {
    let ok = |text: &str| Seen::Answer(200, text.into());
    vec![
        Fault {
            name: "an answer that never comes",
            path: "/hang",
            seen: Seen::Answer(504, "504 The app took too long.\n".into()),
            times: 1,
            reason: None,
            log: "a request takes longer than abort_delay",
            place: "",
        },
        Fault {
            name: "an answer that comes when the signal aborts",
            path: "/polite",
            seen: ok("TimeoutError"),
            times: 1,
            reason: None,
            log: "a request takes longer than abort_delay",
            place: "",
        },
    ]
}

fn replaced(metrics: &Metrics, reason: Option<&str>) -> f64 {
    reason.map_or(0.0, |reason| metrics.sum("isopod_isolate_replacements_total", &[("reason", reason)]))
}

fn at_full_strength(metrics: &Metrics) -> bool {
    metrics.isolates("ready") == 2.0
        && metrics.isolates("standby") == 1.0
        && metrics.isolates("draining") == 0.0
}

/// What one fault did.
struct Incident {
    seen: Seen,
    others: Vec<Seen>,
    /// Seconds below full strength, as the gateway measured them.
    recovery: f64,
    /// From the request to its end.
    took: Duration,
}

/// Clients ask until `incident` is over; what they saw.
async fn under_load<T>(cluster: &Cluster, incident: impl Future<Output = T>) -> (T, Vec<Seen>) {
    let over = AtomicBool::new(false);
    let others = each(0..CLIENTS, CLIENTS, async |_| {
        let mut seen = Vec::new();
        while !over.load(Ordering::Relaxed) {
            seen.push(ask(cluster, "/work").await);
        }
        seen
    });
    let incident = async {
        let outcome = incident.await;
        over.store(true, Ordering::Relaxed);
        outcome
    };
    let (others, outcome) = tokio::join!(others, incident);
    (outcome, others.into_iter().flatten().collect())
}

async fn happen(cluster: &Cluster, fault: &Fault) -> Incident {
    let before = cluster.metrics_until("a spare is ready", at_full_strength).await;
    let started = Instant::now();
    let incident = async {
        let mut seen = Seen::Cut;
        let mut took = Duration::ZERO;
        for _ in 0..fault.times {
            seen = ask(cluster, fault.path).await;
            took = started.elapsed();
            let now = cluster.metrics().await;
            if fault.times > 1 && replaced(&now, fault.reason) > replaced(&before, fault.reason) {
                break;
            }
        }
        cluster
            .metrics_until("it is replaced", |now| {
                fault.reason.is_none() || replaced(now, fault.reason) > replaced(&before, fault.reason)
            })
            .await;
        (seen, took, cluster.metrics_until("full strength", at_full_strength).await)
    };
    let ((seen, took, after), others) = under_load(cluster, incident).await;
    let recovery = |metrics: &Metrics| metrics.sum("isopod_recovery_seconds_sum", &[]);
    Incident { seen, others, recovery: recovery(&after) - recovery(&before), took }
}

#[tokio::test]
async fn each_fault_costs_its_own_request_and_no_other() {
    faults_happen(CONFIG, faults()).await;
}

#[tokio::test]
async fn each_fault_of_time_costs_its_own_request_and_no_other() {
    faults_happen("abort_delay = \"400ms\"\nabort_grace = \"200ms\"", late_faults()).await;
}

async fn faults_happen(config: &str, faults: Vec<Fault>) {
    let cluster =
        Cluster::of(Bundle::fetch(APP)).renderers(2).spares(1).fn_workers(0).config(config).start().await;
    println!(
        "| fault | its client saw | after | other clients saw | below full strength for | metric, log |"
    );
    println!("|---|---|---|---|---|---|");
    for fault in faults {
        let incident = happen(&cluster, &fault).await;
        assert_eq!(incident.seen, fault.seen, "{}\n{}", fault.name, cluster.log());
        let hurt: Vec<_> =
            incident.others.iter().filter(|seen| **seen != Seen::Answer(200, "worked".into())).collect();
        assert!(hurt.is_empty(), "{}: {} others, {hurt:?}", fault.name, incident.others.len());
        assert!(incident.recovery < RECOVERY.as_secs_f64(), "{}: {} s", fault.name, incident.recovery);
        let line = cluster
            .log()
            .find(|line| (line.contains(fault.log) && line.contains(fault.place)).then(|| line.to_owned()));
        within_patience(fault.log, line)
            .await
            .unwrap_or_else(|| panic!("{}: no line in the log", fault.name));
        println!(
            "| {} | {} | {:.1} s | {} answers, all 200 | {:.1} ms | {}, \"{}\" |",
            fault.name,
            incident.seen,
            incident.took.as_secs_f64(),
            incident.others.len(),
            incident.recovery * 1e3,
            fault.reason.map_or("-".into(), |reason| format!("`reason=\"{reason}\"`")),
            fault.log
        );
    }
    cluster.stop().await;
}

#[tokio::test]
async fn a_crash_costs_what_its_process_ran_and_a_spare_takes_over() {
    let cluster = Cluster::of(Bundle::fetch(APP)).renderers(2).spares(1).fn_workers(0).start().await;
    for (before_it, signal) in [Signal::SIGKILL, Signal::SIGILL, Signal::SIGABRT].into_iter().enumerate() {
        let before = cluster.metrics_until("a spare is ready", at_full_strength).await;
        let incident = async {
            let Seen::Answer(200, pid) = ask(&cluster, "/pid?ms=0").await else {
                panic!("no renderer answers")
            };
            let struck = Instant::now();
            process::signal(pid.parse().unwrap(), signal);
            within_patience("a spare takes over", cluster.log().nth("a spare takes over", before_it + 1))
                .await;
            let took = struck.elapsed();
            cluster
                .metrics_until("it is replaced", |now| {
                    replaced(now, Some("crashed")) > replaced(&before, Some("crashed"))
                        && at_full_strength(now)
                })
                .await;
            took
        };
        let (took, others) = under_load(&cluster, incident).await;
        let hurt: Vec<_> =
            others.iter().filter(|seen| **seen != Seen::Answer(200, "worked".into())).collect();
        assert!(hurt.is_empty(), "{signal}: {} others, {hurt:?}", others.len());
        assert!(took < RECOVERY, "{signal}: {took:?}");
        println!(
            "| {signal} | - | - | {} answers, all 200 | {:.1} ms | `reason=\"crashed\"`, \"a child has ended\" |",
            others.len(),
            took.as_secs_f64() * 1e3
        );
    }
    cluster.stop().await;
}

#[tokio::test]
async fn an_isolate_is_recycled_after_so_many_jobs_without_anyone_noticing() {
    let config = "max_jobs_before_recycle = 200\nrestart_backoff = \"1ms\"\nrestarts_per_minute = 1000";
    let cluster =
        Cluster::of(Bundle::fetch(APP)).renderers(1).spares(1).fn_workers(0).config(config).start().await;
    let recycled = |metrics: &Metrics| replaced(metrics, Some("max_jobs")) >= 3.0;
    let (_, others) = under_load(&cluster, cluster.metrics_until("three were recycled", recycled)).await;
    assert!(others.iter().all(|seen| *seen == Seen::Answer(200, "worked".into())));
    assert!(others.len() >= 400, "{}", others.len());
    cluster.stop().await;
}

#[tokio::test]
async fn a_process_beyond_its_memory_is_replaced_whole() {
    let config = "max_rss = \"300MiB\"\nmax_external = \"4GiB\"\nrestart_backoff = \"1ms\"";
    let cluster =
        Cluster::of(Bundle::fetch(APP)).renderers(2).spares(1).fn_workers(0).config(config).start().await;
    cluster.metrics_until("a spare is ready", at_full_strength).await;
    let mut metrics = cluster.metrics().await;
    while replaced(&metrics, Some("rss_limit")) == 0.0 {
        assert_eq!(ask(&cluster, "/buffers").await, Seen::Answer(200, "kept".into()));
        metrics = cluster.metrics().await;
    }
    cluster.metrics_until("full strength", at_full_strength).await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_client_that_goes_is_heard_of_within_ten_milliseconds() {
    const CLIENTS_THAT_GO: u32 = 50;
    let bundle =
        Bundle::fetch("await new Promise((resolve) => request.signal.addEventListener('abort', resolve))");
    let cluster = Cluster::of(bundle).fn_workers(0).start().await;
    for gone in 1..=CLIENTS_THAT_GO {
        let mut connection = cluster.connect().await;
        connection.send("GET /hang HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        cluster.metrics_until("the job runs", |metrics| metrics.jobs_in_flight() == 1.0).await;
        drop(connection);
        let heard = |metrics: &Metrics| metrics.sum("isopod_abort_seconds_count", &[]) == f64::from(gone);
        cluster.metrics_until("the app has heard of it", heard).await;
    }
    let metrics = cluster.metrics().await;
    let in_time = metrics.sum("isopod_abort_seconds_bucket", &[("le", "0.01")]);
    assert!(in_time >= f64::from(CLIENTS_THAT_GO) * 0.9, "{in_time} of {CLIENTS_THAT_GO}");
    assert_eq!(metrics.sum("isopod_requests_total", &[("status", "499")]), f64::from(CLIENTS_THAT_GO));
    let mean = metrics.sum("isopod_abort_seconds_sum", &[]) / f64::from(CLIENTS_THAT_GO);
    println!("{in_time} of {CLIENTS_THAT_GO} within 10 ms, {:.2} ms on average", mean * 1e3);
}
