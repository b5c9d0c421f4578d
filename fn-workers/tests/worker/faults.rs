//! Functions that panic, hang, hold up their thread or answer with too much: each alone pays for it.

use std::mem::swap;
use std::time::Duration;

use shared::message::{Caller, NativeCall, Outcome, ToWorker};
use tokio::time::timeout;

use crate::gateway::{LONG_MS, fixture_worker};

fn status(outcome: &Outcome) -> u16 {
    match outcome {
        Outcome::Value(_) | Outcome::Answer { .. } => 200,
        Outcome::Failed { status, .. } => *status,
    }
}

#[tokio::test]
async fn a_panic_fails_its_own_call_alone() {
    let mut gateway = fixture_worker(1, 16).await;
    let panics = gateway.start("test.panic", "", LONG_MS).await;
    let after = gateway.start("test.echo", "1", LONG_MS).await;
    let pooled = gateway.start("test.panic_in_pool", "", LONG_MS).await;
    let last = gateway.start("test.echo", "2", LONG_MS).await;
    let failed = Outcome::failed(500, "the function failed");
    assert_eq!(gateway.reply().await, (panics, failed.clone()));
    assert_eq!(gateway.reply().await, (after, Outcome::Value("1".into())));
    assert_eq!(gateway.reply().await, (pooled, failed));
    assert_eq!(gateway.reply().await, (last, Outcome::Value("2".into())));
    let line = gateway.logged("panicked: something impossible").await;
    assert!(line.contains("function=\"test.panic\"") && line.contains("fixture.rs"), "{line}");
    // The actor sees its end when it has its turn, perhaps behind the next panic.
    let wanted = ["starts afresh", "panicked: something impossible in the pool"];
    let [_, line] = gateway.logged_all(wanted).await;
    assert!(line.contains("function=\"test.panic_in_pool\""), "{line}");
}

#[tokio::test]
async fn a_panic_leaves_running_calls_in_peace() {
    let mut gateway = fixture_worker(2, 16).await;
    let naps = gateway.start("test.nap", "300", LONG_MS).await;
    gateway.logged("napping").await;
    swap(&mut gateway.link, &mut gateway.other_link);
    for _ in 0..20 {
        assert_eq!(gateway.failure("test.panic", "").await.0, 500);
    }
    swap(&mut gateway.link, &mut gateway.other_link);
    assert_eq!(gateway.reply().await, (naps, Outcome::Value(r#""rested""#.into())));
}

#[tokio::test]
async fn a_full_mailbox_refuses_at_once_and_a_cancel_makes_room() {
    let mut gateway = fixture_worker(1, 2).await;
    let runs = gateway.start("test.hold", "", LONG_MS).await;
    gateway.logged("holding").await;
    let waits = gateway.start("test.hold", "", LONG_MS).await;
    gateway.start("test.hold", "", LONG_MS).await;
    let refused = gateway.failure("test.echo", "1").await;
    assert_eq!(refused, (503, "the function workers are busy".into()));
    gateway.cancel(runs).await;
    gateway.logged(&format!("holding r{waits}")).await;
    gateway.cancel(waits).await;
    gateway.logged(&format!("holding r{}", waits + 1)).await;
    gateway.cancel(waits + 1).await;
    gateway.logged(&format!("dropped r{}", waits + 1)).await;
    assert_eq!(gateway.value("test.echo", "1").await, 1);
}

#[tokio::test]
async fn a_cancelled_call_is_dropped_and_never_answered() {
    let mut gateway = fixture_worker(1, 16).await;
    let held = gateway.start("test.hold", "", LONG_MS).await;
    gateway.logged("holding").await;
    gateway.cancel(held).await;
    gateway.logged(&format!("dropped r{held}")).await;
    gateway.logged(&format!("token of r{held} fired")).await;
    assert_eq!(gateway.value("test.echo", "1").await, 1, "the next reply is that of another call");
    gateway.cancel(held).await;
    gateway.cancel(9999).await;
    assert_eq!(gateway.value("test.echo", "2").await, 2, "a late cancel changes nothing");
}

#[tokio::test]
async fn a_deadline_ends_the_call_with_504() {
    let mut gateway = fixture_worker(1, 16).await;
    let late = gateway.start("test.hold", "", 50).await;
    let waits_too_long = gateway.start("test.hold", "", 1).await;
    let mut ended = [gateway.reply().await, gateway.reply().await];
    ended.sort_by_key(|(id, _)| *id);
    assert_eq!(
        ended.each_ref().map(|(id, outcome)| (*id, status(outcome))),
        [(late, 504), (waits_too_long, 504)]
    );
    gateway.logged(&format!("dropped r{late}")).await;
    assert_eq!(gateway.failure("test.brief", "").await.0, 504, "the function's own deadline");
    assert_eq!(gateway.value("test.echo", "1").await, 1);
}

#[tokio::test]
async fn a_handler_that_holds_up_its_thread_holds_up_the_links_of_that_thread_alone() {
    let mut gateway = fixture_worker(2, 16).await;
    let stuck = gateway.start("test.block_thread", "", 50).await;
    gateway.logged("blocking").await;
    swap(&mut gateway.link, &mut gateway.other_link);
    for value in 0..20 {
        assert_eq!(gateway.value("test.echo", &value.to_string()).await, value, "the other arbiter answers");
    }
    swap(&mut gateway.link, &mut gateway.other_link);
    gateway.cancel(stuck).await;
    drop(gateway.control.take());
    gateway.exit().await;
}

#[tokio::test]
async fn calls_beyond_the_limit_wait_for_those_that_run() {
    let mut gateway = fixture_worker(1, 16).await;
    let runs = gateway.start("test.hold", "", LONG_MS).await;
    gateway.logged("holding").await;
    let waits =
        [gateway.start("test.echo", "1", LONG_MS).await, gateway.start("test.echo", "2", LONG_MS).await];
    gateway.cancel(runs).await;
    assert_eq!(gateway.reply().await, (waits[0], Outcome::Value("1".into())));
    assert_eq!(gateway.reply().await, (waits[1], Outcome::Value("2".into())));
    assert_eq!(gateway.value("test.echo", "3").await, 3);
}

#[tokio::test]
async fn a_slow_reader_stops_the_link_instead_of_filling_memory() {
    let mut gateway = fixture_worker(2, 8).await;
    let link = gateway.link.as_mut().unwrap();
    let mut sent = 0u64;
    loop {
        sent += 1;
        let call = NativeCall {
            name: "test.big".into(),
            caller: Caller::Client,
            deadline_ms: LONG_MS,
            request_id: String::new(),
            head: bytes::Bytes::new(),
            input: "60000".into(),
        };
        let call = ToWorker::Call { id: sent, call };
        if timeout(Duration::from_millis(500), link.send(&call)).await.is_err() {
            break;
        }
        assert!(sent < 100_000, "the worker reads on and on");
    }
    // All but the last one's last bytes are with the kernel or the worker: each is answered.
    for _ in 1..sent {
        let (_, outcome) = gateway.reply().await;
        assert!(matches!(status(&outcome), 200 | 503), "{outcome:?}");
    }
    gateway.link.as_mut().unwrap().flush().await.unwrap();
    gateway.reply().await;
    assert_eq!(gateway.value("test.echo", "1").await, 1);
}
