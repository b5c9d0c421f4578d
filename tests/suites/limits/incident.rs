//! A fault under load: what its client saw, what others saw, and how long the cluster was below its strength.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tests::Cluster;
use tests::http::Answer;
use tests::load::each;
use tests::metrics::Metrics;
use tests::wait::within_patience;

/// Clients that ask while a fault happens.
const CLIENTS: usize = 4;

/// The longest time below full strength with a spare.
pub const RECOVERY: Duration = Duration::from_millis(300);

pub const CONFIG: &str = "
max_turn = \"300ms\"
max_heap = \"256MiB\"
max_external = \"64MiB\"
restart_backoff = \"1ms\"
restarts_per_minute = 1000
breaker_failures = 0
";

/// What the log says of a request that was terminated.
pub const ENDED: &str = "a request was terminated and its isolate will be replaced";

/// What the clients ask for that have nothing to do with the fault.
#[derive(Debug, Clone, Copy)]
pub struct Work {
    pub path: &'static str,
    /// What their answer holds.
    pub text: &'static str,
}

impl Work {
    /// Of a bundle that answers `/work`.
    pub const BUNDLE: Self = Self { path: "/work", text: "worked" };

    /// Of a Start app: its home page.
    pub const PAGE: Self = Self { path: "/", text: "</html>" };

    /// Those of `others` that did not see what they asked for.
    pub fn hurt(self, others: &[Seen]) -> Vec<&Seen> {
        let whole = |seen: &Seen| matches!(seen, Seen::Answer(200, text) if text.contains(self.text));
        others.iter().filter(|seen| !whole(seen)).collect()
    }
}

/// What a client sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
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

pub async fn ask(cluster: &Cluster, path: &str) -> Seen {
    let answer = async { Answer::read(cluster.client().get(cluster.url(path)).send().await?).await };
    match within_patience(path, answer).await {
        Ok(answer) => Seen::Answer(answer.status, answer.text()),
        Err(_) => Seen::Cut,
    }
}

/// A way to go wrong.
pub struct Fault {
    pub name: &'static str,
    pub path: &'static str,
    /// What the client that asks for it sees in the end.
    pub seen: Seen,
    /// So often it is asked for, at most, until an isolate is replaced.
    pub times: usize,
    /// The reason in `isopod_isolate_replacements_total`; `None` where nothing is replaced.
    pub reason: Option<&'static str>,
    /// A line of the log, up to its fields.
    pub log: &'static str,
    /// What else that line says.
    pub place: &'static str,
}

pub fn failed() -> Seen {
    Seen::Answer(500, "500 The app failed.\n".into())
}

pub fn turn(name: &'static str, path: &'static str, place: &'static str) -> Fault {
    Fault { name, path, seen: failed(), times: 1, reason: Some("turn_limit"), log: ENDED, place }
}

pub fn replaced(metrics: &Metrics, reason: Option<&str>) -> f64 {
    reason.map_or(0.0, |reason| metrics.sum("isopod_isolate_replacements_total", &[("reason", reason)]))
}

pub fn at_full_strength(metrics: &Metrics) -> bool {
    metrics.isolates("ready") == 2.0
        && metrics.isolates("standby") == 1.0
        && metrics.isolates("draining") == 0.0
}

/// What one fault did.
pub struct Incident {
    pub seen: Seen,
    pub others: Vec<Seen>,
    /// Seconds below full strength, as the gateway measured them.
    pub recovery: f64,
    /// From the request to its end.
    pub took: Duration,
}

/// Clients ask until `incident` is over; what they saw.
pub async fn under_load<T>(
    cluster: &Cluster,
    work: Work,
    incident: impl Future<Output = T>,
) -> (T, Vec<Seen>) {
    let over = AtomicBool::new(false);
    let others = each(0..CLIENTS, CLIENTS, async |_| {
        let mut seen = Vec::new();
        while !over.load(Ordering::Relaxed) {
            seen.push(ask(cluster, work.path).await);
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

async fn happen(cluster: &Cluster, work: Work, fault: &Fault) -> Incident {
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
    let ((seen, took, after), others) = under_load(cluster, work, incident).await;
    let recovery = |metrics: &Metrics| metrics.sum("isopod_recovery_seconds_sum", &[]);
    Incident { seen, others, recovery: recovery(&after) - recovery(&before), took }
}

/// Lets the faults happen one after another and prints a line of the table for each.
pub async fn faults_happen(cluster: Cluster, work: Work, faults: Vec<Fault>) {
    println!(
        "| fault | its client saw | after | other clients saw | below full strength for | metric, log |"
    );
    println!("|---|---|---|---|---|---|");
    for fault in faults {
        let incident = happen(&cluster, work, &fault).await;
        assert_eq!(incident.seen, fault.seen, "{}\n{}", fault.name, cluster.log());
        let hurt = work.hurt(&incident.others);
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
