use shared::head::{HandlerOptions, ResponseHead};
use shared::window::INITIAL_WINDOW;

use super::*;

type Gateway = Channel<ToRenderer, FromRenderer>;

fn table() -> (JobTable, Gateway) {
    let (gateway, isolate) = Gateway::pair().unwrap();
    (JobTable::new(vec![isolate], 2), gateway)
}

fn head() -> RequestHead {
    RequestHead {
        method: "GET".into(),
        url: "http://localhost/".into(),
        client_ip: "127.0.0.1".into(),
        request_id: "r1".into(),
        has_body: false,
        options: HandlerOptions::default(),
        headers: vec![],
    }
}

async fn events(table: &mut JobTable) -> Vec<Event> {
    let mut events = Vec::new();
    std::future::poll_fn(|cx| table.poll_events(cx, &mut events)).await.unwrap();
    events
}

async fn flush(table: &mut JobTable) {
    std::future::poll_fn(|cx| table.poll_flush(cx, &mut Vec::new())).await;
}

async fn started() -> (JobTable, Gateway) {
    let (mut table, mut gateway) = table();
    gateway.send(&ToRenderer::Job { id: 9, head: head() }).await.unwrap();
    assert_eq!(events(&mut table).await, [Event::Start { key: 1, head: head() }]);
    (table, gateway)
}

#[tokio::test]
async fn a_response_leaves_in_order() {
    let (mut table, mut gateway) = started().await;
    table.head(1, 200, b"set-cookie\na=1\nset-cookie\nb=2");
    assert!(table.write(1, b"hello"));
    table.end(1);
    flush(&mut table).await;
    let headers = vec![("set-cookie".into(), "a=1".into()), ("set-cookie".into(), "b=2".into())];
    let head = ResponseHead { status: 200, headers };
    assert_eq!(gateway.receive().await.unwrap(), Some(FromRenderer::Head { id: 9, head }));
    assert_eq!(gateway.receive().await.unwrap(), Some(FromRenderer::Body { id: 9, bytes: "hello".into() }));
    assert_eq!(gateway.receive().await.unwrap(), Some(FromRenderer::End { id: 9 }));
    assert!(table.is_empty());
}

#[tokio::test]
async fn early_hints_leave_before_the_head_as_far_as_the_gateway_wants_them() {
    let (mut table, mut gateway) = started().await;
    table.early_hints(1, HintPhase::Static, "</unasked>");
    let asks = RequestHead { options: HandlerOptions { early_hints: true, ..head().options }, ..head() };
    gateway.send(&ToRenderer::Job { id: 10, head: asks }).await.unwrap();
    events(&mut table).await;
    for number in 0..MAX_EARLY_HINTS_PER_JOB + 3 {
        table.early_hints(2, HintPhase::Static, &format!("</{number}>"));
    }
    table.head(2, 200, b"");
    table.early_hints(2, HintPhase::Dynamic, "</late>");
    table.end(2);
    flush(&mut table).await;
    for number in 0..MAX_EARLY_HINTS_PER_JOB {
        let hints = EarlyHints::new(HintPhase::Static, &format!("</{number}>"));
        assert_eq!(gateway.receive().await.unwrap(), Some(FromRenderer::EarlyHints { id: 10, hints }));
    }
    let head = ResponseHead { status: 200, headers: vec![] };
    assert_eq!(gateway.receive().await.unwrap(), Some(FromRenderer::Head { id: 10, head }));
}

#[tokio::test]
async fn what_a_job_writes_in_one_turn_leaves_in_one_frame() {
    let (mut table, mut gateway) = started().await;
    gateway.send(&ToRenderer::Job { id: 10, head: head() }).await.unwrap();
    events(&mut table).await;
    table.head(1, 200, b"");
    table.head(2, 200, b"");
    for (key, bytes) in [(1, "one "), (1, "two "), (2, "other"), (1, "three")] {
        assert!(table.write(key, bytes.as_bytes()));
    }
    flush(&mut table).await;
    assert!(table.write(1, b"next turn"));
    flush(&mut table).await;
    let mut bodies = Vec::new();
    while bodies.len() < 3 {
        if let Some(FromRenderer::Body { id, bytes }) = gateway.receive().await.unwrap() {
            bodies.push((id, String::from_utf8(bytes.into()).unwrap()));
        }
    }
    let expected = [(9, "one two three"), (10, "other"), (9, "next turn")];
    assert_eq!(bodies, expected.map(|(id, text)| (id, text.to_owned())));
}

#[tokio::test]
async fn what_was_written_comes_in_order_and_before_the_end() {
    let (mut table, mut gateway) = started().await;
    gateway.send(&ToRenderer::Job { id: 10, head: head() }).await.unwrap();
    events(&mut table).await;
    (1..=2).for_each(|key| table.head(key, 200, b""));
    // Short and long pieces by turns, each job's between those of the other.
    let piece = |key: u32, number: usize| {
        let length = [10, 9_000, 17_000, 3][(number + key as usize) % 4];
        vec![u8::try_from(16 * key as usize + number).unwrap(); length]
    };
    for number in 0..8 {
        for key in 1..=2 {
            assert!(table.write(key, &piece(key, number)));
        }
    }
    table.end(1);
    assert!(table.fail(2, FailureKind::Threw, "late"));
    flush(&mut table).await;
    let (mut bodies, mut ended) = (HashMap::<u64, Vec<u8>>::new(), Vec::new());
    while ended.len() < 2 {
        match gateway.receive().await.unwrap().unwrap() {
            FromRenderer::Body { id, bytes } => {
                assert!(!ended.contains(&id) && bytes.len() <= MAX_CHUNK_BYTES);
                bodies.entry(id).or_default().extend_from_slice(&bytes);
            }
            FromRenderer::End { id } | FromRenderer::Failed { id, .. } => ended.push(id),
            _ => {}
        }
    }
    for (key, id) in [(1, 9), (2, 10)] {
        assert_eq!(bodies[&id], (0..8).flat_map(|number| piece(key, number)).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn joined_frames_are_no_longer_than_a_chunk_may_be() {
    let (mut table, mut gateway) = started().await;
    table.head(1, 200, b"");
    for _ in 0..5 {
        assert!(table.write(1, &[7; 30_000]));
    }
    flush(&mut table).await;
    let mut lengths = Vec::new();
    while lengths.iter().sum::<usize>() < 150_000 {
        if let Some(FromRenderer::Body { bytes, .. }) = gateway.receive().await.unwrap() {
            lengths.push(bytes.len());
        }
    }
    assert_eq!(lengths, [60_000, 60_000, 30_000]);
}

#[tokio::test]
async fn a_page_beyond_the_window_waits_for_the_reader() {
    let (mut table, mut gateway) = started().await;
    let page = vec![7; INITIAL_WINDOW + 100_000];
    table.head(1, 200, b"");
    assert!(!table.write(1, &page), "the window is spent");
    table.end(1);
    let mut read = 0;
    let mut receive = ReceiveWindow::default();
    loop {
        let received = tokio::select! {
            biased;
            received = gateway.receive() => received,
            () = flush(&mut table) => gateway.receive().await,
        };
        match received.unwrap().unwrap() {
            FromRenderer::Body { bytes, .. } => {
                receive.received(bytes.len()).unwrap();
                read += bytes.len();
                if let Some(credit) = receive.consumed(bytes.len()) {
                    let bytes = u32::try_from(credit).unwrap();
                    gateway.send(&ToRenderer::Credit { id: 9, bytes }).await.unwrap();
                    events(&mut table).await;
                }
            }
            FromRenderer::End { .. } => break,
            _ => {}
        }
    }
    assert_eq!(read, page.len());
}

#[tokio::test]
async fn a_waiting_job_hears_when_it_may_write() {
    let (mut table, mut gateway) = started().await;
    table.head(1, 200, b"");
    assert!(!table.write(1, &vec![7; INITIAL_WINDOW + 10]));
    let bytes = u32::try_from(INITIAL_WINDOW / 4).unwrap();
    gateway.send(&ToRenderer::Credit { id: 9, bytes }).await.unwrap();
    assert_eq!(events(&mut table).await, [Event::Writable { key: 1 }]);
}

#[tokio::test]
async fn a_cancelled_job_is_over_at_once() {
    let (mut table, mut gateway) = started().await;
    gateway.send(&ToRenderer::Cancel { id: 9, reason: CancelReason::ClientGone }).await.unwrap();
    assert_eq!(events(&mut table).await, [Event::Cancel { key: 1, reason: CancelReason::ClientGone }]);
    assert!(table.is_empty());
    table.head(1, 200, b"");
    table.end(1);
    flush(&mut table).await;
    let failure = Failure { kind: FailureKind::Cancelled, detail: String::new() };
    assert_eq!(gateway.receive().await.unwrap(), Some(FromRenderer::Failed { id: 9, failure }));
}

#[tokio::test]
async fn jobs_beyond_the_limit_and_after_a_drain_are_refused() {
    let (mut table, mut gateway) = started().await;
    gateway.send(&ToRenderer::Job { id: 10, head: head() }).await.unwrap();
    events(&mut table).await;
    gateway.send(&ToRenderer::Job { id: 11, head: head() }).await.unwrap();
    assert!(events(&mut table).await.is_empty());
    table.fail(1, FailureKind::Threw, "gone");
    table.drain();
    gateway.send(&ToRenderer::Job { id: 12, head: head() }).await.unwrap();
    assert!(events(&mut table).await.is_empty());
    flush(&mut table).await;
    let refused = |id| FromRenderer::Failed {
        id,
        failure: Failure { kind: FailureKind::NotReady, detail: String::new() },
    };
    assert_eq!(gateway.receive().await.unwrap(), Some(refused(11)));
    gateway.receive().await.unwrap();
    assert_eq!(gateway.receive().await.unwrap(), Some(refused(12)));
}

#[tokio::test]
async fn a_link_that_ends_takes_its_own_jobs_along_and_no_others() {
    let (mut first, isolate_first) = Gateway::pair().unwrap();
    let (mut second, isolate_second) = Gateway::pair().unwrap();
    let mut table = JobTable::new(vec![isolate_first, isolate_second], 2);
    first.send(&ToRenderer::Job { id: 1, head: head() }).await.unwrap();
    assert_eq!(events(&mut table).await, [Event::Start { key: 1, head: head() }]);
    second.send(&ToRenderer::Job { id: 1, head: head() }).await.unwrap();
    assert_eq!(events(&mut table).await, [Event::Start { key: 2, head: head() }]);
    drop(first);
    assert_eq!(events(&mut table).await, [Event::Cancel { key: 1, reason: CancelReason::ClientGone }]);
    table.head(2, 200, b"");
    table.end(2);
    flush(&mut table).await;
    assert!(matches!(second.receive().await.unwrap(), Some(FromRenderer::Head { id: 1, .. })));
    drop(second);
    let ended = std::future::poll_fn(|cx| table.poll_events(cx, &mut Vec::new())).await;
    assert_eq!(ended, Err(AllLinksEnded));
}

#[tokio::test]
async fn a_call_that_is_too_large_is_not_made() {
    let (mut table, _gateway) = started().await;
    let problem = table.call(1, 1, "f", &" ".repeat(MAX_CALL_BYTES + 1)).unwrap_err();
    assert!(problem.contains("are allowed"), "{problem}");
}

#[tokio::test]
async fn only_jobs_that_can_run_elsewhere_are_displaced() {
    let (mut table, mut gateway) = started().await;
    let post = RequestHead { method: "POST".into(), ..head() };
    gateway.send(&ToRenderer::Job { id: 10, head: post }).await.unwrap();
    events(&mut table).await;
    assert_eq!(table.only(), 0, "one of two");
    let mut told = Vec::new();
    table.displace(&mut told);
    assert_eq!(table.only(), 2);
    assert_eq!(told, [Event::Cancel { key: 1, reason: CancelReason::ClientGone }]);
    flush(&mut table).await;
    let Some(FromRenderer::Failed { id: 9, failure }) = gateway.receive().await.unwrap() else { panic!() };
    assert_eq!(failure.kind, FailureKind::Displaced);
    assert!(!table.is_empty(), "the other one goes on");
    table.head(2, 200, b"");
    table.displace(&mut told);
    assert_eq!(told.len(), 1, "what has begun stays");
}

#[tokio::test]
async fn an_abort_does_not_end_a_job() {
    let (mut table, mut gateway) = started().await;
    gateway.send(&ToRenderer::Cancel { id: 9, reason: CancelReason::AbortDelay }).await.unwrap();
    assert_eq!(events(&mut table).await, [Event::Abort { key: 1 }]);
    assert!(!table.is_empty());
}
