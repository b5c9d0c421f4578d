//! JavaScript that V8 does not interrupt.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tests::metrics::Metrics;
use tests::wait::{eventually_within, within_patience};
use tests::{Bundle, Cluster};
use tokio::time::timeout;

use super::faults::APP;
use super::incident::{Seen, Work, ask, at_full_strength, failed, replaced};

/// The loop around one that V8 unrolls takes no interrupts as soon as loops are unrolled again.
const UNROLLED: &str = "
v8_flags = \"--turboshaft-loop-unrolling\"
max_turn = \"300ms\"
job_timeout = \"5m\"
abort_delay = \"0ms\"
restart_backoff = \"1ms\"
restarts_per_minute = 1000
";

/// The watchdog gives it up after some 14 seconds of CPU time, which is longer on a busy machine.
const GIVEN_UP: Duration = Duration::from_secs(90);

#[tokio::test]
async fn a_request_that_nothing_ends_costs_its_process_and_is_named_and_not_run_again() {
    let cluster =
        Cluster::of(Bundle::fetch(APP)).renderers(2).spares(1).fn_workers(0).config(UNROLLED).start().await;
    cluster.metrics_until("a spare is ready", at_full_strength).await;
    let over = AtomicBool::new(false);
    let others = async {
        let mut seen = Vec::new();
        while !over.load(Ordering::Relaxed) {
            seen.push(ask(&cluster, Work::BUNDLE.path).await);
        }
        seen
    };
    let incident = async {
        let request = cluster.client().get(cluster.url("/stuck")).timeout(GIVEN_UP).send();
        let response = timeout(GIVEN_UP, request).await.unwrap().unwrap();
        let seen = Seen::Answer(response.status().as_u16(), response.text().await.unwrap());
        over.store(true, Ordering::Relaxed);
        seen
    };
    let (seen, others) = tokio::join!(incident, others);
    assert_eq!(seen, failed(), "{}", cluster.log());
    assert_eq!(Work::BUNDLE.hurt(&others), Vec::<&Seen>::new());
    let named = cluster.log().find(|line| {
        let is_it = line.contains("a request could not be ended and took its process with it");
        (is_it && line.contains("/stuck")).then_some(())
    });
    within_patience("the log names it", named).await.unwrap();
    let metrics = eventually_within(GIVEN_UP, "full strength", async || {
        Some(cluster.metrics().await).filter(at_full_strength)
    })
    .await;
    let failures = |metrics: &Metrics| metrics.sum("isopod_job_failures_total", &[("cause", "turn_limit")]);
    assert_eq!((replaced(&metrics, Some("stuck")), failures(&metrics)), (1.0, 1.0));
    assert_eq!(metrics.sum("isopod_job_retries_total", &[]), 0.0, "it would end another process");
    cluster.stop().await;
}
