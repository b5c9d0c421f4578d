//! One request of an HTTP/2 connection, and its response.

use std::cell::RefCell;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_http::{BoxedPayloadStream, Request, Response};
use actix_service::Service;
use actix_web::HttpMessage;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use bytes::Bytes;
use futures_core::Stream;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use tokio::time::{Instant, timeout_at};

use super::connection::Shared;
use super::translate;
use crate::server::connection::pace::Pace;

/// The most bytes that are handed over at a time.
const PIECE: usize = 64 * 1024;

/// The way back to the client, also for interim responses.
pub type Respond = Rc<RefCell<SendResponse<Bytes>>>;

/// The client has reset the stream, or is gone: nobody waits for an answer.
struct Gone;

/// Why a body is not sent to its end.
enum Stop {
    /// Nobody waits for it.
    Gone,
    /// The client takes it too slowly.
    TooSlow,
}

/// Answers one request. When the client resets its stream, what makes the answer is dropped at once.
pub(super) async fn answer<S, B>(
    app: Rc<S>,
    request: http::Request<RecvStream>,
    respond: SendResponse<Bytes>,
    shared: Rc<Shared>,
) where
    S: Service<Request>,
    S::Response: Into<Response<B>>,
    S::Error: Into<Response<BoxBody>>,
    B: MessageBody,
{
    let (parts, body) = request.into_parts();
    let is_head = parts.method == http::Method::HEAD;
    let (payload, body) = match body.is_end_stream() {
        true => (Payload::None, None),
        false => {
            let body = Rc::new(RefCell::new(body));
            let payload: BoxedPayloadStream = Box::pin(Upload(Rc::clone(&body)));
            (Payload::Stream { payload }, Some(body))
        }
    };
    let given_up = || {
        shared.state.set_body_broken(body.as_deref().is_some_and(is_none));
        shared.note_reset();
    };
    let respond: Respond = Rc::new(RefCell::new(respond));
    let mut request = match translate::request(&parts, payload) {
        Ok(request) => request,
        Err(cause) => {
            shared.settings.refusals.note(cause, shared.peer.map(|peer| peer.ip()));
            let refusal = Response::from(cause.response(&translate::accepted(&parts)));
            return send(refusal, &respond, is_head, &shared, given_up).await;
        }
    };
    request.head_mut().peer_addr = shared.peer;
    request.extensions_mut().insert(Rc::clone(&shared.state));
    request.extensions_mut().insert(Rc::clone(&respond));
    match unless_reset(&respond, app.call(request), given_up).await {
        Ok(Ok(response)) => send(response.into(), &respond, is_head, &shared, given_up).await,
        Ok(Err(error)) => send(error.into(), &respond, is_head, &shared, given_up).await,
        Err(Gone) => {}
    }
    // It was for those that observe this request's end, and has been seen.
    shared.state.set_body_broken(false);
}

/// Whether a body, once its stream was reset, is one that h2 refused: another length than was announced. A client that
/// gives up resets the stream itself.
fn is_none(body: &RefCell<RecvStream>) -> bool {
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let mut body = body.borrow_mut();
    loop {
        match body.poll_data(&mut cx) {
            Poll::Ready(Some(Ok(_))) => {}
            Poll::Ready(Some(Err(error))) => {
                return error.is_library() && error.reason() == Some(Reason::PROTOCOL_ERROR);
            }
            Poll::Ready(None) | Poll::Pending => return false,
        }
    }
}

/// Makes a response; when the stream is reset before, `given_up` is called, and what makes it is dropped.
async fn unless_reset<T>(
    respond: &Respond,
    making: impl Future<Output = T>,
    given_up: impl Fn(),
) -> Result<T, Gone> {
    let mut making = pin!(making);
    std::future::poll_fn(|cx| {
        if let Poll::Ready(made) = making.as_mut().poll(cx) {
            return Poll::Ready(Ok(made));
        }
        std::task::ready!(respond.borrow_mut().poll_reset(cx)).ok();
        given_up();
        Poll::Ready(Err(Gone))
    })
    .await
}

async fn send<B: MessageBody>(
    response: Response<B>,
    respond: &Respond,
    is_head: bool,
    shared: &Shared,
    given_up: impl Fn(),
) {
    let (response, body) = response.into_parts();
    let size = match response.status().as_u16() {
        204 => BodySize::None,
        _ => body.size(),
    };
    let Ok(head) = translate::response(response.head(), size) else {
        return respond.borrow_mut().send_reset(Reason::INTERNAL_ERROR);
    };
    let is_empty = is_head || size.is_eof();
    // An error says that the stream has ended meanwhile.
    let Ok(stream) = respond.borrow_mut().send_response(head, is_empty) else { return };
    let mut body = pin!(body);
    if is_empty {
        // A body that is polled to its end knows that it was sent.
        let _ = std::future::poll_fn(|cx| Poll::Ready(body.as_mut().poll_next(cx).is_ready())).await;
        return;
    }
    match send_body(body, stream, shared).await {
        Ok(()) => {}
        Err(Stop::Gone) => given_up(),
        Err(Stop::TooSlow) => shared.settings.refusals.note_cut(shared.peer.map(|peer| peer.ip())),
    }
}

/// Sends the body as it comes: each piece leaves before the next one is asked for.
async fn send_body<B: MessageBody>(
    mut body: Pin<&mut B>,
    mut stream: SendStream<Bytes>,
    shared: &Shared,
) -> Result<(), Stop> {
    let mut pace = Pace::default();
    loop {
        let next = std::future::poll_fn(|cx| {
            if let Poll::Ready(next) = body.as_mut().poll_next(cx) {
                return Poll::Ready(Ok(next));
            }
            stream.poll_reset(cx).map(|_| Err(Stop::Gone))
        });
        match next.await? {
            Some(Ok(piece)) => send_piece(piece, &mut stream, &mut pace, shared).await?,
            // Never an end that looks like one.
            Some(Err(_)) => {
                stream.send_reset(Reason::INTERNAL_ERROR);
                return Ok(());
            }
            None => {
                // An error says that the stream has ended meanwhile.
                let _ = stream.send_data(Bytes::new(), true);
                return Ok(());
            }
        }
    }
}

async fn send_piece(
    mut piece: Bytes,
    stream: &mut SendStream<Bytes>,
    pace: &mut Pace,
    shared: &Shared,
) -> Result<(), Stop> {
    while !piece.is_empty() {
        stream.reserve_capacity(piece.len().min(PIECE));
        let room = match poll_once(stream) {
            Some(room) => room,
            None => {
                pace.wait(Instant::now());
                // A wait has a deadline.
                let deadline = pace.deadline(shared.settings.write).unwrap_or_else(Instant::now);
                let room = std::future::poll_fn(|cx| stream.poll_capacity(cx));
                let Ok(room) = timeout_at(deadline, room).await else {
                    stream.send_reset(Reason::CANCEL);
                    return Err(Stop::TooSlow);
                };
                room
            }
        };
        let room = room.and_then(Result::ok).ok_or(Stop::Gone)?;
        let sent = piece.split_to(room.min(piece.len()));
        pace.moved(sent.len(), Instant::now);
        stream.send_data(sent, false).map_err(|_| Stop::Gone)?;
    }
    Ok(())
}

fn poll_once(stream: &mut SendStream<Bytes>) -> Option<Option<Result<usize, h2::Error>>> {
    let mut cx = Context::from_waker(std::task::Waker::noop());
    match stream.poll_capacity(&mut cx) {
        Poll::Ready(room) => Some(room),
        Poll::Pending => None,
    }
}

/// A request's body; the client may send more as it is read.
struct Upload(Rc<RefCell<RecvStream>>);

impl Stream for Upload {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut body = self.0.borrow_mut();
        let next = std::task::ready!(body.poll_data(cx));
        Poll::Ready(next.map(|piece| {
            let piece = piece.map_err(broken)?;
            body.flow_control().release_capacity(piece.len()).map_err(broken)?;
            Ok(piece)
        }))
    }
}

fn broken(error: h2::Error) -> PayloadError {
    PayloadError::Io(std::io::Error::other(error))
}
