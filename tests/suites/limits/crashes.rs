//! A process that crashes.

use std::time::Instant;

use nix::sys::signal::Signal;
use tests::load::each;
use tests::metrics::Metrics;
use tests::process;
use tests::wait::{eventually, within_patience};
use tests::{Bundle, Cluster};

use super::faults::APP;
use super::incident::{RECOVERY, Seen, Work, ask, at_full_strength, replaced, under_load};

const SIGNALS: [Signal; 5] =
    [Signal::SIGKILL, Signal::SIGILL, Signal::SIGABRT, Signal::SIGSEGV, Signal::SIGBUS];

/// Ways to end a process from within JavaScript: V8 is told of a longer stack than its thread has, and offers what its
/// own tests use.
const CRASHES: [(&str, &str); 2] =
    [("a fault of memory: the end of the stack", "/deep"), ("a trap in V8", "/natives")];

const FRAGILE: &str = "
v8_flags = \"--stack-size=65536,--allow-natives-syntax\"
restart_backoff = \"1ms\"
restarts_per_minute = 1000
";

/// A call that V8 does not interrupt, and that takes more than a process may have.
const GREED: [(&str, &str); 1] = [("a text larger than `max_rss`, in one call", "/text")];

const SMALL: &str = "
max_rss = \"320MiB\"
max_turn = \"1m\"
abort_delay = \"0ms\"
job_timeout = \"5m\"
restart_backoff = \"1ms\"
restarts_per_minute = 1000
";

/// Requests under way when a process is struck.
const SLOW: usize = 8;

/// Sends the signal until the process is gone: Rust's handler for full stacks takes itself away at the first SIGSEGV or
/// SIGBUS and lets the instruction that faulted fault again, which one that was only sent does not.
async fn strike(pid: i32, signal: Signal) {
    eventually("the process is gone", async || {
        process::signal(pid, signal);
        (!process::is_alive(pid)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_crash_costs_what_its_process_ran_and_a_spare_takes_over() {
    let cluster = Cluster::of(Bundle::fetch(APP)).renderers(2).spares(1).fn_workers(0).start().await;
    for (before_it, signal) in SIGNALS.into_iter().enumerate() {
        let before = cluster.metrics_until("a spare is ready", at_full_strength).await;
        let incident = async {
            let Seen::Answer(200, pid) = ask(&cluster, "/pid?ms=0").await else {
                panic!("no renderer answers")
            };
            let recovery = async {
                let struck = Instant::now();
                strike(pid.parse().unwrap(), signal).await;
                let taken_over = cluster.log().nth("a spare takes over", before_it + 1);
                within_patience("a spare takes over", taken_over).await;
                struck.elapsed()
            };
            // Half of them run in the process that is struck.
            let (slow, took) = tokio::join!(each(0..SLOW, SLOW, |_| ask(&cluster, "/pid?ms=200")), recovery);
            assert!(slow.iter().all(|seen| matches!(seen, Seen::Answer(200, _))), "{signal}: {slow:?}");
            assert!(slow.iter().all(|seen| *seen != Seen::Answer(200, pid.clone())), "{signal}: {slow:?}");
            cluster
                .metrics_until("it is replaced", |now| {
                    replaced(now, Some("crashed")) > replaced(&before, Some("crashed"))
                        && at_full_strength(now)
                })
                .await;
            took
        };
        let (took, others) = under_load(&cluster, Work::BUNDLE, incident).await;
        let hurt = Work::BUNDLE.hurt(&others);
        assert!(hurt.is_empty(), "{signal}: {} others, {hurt:?}", others.len());
        assert!(took < RECOVERY, "{signal}: {took:?}");
        println!(
            "| {signal} | 200, run again elsewhere | - | {} answers, all 200 | {:.1} ms | `reason=\"crashed\"`, \"a child has ended\" |",
            others.len(),
            took.as_secs_f64() * 1e3
        );
    }
    cluster.stop().await;
}

/// Requests that take their process along, one after another.
async fn each_costs_its_own_request_and_is_named(config: &str, reason: &str, crashes: &[(&str, &str)]) {
    let cluster =
        Cluster::of(Bundle::fetch(APP)).renderers(2).spares(1).fn_workers(0).config(config).start().await;
    for (name, path) in crashes {
        let before = cluster.metrics_until("a spare is ready", at_full_strength).await;
        let incident = async {
            // What changes something is not run again elsewhere.
            let answer = cluster.answer(cluster.client().post(cluster.url(path))).await;
            let after = cluster
                .metrics_until("it is replaced", |now| {
                    replaced(now, Some(reason)) > replaced(&before, Some(reason)) && at_full_strength(now)
                })
                .await;
            (answer, after)
        };
        let ((answer, after), others) = under_load(&cluster, Work::BUNDLE, incident).await;
        assert_eq!((answer.status, answer.text().as_str()), (502, "502 The app did not answer.\n"), "{name}");
        let hurt = Work::BUNDLE.hurt(&others);
        assert!(hurt.is_empty(), "{name}: {} others, {hurt:?}", others.len());
        let lost = |line: &str| line.contains("an isolate was lost with what it ran") && line.contains(path);
        let named = cluster.log().find(|line| lost(line).then_some(()));
        within_patience("the log names it", named).await.unwrap_or_else(|| panic!("{name}: no line"));
        let recovery = |metrics: &Metrics| metrics.sum("isopod_recovery_seconds_sum", &[]);
        let recovery = recovery(&after) - recovery(&before);
        assert!(recovery < RECOVERY.as_secs_f64(), "{name}: {recovery} s");
        println!("| {name} | 502 | {} answers, all 200 | {:.1} ms |", others.len(), recovery * 1e3);
    }
    cluster.stop().await;
}

#[tokio::test]
async fn a_crash_inside_a_render_costs_its_own_request_and_is_named() {
    each_costs_its_own_request_and_is_named(FRAGILE, "crashed", &CRASHES).await;
}

#[tokio::test]
async fn a_call_that_takes_more_than_a_process_may_have_costs_its_own_request_and_is_named() {
    each_costs_its_own_request_and_is_named(SMALL, "rss_limit", &GREED).await;
}
