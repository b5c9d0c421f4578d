use std::io::Read;
use std::sync::atomic::Ordering;

use actix_web::rt::task::yield_now;
use futures_util::StreamExt;
use shared::frame::PREFACE;
use shared::message::{CancelReason, FailureKind};
use shared::window::{INITIAL_WINDOW, MAX_CHUNK_BYTES};
use tokio::io::AsyncReadExt;

use super::*;
use crate::admission::RefusalReason;
use crate::pool::in_flight::Place;

async fn read(mut rendered: Rendered) -> Result<Vec<u8>, RenderError> {
    let mut all = Vec::new();
    while let Some(bytes) = rendered.body.next().await {
        all.extend_from_slice(&bytes?);
    }
    Ok(all)
}

#[actix_web::test]
async fn a_response_comes_whole() {
    let gateway = gateway();
    let mut isolate = gateway.isolate(0);
    let answer = gateway.job(None);
    let (id, request) = isolate.receive_job().await;
    assert_eq!((&request.method[..], &request.url[..]), (&b"GET"[..], &b"http://localhost/"[..]));
    assert_eq!(request.headers, [("accept".into(), "text/html".into())]);
    assert_eq!(gateway.pool.in_flight.at(Place::Isolate(isolate.id)).len(), 1);

    isolate.send([head(id), body(id, "<p>"), body(id, ""), body(id, "hello"), end(id)]).await;
    let rendered = answer.await.unwrap().unwrap();
    assert_eq!((rendered.status, rendered.body.whole()), (200, Some(8)));
    assert_eq!(rendered.headers, [("content-type".into(), "text/html".into())]);
    assert_eq!(read(rendered).await.unwrap(), b"<p>hello");
    assert_eq!((gateway.pool.in_flight.count(), gateway.pool.admission.in_flight(isolate.id)), (0, 0));
}

#[actix_web::test]
async fn a_response_streams_and_its_length_is_unknown_before_its_end() {
    let gateway = gateway();
    let mut isolate = gateway.isolate(0);
    let answer = gateway.job(None);
    let (id, _) = isolate.receive_job().await;
    isolate.send([head(id), body(id, "shell")]).await;
    let mut rendered = answer.await.unwrap().unwrap();
    assert_eq!(rendered.body.whole(), None);
    assert_eq!(rendered.body.next().await.unwrap().unwrap(), "shell");
    isolate.send([body(id, "rest"), end(id)]).await;
    assert_eq!(read(rendered).await.unwrap(), b"rest");
}

fn early_hints(id: u64, phase: HintPhase, links: &str) -> FromRenderer {
    FromRenderer::EarlyHints { id, hints: EarlyHints::new(phase, links) }
}

#[actix_web::test]
async fn early_hints_come_to_the_one_who_waits_for_the_head() {
    let gateway = gateway();
    let mut isolate = gateway.isolate(0);
    let (answer, heard) = gateway.job_with_hints();
    let (id, request) = isolate.receive_job().await;
    assert!(request.options.early_hints);
    isolate.send([early_hints(id, HintPhase::Static, "</a>; rel=preload\n</b>")]).await;
    while heard.borrow().is_empty() {
        yield_now().await;
    }
    assert!(!answer.is_finished());
    let last = early_hints(id, HintPhase::Dynamic, "");
    isolate.send([last, head(id), early_hints(id, HintPhase::Dynamic, "</late>"), end(id)]).await;
    assert_eq!(answer.await.unwrap().unwrap().status, 200);
    let links = |links: &[&str]| links.iter().map(ToString::to_string).collect::<Vec<_>>();
    let expected =
        [(HintPhase::Static, links(&["</a>; rel=preload", "</b>"])), (HintPhase::Dynamic, links(&[]))];
    assert_eq!(*heard.borrow(), expected);
}

#[actix_web::test]
async fn nobody_who_hears_early_hints_means_that_none_are_asked_for() {
    let gateway = gateway();
    let mut isolate = gateway.isolate(0);
    let answer = gateway.job(None);
    let (id, request) = isolate.receive_job().await;
    assert_eq!(request.options, HandlerOptions::default());
    isolate.send([early_hints(id, HintPhase::Static, "</unasked>"), head(id), end(id)]).await;
    assert_eq!(answer.await.unwrap().unwrap().status, 200);
}

#[actix_web::test]
async fn early_hints_are_bounded_for_a_job() {
    let gateway = gateway();
    let mut isolate = gateway.isolate(0);
    let (answer, heard) = gateway.job_with_hints();
    let (id, _) = isolate.receive_job().await;
    let most = shared::message::renderer::MAX_EARLY_HINTS_PER_JOB;
    isolate.send((0..=most).map(|_| early_hints(id, HintPhase::Static, "</a>"))).await;
    assert!(isolate.channel.receive().await.unwrap().is_none(), "the link is closed");
    assert!(answer.await.unwrap().is_err());
    assert!(heard.borrow().len() <= most);
}

#[actix_web::test]
async fn credit_comes_only_as_the_client_reads() {
    let gateway = gateway();
    let mut isolate = gateway.isolate(0);
    let answer = gateway.job(None);
    let (id, _) = isolate.receive_job().await;
    isolate.send([head(id)]).await;
    let chunks = INITIAL_WINDOW / MAX_CHUNK_BYTES;
    isolate.send((0..chunks).map(|_| body(id, vec![1; MAX_CHUNK_BYTES]))).await;
    let mut rendered = answer.await.unwrap().unwrap();
    let _another = gateway.job(None);
    assert!(matches!(isolate.receive().await, ToRenderer::Job { .. }), "credit before a read");
    for _ in 0..chunks {
        rendered.body.next().await.unwrap().unwrap();
        let bytes = u32::try_from(MAX_CHUNK_BYTES).unwrap();
        assert_eq!(isolate.receive().await, ToRenderer::Credit { id, bytes });
    }
    isolate.send([body(id, "more"), end(id)]).await;
    assert_eq!(read(rendered).await.unwrap(), b"more");
}

#[actix_web::test]
async fn an_isolate_that_breaks_the_window_loses_its_link() {
    let gateway = gateway();
    let mut isolate = gateway.isolate(0);
    let answer = gateway.job(None);
    let (id, _) = isolate.receive_job().await;
    let chunks = INITIAL_WINDOW / MAX_CHUNK_BYTES + 1;
    isolate.send([head(id)]).await;
    let rendered = answer.await.unwrap().unwrap();
    isolate.send((0..chunks).map(|_| body(id, vec![1; MAX_CHUNK_BYTES]))).await;
    assert!(isolate.channel.receive().await.is_ok_and(|message| message.is_none()), "the link is closed");
    assert_eq!(read(rendered).await.unwrap_err(), RenderError::Lost);
    assert_eq!(gateway.job(None).await.unwrap().unwrap_err(), RenderError::Refused(RefusalReason::NoIsolate));
}

#[actix_web::test]
async fn messages_out_of_order_end_the_link() {
    let rude: [fn(u64) -> Vec<FromRenderer>; 5] = [
        |id| vec![body(id, "no head")],
        |id| vec![end(id)],
        |id| vec![head(id), head(id)],
        |id| vec![head(id + 1)],
        |id| vec![FromRenderer::Credit { id, bytes: 1 }],
    ];
    for messages in rude {
        let gateway = gateway();
        let mut isolate = gateway.isolate(0);
        let answer = gateway.job_with(None, false, None);
        let (id, _) = isolate.receive_job().await;
        isolate.send(messages(id)).await;
        assert!(isolate.channel.receive().await.unwrap().is_none());
        let lost = match answer.await.unwrap() {
            Ok(rendered) => read(rendered).await.unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(lost, RenderError::Lost);
    }
}

#[actix_web::test]
async fn late_words_about_a_finished_job_are_forgiven() {
    let gateway = gateway();
    let mut isolate = gateway.isolate(0);
    let answer = gateway.job(None);
    let (id, _) = isolate.receive_job().await;
    let late = FromRenderer::Call { id, call: 1, name: "log".into(), head: Bytes::new(), input: "1".into() };
    let credit = FromRenderer::Credit { id, bytes: 1 };
    isolate.send([head(id), end(id), credit, FromRenderer::CallCancel { id, call: 9 }, late]).await;
    assert!(answer.await.unwrap().is_ok());
    assert!(matches!(isolate.receive().await, ToRenderer::Reply { call: 1, .. }));
}

#[actix_web::test]
async fn a_client_that_goes_cancels_the_job_and_its_place_frees_when_the_isolate_lets_go() {
    let gateway = gateway();
    let mut isolate = gateway.isolate(0);
    let answer = gateway.job(None);
    let (id, _) = isolate.receive_job().await;
    isolate.send([head(id), body(id, "shell")]).await;
    drop(answer.await.unwrap().unwrap());
    assert_eq!(isolate.receive().await, ToRenderer::Cancel { id, reason: CancelReason::ClientGone });
    assert_eq!(gateway.pool.admission.in_flight(isolate.id), 1, "the isolate may still be busy with it");
    isolate.send([body(id, "too late"), failed(id, FailureKind::Cancelled)]).await;
    gateway.pool.in_flight.idle().await;
    assert_eq!(gateway.pool.admission.in_flight(isolate.id), 0);
    assert_eq!(gateway.failures("client_gone"), 1);
}

#[actix_web::test]
async fn a_client_that_goes_before_the_head_cancels_too() {
    let gateway = gateway();
    let mut isolate = gateway.isolate(0);
    let answer = gateway.job(None);
    let (id, _) = isolate.receive_job().await;
    answer.abort();
    assert_eq!(isolate.receive().await, ToRenderer::Cancel { id, reason: CancelReason::ClientGone });
    isolate.send([head(id), body(id, "nobody reads"), end(id)]).await;
    gateway.pool.in_flight.idle().await;
}

#[actix_web::test]
async fn a_head_that_is_late_is_a_timeout() {
    let gateway = gateway();
    let mut isolate = gateway.isolate(0);
    let answer = gateway.job_with(None, true, Some(Duration::from_millis(5)));
    let (id, _) = isolate.receive_job().await;
    assert_eq!(answer.await.unwrap().unwrap_err(), RenderError::Timeout);
    assert_eq!(isolate.receive().await, ToRenderer::Cancel { id, reason: CancelReason::Timeout });
    assert_eq!(gateway.failures("timeout"), 1);
}

#[actix_web::test]
async fn a_bundle_that_throws_hurts_its_own_job_alone() {
    let gateway = gateway();
    let mut isolate = gateway.isolate(0);
    let (first, second) = (gateway.job(None), gateway.job(None));
    let ((first_id, _), (second_id, _)) = (isolate.receive_job().await, isolate.receive_job().await);
    isolate.send([failed(first_id, FailureKind::Threw), head(second_id), body(second_id, "fine")]).await;
    assert_eq!(first.await.unwrap().unwrap_err(), RenderError::Threw);
    isolate.send([failed(second_id, FailureKind::Threw)]).await;
    let mut rendered = second.await.unwrap().unwrap();
    assert_eq!(rendered.body.next().await.unwrap().unwrap(), "fine");
    assert_eq!(rendered.body.next().await.unwrap().unwrap_err(), RenderError::Threw);
    assert!(rendered.body.next().await.is_none());
    assert_eq!(gateway.failures("threw"), 2);
}

#[actix_web::test]
async fn a_safe_job_of_a_lost_isolate_runs_once_more_elsewhere() {
    let gateway = gateway();
    let mut first = gateway.isolate(0);
    let answer = gateway.job(None);
    first.receive_job().await;
    let mut second = gateway.isolate(1);
    drop(first);
    let (id, _) = second.receive_job().await;
    second.send([head(id), end(id)]).await;
    assert_eq!(answer.await.unwrap().unwrap().status, 200);
    assert_eq!((gateway.pool.metrics.job_retries.get(), gateway.failures("lost")), (1, 0));
}

#[actix_web::test]
async fn a_job_is_retried_once_and_never_when_it_is_not_safe() {
    let gateway = gateway();
    let mut first = gateway.isolate(0);
    let (safe, unsafe_one) = (gateway.job(None), gateway.job_with(None, false, None));
    first.receive_job().await;
    first.receive_job().await;
    let mut second = gateway.isolate(1);
    drop(first);
    assert_eq!(unsafe_one.await.unwrap().unwrap_err(), RenderError::Lost);
    second.receive_job().await;
    drop(second);
    assert_eq!(safe.await.unwrap().unwrap_err(), RenderError::Lost);
}

#[actix_web::test]
async fn an_isolate_lost_after_the_head_cuts_the_stream() {
    let gateway = gateway();
    let mut isolate = gateway.isolate(0);
    let _other = gateway.isolate(1);
    let answer = gateway.job(None);
    let (id, _) = isolate.receive_job().await;
    isolate.send([head(id), body(id, "half")]).await;
    let mut rendered = answer.await.unwrap().unwrap();
    drop(isolate);
    assert_eq!(rendered.body.next().await.unwrap().unwrap(), "half");
    assert_eq!(rendered.body.next().await.unwrap().unwrap_err(), RenderError::Lost);
    assert_eq!(gateway.failures("lost"), 1);
    gateway.pool.in_flight.idle().await;
}

#[actix_web::test]
async fn a_job_that_an_isolate_turns_away_runs_elsewhere_whatever_its_method() {
    let gateway = gateway();
    let mut first = gateway.isolate(0);
    let answer = gateway.job_with(None, false, None);
    let (id, _) = first.receive_job().await;
    let mut second = gateway.isolate(1);
    first.send([failed(id, FailureKind::NotReady)]).await;
    let (id, _) = second.receive_job().await;
    second.send([head(id), end(id)]).await;
    assert!(answer.await.unwrap().is_ok());
}

#[actix_web::test]
async fn jobs_go_to_the_least_loaded_isolate() {
    let gateway = gateway();
    let (mut first, mut second) = (gateway.isolate(0), gateway.isolate(1));
    let answers = [gateway.job(None), gateway.job(None)];
    let (id, _) = first.receive_job().await;
    second.receive_job().await;
    first.send([head(id), end(id)]).await;
    let [answer, _running] = answers;
    answer.await.unwrap().unwrap();
    let _third = gateway.job(None);
    first.receive_job().await;
}

#[actix_web::test]
async fn a_job_beyond_the_queue_is_refused_and_one_in_it_gets_the_place_that_frees() {
    let gateway = gateway();
    let mut isolate = gateway.isolate(0);
    let running = [gateway.job(None), gateway.job(None)];
    let (id, _) = isolate.receive_job().await;
    isolate.receive_job().await;
    let waiting = gateway.job(None);
    yield_now().await;
    assert_eq!(gateway.job(None).await.unwrap().unwrap_err(), RenderError::Refused(RefusalReason::QueueFull));
    isolate.send([head(id), end(id)]).await;
    let (id, _) = isolate.receive_job().await;
    isolate.send([head(id), end(id)]).await;
    assert!(waiting.await.unwrap().is_ok());
    drop(running);
}

#[actix_web::test]
async fn a_drained_pool_refuses_and_lets_finish_what_runs() {
    let gateway = gateway();
    let mut isolate = gateway.isolate(0);
    let answer = gateway.job(None);
    let (id, _) = isolate.receive_job().await;
    gateway.pool.admission.drain();
    assert_eq!(gateway.job(None).await.unwrap().unwrap_err(), RenderError::Refused(RefusalReason::Draining));
    isolate.send([head(id), body(id, "last"), end(id)]).await;
    assert_eq!(read(answer.await.unwrap().unwrap()).await.unwrap(), b"last");
    gateway.pool.in_flight.idle().await;
}

#[actix_web::test]
async fn the_ids_of_two_threads_differ() {
    let gateway = gateway();
    let other = Thread::new(1, gateway.pool.clone());
    let (here, there) = (gateway.thread.next_id(), other.next_id());
    assert_ne!(here, there);
    assert!(gateway.thread.was_issued(here) && !gateway.thread.was_issued(there));
    assert!(!gateway.thread.was_issued(here + 1) && !gateway.thread.was_issued(0));
}

#[actix_web::test]
async fn small_pieces_that_wait_for_a_slow_client_are_joined() {
    let gateway = gateway();
    let mut isolate = gateway.isolate(0);
    let answer = gateway.job(None);
    let (id, _) = isolate.receive_job().await;
    isolate.send([head(id)]).await;
    let rendered = answer.await.unwrap().unwrap();
    isolate.send((0..1000).map(|_| body(id, "0123456789"))).await;
    isolate.send([end(id)]).await;
    gateway.pool.in_flight.idle().await;
    assert_eq!(rendered.body.whole(), Some(10_000));
    let pieces: Vec<_> = rendered.body.map(Result::unwrap).collect().await;
    assert_eq!((pieces.len(), pieces.concat()), (8, b"0123456789".repeat(1000)));
}

/// Lets a gateway thread end, and says what the isolate then reads from its link.
fn isolate_reads_after_thread_ends(draining: bool) -> std::io::Result<usize> {
    let (stream, theirs) = StdUnixStream::pair().unwrap();
    let theirs = actix_web::rt::System::new().block_on(async {
        let gateway = gateway();
        let id = IsolateId { slot: 0, generation: 1, isolate: 0 };
        gateway.thread.attach(NewLink { stream, to: Peer::Isolate(id) });
        gateway.pool.draining.store(draining, Ordering::Release);
        theirs.set_nonblocking(true).unwrap();
        let mut theirs = UnixStream::from_std(theirs).unwrap();
        theirs.read_exact(&mut [0; PREFACE.len()]).await.unwrap();
        theirs.into_std().unwrap()
    });
    (&theirs).read(&mut [0])
}

#[test]
fn a_thread_that_ends_takes_its_links_along_but_not_while_others_drain() {
    assert_eq!(isolate_reads_after_thread_ends(false).unwrap(), 0);
    let kept = isolate_reads_after_thread_ends(true).unwrap_err();
    assert_eq!(kept.kind(), std::io::ErrorKind::WouldBlock);
}
