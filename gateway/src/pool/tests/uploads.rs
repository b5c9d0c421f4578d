use futures_util::stream;
use shared::message::{CancelReason, FailureKind};
use shared::window::{INITIAL_WINDOW, MAX_CHUNK_BYTES};
use tokio::sync::mpsc;

use super::*;
use crate::pool::RequestBodyError;

/// A body that a test feeds.
fn upload() -> (mpsc::UnboundedSender<Result<Bytes, RequestBodyError>>, Option<RequestBody>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let body = stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) });
    (sender, Some(Box::pin(body)))
}

#[actix_web::test]
async fn an_upload_is_cut_into_pieces_and_waits_for_credit() {
    let gateway = gateway();
    let mut isolate = gateway.isolate(0);
    let (sender, body) = upload();
    let total = INITIAL_WINDOW + 10;
    sender.send(Ok(vec![7; total].into())).unwrap();
    drop(sender);
    let answer = gateway.job(body);
    let (id, request) = isolate.receive_job().await;
    assert!(request.has_body);
    let mut came = 0;
    while came < INITIAL_WINDOW {
        let ToRenderer::Body { bytes, .. } = isolate.receive().await else { panic!("no body") };
        assert!(bytes.len() <= MAX_CHUNK_BYTES);
        came += bytes.len();
    }
    let _another = gateway.job(None);
    assert!(matches!(isolate.receive().await, ToRenderer::Job { .. }), "a piece beyond the window");
    isolate.send([FromRenderer::Credit { id, bytes: 70_000 }]).await;
    assert_eq!(isolate.receive().await, ToRenderer::Body { id, bytes: vec![7; 10].into() });
    assert_eq!(isolate.receive().await, ToRenderer::BodyEnd { id });
    isolate.send([head(id), end(id)]).await;
    assert!(answer.await.unwrap().is_ok());
}

#[actix_web::test]
async fn an_upload_stops_when_the_response_has_ended() {
    let gateway = gateway();
    let mut isolate = gateway.isolate(0);
    let (sender, body) = upload();
    let answer = gateway.job(body);
    let (id, _) = isolate.receive_job().await;
    isolate.send([head(id), end(id)]).await;
    assert!(answer.await.unwrap().is_ok());
    sender.closed().await;
}

#[actix_web::test]
async fn an_upload_that_fails_is_told_to_both_sides() {
    let cases = [
        (RequestBodyError::TooLarge, RenderError::BodyTooLarge),
        (RequestBodyError::Broken, RenderError::BodyBroken),
        (RequestBodyError::Timeout, RenderError::BodyTimeout),
    ];
    for (given, expected) in cases {
        let gateway = gateway();
        let mut isolate = gateway.isolate(0);
        let (sender, body) = upload();
        let answer = gateway.job(body);
        let (id, _) = isolate.receive_job().await;
        sender.send(Err(given)).unwrap();
        assert_eq!(answer.await.unwrap().unwrap_err(), expected);
        assert_eq!(isolate.receive().await, ToRenderer::Cancel { id, reason: CancelReason::BodyFailed });
        assert_eq!(isolate.receive().await, ToRenderer::Cancel { id, reason: CancelReason::ClientGone });
        isolate.send([failed(id, FailureKind::Cancelled)]).await;
        gateway.pool.in_flight.idle().await;
        assert_eq!((gateway.failures(expected.label()), gateway.failures("client_gone")), (1, 0));
    }
}
