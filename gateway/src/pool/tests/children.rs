//! Real processes, with a script that stands in for both programs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use bytes::BytesMut;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use shared::frame::PREFACE;
use shared::message::control::{CodeUse, FunctionInfo, LoadFailure, StartPhases};
use shared::message::{FromChild, Message};
use tempfile::TempDir;

use super::*;
use crate::pool::{PoolHandle, PoolStatus, Readiness, RouteTerms, StartError, State, start};

/// Says what is in `once` the first time and what is in `says` later, then waits to be told to drain. One that is to
/// wait for the order to load the app notes its number in `prepared`, and says nothing before.
const STAND_IN: &str = r#"#!/bin/bash
cd "$(dirname "$0")"
control=$2 links=$4
text=
hears() {
    while [[ $text != *$1* ]]; do
        IFS= read -r -N1 -u "$control" byte || exit 0
        text+=$byte
    done
}
cat /proc/$$/environ > environ
ls -l /proc/$$/fd | grep -c socket: > sockets
says=says; [ -e once ] && mv once was && says=was
[ -e nonsense ] && rm nonsense && echo "this is no frame, whatever it is" >&${links%%,*}
hears '"setup":{"'
read -r -N1 -u "$control" kind
if [ $kind = r ]; then
    hears '"waits":'
    read -r -N1 -u "$control" waits
    [ $waits = t ] && { echo $$ > prepared; hears '"load"'; }
fi
cat $says >&$control
[ -e stubborn ] && trap '' TERM
while IFS= read -r -N1 -u "$control" byte; do
    text+=$byte
    if [[ $text == *'"drain"'* ]]; then
        [ -e deaf ] || exit 0
    fi
done
"#;

/// A directory with the stand-in and what it says.
struct StandIn(TempDir);

fn said(messages: &[FromChild]) -> BytesMut {
    let mut out = BytesMut::from(&PREFACE[..]);
    messages.iter().for_each(|message| message.encode(&mut out));
    out
}

fn ready() -> FromChild {
    ready_isolate(0)
}

fn ready_isolate(isolate: usize) -> FromChild {
    let phases = StartPhases { warm_us: 2000, ..StartPhases::default() };
    FromChild::IsolateReady { isolate, startup_ms: 7, code: CodeUse::default(), phases }
}

impl StandIn {
    fn that_says(messages: &[FromChild]) -> Self {
        let dir = TempDir::new().unwrap();
        let program = dir.path().join("program");
        fs::write(&program, STAND_IN).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(dir.path().join("says"), said(messages)).unwrap();
        Self(dir)
    }

    fn but_first(self, messages: &[FromChild]) -> Self {
        fs::write(self.0.path().join("once"), said(messages)).unwrap();
        self
    }

    fn with(self, mark: &str) -> Self {
        fs::write(self.0.path().join(mark), "").unwrap();
        self
    }

    fn program(&self) -> PathBuf {
        self.0.path().join("program")
    }

    fn noted(&self, file: &str) -> String {
        fs::read_to_string(self.0.path().join(file)).unwrap()
    }

    /// The names of its variables, without those that every child may have.
    fn environment(&self) -> Vec<String> {
        let environ = self.noted("environ");
        let names = environ.split_terminator('\0').filter_map(|variable| variable.split('=').next());
        names.filter(|name| !["TZ", "RUST_BACKTRACE"].contains(name)).map(str::to_owned).collect()
    }

    /// One renderer with one isolate, and no worker.
    fn settings(&self) -> PoolSettings {
        PoolSettings { renderer_bin: self.program(), renderers: 1, fn_workers: 0, ..settings() }
    }
}

/// Waits until the pool's state is as wanted.
async fn until(pool: &PoolHandle, wanted: impl Fn(&PoolStatus) -> bool) -> PoolStatus {
    let mut changes = pool.pool.alive.subscribe();
    let wait = async {
        loop {
            let status = pool.status();
            if wanted(&status) {
                return status;
            }
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("the pool does not come into that state")
}

fn lives(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[actix_web::test]
async fn what_is_started_again_was_prepared_while_it_had_to_wait() {
    let renderer = StandIn::that_says(&[ready()]);
    let pool = start(renderer.settings(), Metrics::new().unwrap()).unwrap();
    pool.first_ready().await.unwrap();
    let first = pool.status().children[0].pid;
    assert!(!renderer.0.path().join("prepared").exists(), "nobody waits at the pool's start");
    kill(Pid::from_raw(i32::try_from(first).unwrap()), Signal::SIGKILL).unwrap();
    let again = |status: &PoolStatus| {
        status.ready_isolates == 1 && status.children.first().is_some_and(|child| child.pid != first)
    };
    let status = until(&pool, again).await;
    assert_eq!(renderer.noted("prepared").trim(), status.children[0].pid.to_string());
    assert_eq!(status.children[0].restarts, 1);
}

#[actix_web::test]
async fn a_prepared_child_that_ends_is_no_loss() {
    let renderer = StandIn::that_says(&[ready()]);
    let restart = RestartPolicy { initial_backoff: Duration::from_millis(200), ..Default::default() };
    let pool = start(PoolSettings { restart, ..renderer.settings() }, Metrics::new().unwrap()).unwrap();
    pool.first_ready().await.unwrap();
    let number = |pid: u32| Pid::from_raw(i32::try_from(pid).unwrap());
    let first = pool.status().children[0].pid;
    kill(number(first), Signal::SIGKILL).unwrap();
    let note = renderer.0.path().join("prepared");
    let prepared: u32 = loop {
        match fs::read_to_string(&note).ok().and_then(|text| text.trim().parse().ok()) {
            Some(pid) => break pid,
            None => tokio::task::yield_now().await,
        }
    };
    kill(number(prepared), Signal::SIGKILL).unwrap();
    let status = until(&pool, |status| status.ready_isolates == 1).await;
    assert!(![first, prepared].contains(&status.children[0].pid));
    let restarts = pool.pool.metrics.restarts.with_label_values(&["renderer", "crashed"]);
    assert_eq!(restarts.get(), 1, "it held no place");
}

#[actix_web::test]
async fn children_load_are_seen_and_are_reaped() {
    let renderer = StandIn::that_says(&[ready()]);
    let functions = vec![FunctionInfo {
        name: "threads.list".into(),
        idempotent: true,
        registered_at: "a.rs:1:1".into(),
    }];
    let worker = StandIn::that_says(&[FromChild::WorkerReady { functions, routes: Vec::new() }]);
    let settings = PoolSettings {
        renderer_bin: renderer.program(),
        worker_bin: worker.program(),
        threads: 3,
        ..settings()
    };
    let pool = start(settings, Metrics::new().unwrap()).unwrap();
    assert!(matches!(pool.readiness(), Readiness::NotReady { .. }));
    pool.first_ready().await.unwrap();
    assert_eq!(pool.readiness(), Readiness::Ready);

    let status = pool.status();
    assert_eq!((status.ready_isolates, status.isolates, status.children.len()), (2, 2, 3));
    assert!(status.children.iter().all(|child| child.state == State::Ready && child.restarts == 0));
    assert_eq!(status.children[0].isolates[0].startup_ms, Some(7));
    assert_eq!(status.children[2].functions, ["threads.list"]);
    serde_json::to_string(&status).unwrap();
    pool.sample_processes();
    let resident = pool.pool.metrics.process_resident_bytes.with_label_values(&["renderer", "1"]);
    assert!(resident.get() > 0);
    assert_eq!(pool.pool.metrics.isolates.with_label_values(&["ready"]).get(), 2);
    let warmed = pool.pool.metrics.isolate_start_seconds.with_label_values(&["warm"]);
    assert_eq!((warmed.get_sample_count(), warmed.get_sample_sum()), (2, 0.004));

    assert_eq!(worker.noted("sockets").trim(), "4", "the control link and one link for each thread");
    assert_eq!(worker.environment(), ["COLOUR"]);
    assert!(renderer.environment().is_empty());

    pool.stop(Duration::from_secs(1)).await;
    assert!(status.children.iter().all(|child| !lives(child.pid)));
    assert!(pool.status().children.is_empty());
}

#[actix_web::test]
async fn a_killed_renderer_is_back_by_itself() {
    let renderer = StandIn::that_says(&[ready()]);
    let pool = start(renderer.settings(), Metrics::new().unwrap()).unwrap();
    pool.first_ready().await.unwrap();
    let pid = pool.status().children[0].pid;
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL).unwrap();
    until(&pool, |status| status.ready_isolates == 0).await;
    assert_eq!(
        pool.readiness(),
        Readiness::NotReady { reason: "0 of 1 isolates are ready, 1 are needed".into() }
    );
    let status = until(&pool, |status| status.ready_isolates == 1).await;
    assert_eq!((status.children[0].generation, status.children[0].restarts), (2, 1));
    let restarts = pool.pool.metrics.restarts.with_label_values(&["renderer", "crashed"]);
    assert_eq!(restarts.get(), 1);
    pool.stop(Duration::ZERO).await;
}

#[actix_web::test]
async fn an_app_that_cannot_run_is_told_and_leaves_no_process() {
    let failure = LoadFailure {
        file: "server/server.js".into(),
        problem: "has no default export".into(),
        remedy: "export { fetch } as default".into(),
    };
    let renderer = StandIn::that_says(&[FromChild::LoadFailed(failure.clone())]);
    let pool = start(renderer.settings(), Metrics::new().unwrap()).unwrap();
    let error = pool.first_ready().await.unwrap_err();
    assert_eq!(error.exit_code(), 65);
    assert!(matches!(error, StartError::Load(found) if found == failure));
    until(&pool, |status| status.children.is_empty()).await;
}

#[actix_web::test]
async fn an_app_that_cannot_run_after_a_restart_is_tried_again() {
    let failure = LoadFailure { file: "a".into(), problem: "b".into(), remedy: "c".into() };
    let renderer = StandIn::that_says(&[ready()]).but_first(&[ready(), FromChild::LoadFailed(failure)]);
    let pool = start(renderer.settings(), Metrics::new().unwrap()).unwrap();
    pool.first_ready().await.unwrap();
    until(&pool, |status| status.ready_isolates == 1 && status.children[0].generation == 2).await;
    let restarts = pool.pool.metrics.restarts.with_label_values(&["renderer", "load_failed"]);
    assert_eq!(restarts.get(), 1);
    pool.stop(Duration::ZERO).await;
}

#[actix_web::test]
async fn a_program_that_ends_at_once_is_given_up_at_the_start() {
    let settings =
        PoolSettings { renderer_bin: "/bin/false".into(), renderers: 1, fn_workers: 0, ..settings() };
    let pool = start(settings, Metrics::new().unwrap()).unwrap();
    let error = pool.first_ready().await.unwrap_err();
    assert_eq!(error.to_string(), "renderer 0 does not start: exit status: 1 (exited)");
    assert_eq!(error.exit_code(), 70);
}

#[actix_web::test]
async fn a_program_that_is_not_there_is_named() {
    let settings = PoolSettings { renderer_bin: "/nowhere/renderer-pool".into(), ..settings() };
    let error = start(settings, Metrics::new().unwrap()).unwrap_err();
    assert!(error.to_string().contains("/nowhere/renderer-pool"));
    assert_eq!(error.exit_code(), 69);
}

#[actix_web::test]
async fn a_child_that_does_not_load_in_time_is_killed() {
    let renderer = StandIn::that_says(&[]);
    let settings = PoolSettings { load_timeout: Duration::from_millis(20), ..renderer.settings() };
    let pool = start(settings, Metrics::new().unwrap()).unwrap();
    let error = pool.first_ready().await.unwrap_err();
    assert!(error.to_string().contains("load_timeout"), "{error}");
    until(&pool, |status| status.children.is_empty()).await;
}

#[actix_web::test]
async fn a_process_whose_isolate_failed_is_replaced() {
    let failed = FromChild::IsolateFailed { isolate: 0, reason: "out of memory".into() };
    let renderer = StandIn::that_says(&[ready()]).but_first(&[ready(), failed]);
    let pool = start(renderer.settings(), Metrics::new().unwrap()).unwrap();
    pool.first_ready().await.unwrap();
    let replaced = |status: &PoolStatus| {
        status.ready_isolates == 1 && status.children.len() == 1 && status.children[0].generation == 2
    };
    until(&pool, replaced).await;
    let restarts = pool.pool.metrics.restarts.with_label_values(&["renderer", "isolate_failed"]);
    assert_eq!(restarts.get(), 1);
    pool.stop(Duration::ZERO).await;
}

#[actix_web::test]
async fn what_still_works_in_a_process_serves_until_its_replacement_is_ready() {
    let two = [ready(), ready_isolate(1)];
    let failed = FromChild::IsolateFailed { isolate: 1, reason: "out of memory".into() };
    let renderer = StandIn::that_says(&two).but_first(&[two[0].clone(), two[1].clone(), failed]);
    let settings = PoolSettings { isolates_per_renderer: 2, ..renderer.settings() };
    let pool = start(settings, Metrics::new().unwrap()).unwrap();
    pool.first_ready().await.unwrap();
    let both = until(&pool, |status| status.children.len() == 2).await;
    assert_eq!(both.ready_isolates, 1);
    until(&pool, |status| status.ready_isolates == 2 && status.children.len() == 1).await;
    pool.stop(Duration::ZERO).await;
}

#[actix_web::test]
async fn a_child_that_breaks_the_protocol_is_replaced() {
    let renderer = StandIn::that_says(&[ready()]).with("nonsense");
    let pool = start(renderer.settings(), Metrics::new().unwrap()).unwrap();
    let _dispatcher = pool.attach_thread();
    until(&pool, |status| {
        status.ready_isolates == 1 && status.children.iter().any(|child| child.generation == 2)
    })
    .await;
    pool.stop(Duration::ZERO).await;
}

#[actix_web::test]
async fn a_thread_gets_links_whether_it_comes_before_or_after_the_children() {
    let renderer = StandIn::that_says(&[ready()]);
    let settings = PoolSettings { threads: 2, ..renderer.settings() };
    let pool = start(settings, Metrics::new().unwrap()).unwrap();
    let early = pool.attach_thread();
    pool.first_ready().await.unwrap();
    assert_eq!(times_out(&early).await, RenderError::Timeout);
    let handle = pool.clone();
    let late = std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async { times_out(&handle.attach_thread()).await })
    });
    assert_eq!(late.join().unwrap(), RenderError::Timeout);
    pool.stop(Duration::ZERO).await;
    assert!(pool.status().children.is_empty());
}

/// Sends a job to the stand-in, which answers none.
async fn times_out(dispatcher: &crate::pool::Dispatcher) -> RenderError {
    let headers = HeaderMap::new();
    let head = RequestHeadRef {
        method: "GET",
        url: "/",
        client_ip: "::1",
        request_id: "r",
        has_body: false,
        options: HandlerOptions::default(),
    };
    let job = RenderJob {
        head,
        headers: Fields::of(&headers),
        body: None,
        retry_safe: false,
        wish: Wish::DOCUMENT,
        turn: None,
        terms: RouteTerms::default(),
        on_early_hints: None,
    };
    dispatcher.render_within(job, Duration::from_millis(20)).await.unwrap_err()
}

#[actix_web::test]
async fn a_drain_waits_for_jobs_until_its_deadline() {
    let renderer = StandIn::that_says(&[ready()]);
    let pool = start(renderer.settings(), Metrics::new().unwrap()).unwrap();
    let dispatcher = pool.attach_thread();
    pool.first_ready().await.unwrap();
    times_out(&dispatcher).await;
    let deadline = Duration::from_millis(30);
    let begun = std::time::Instant::now();
    pool.stop(deadline).await;
    assert!(begun.elapsed() >= deadline, "the isolate has not let go of the job");
    assert_eq!(pool.readiness(), Readiness::NotReady { reason: "draining".into() });
    assert!(pool.status().children.is_empty());
}

#[actix_web::test]
async fn a_child_that_does_not_listen_is_terminated_and_one_that_resists_is_killed() {
    for marks in [&["deaf"][..], &["deaf", "stubborn"]] {
        let renderer = StandIn::that_says(&[ready()]);
        let renderer = marks.iter().fold(renderer, |renderer, mark| renderer.with(mark));
        let settings = PoolSettings { child_drain_timeout: Duration::from_millis(10), ..renderer.settings() };
        let pool = start(settings, Metrics::new().unwrap()).unwrap();
        pool.first_ready().await.unwrap();
        let pid = pool.status().children[0].pid;
        pool.stop(Duration::ZERO).await;
        assert!(!lives(pid));
    }
}

#[actix_web::test]
async fn a_pool_that_is_stopped_while_it_starts_says_so() {
    let renderer = StandIn::that_says(&[]);
    let pool = start(renderer.settings(), Metrics::new().unwrap()).unwrap();
    let (started, ()) = tokio::join!(pool.first_ready(), pool.stop(Duration::ZERO));
    assert!(matches!(started, Err(StartError::Stopped)));
    assert!(pool.status().children.is_empty());
}
