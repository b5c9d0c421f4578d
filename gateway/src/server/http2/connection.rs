//! Takes requests off a connection until it ends.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_http::{Request, Response};
use actix_service::Service;
use actix_web::body::{BoxBody, MessageBody};
use bytes::Bytes;
use h2::Reason;
use h2::server::{Builder, Connection, SendResponse};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, Sleep, sleep_until};

use super::overseen::{Overseen, Taken};
use super::resets::Resets;
use super::{CONNECTION_WINDOW, SEND_BUFFER, STREAM_WINDOW, Settings, stream};
use crate::error::Cause;
use crate::server::connection::ConnectionState;
use crate::server::connection::guarded::Guarded;
use crate::server::connection::transport::Transport;

/// How long a client may take to end a connection that was told to.
const CLOSING: Duration = Duration::from_secs(1);

/// What the streams of one connection share.
#[derive(Debug)]
pub(super) struct Shared {
    pub settings: Rc<Settings>,
    pub state: Rc<ConnectionState>,
    pub peer: Option<SocketAddr>,
    taken: Rc<Taken>,
    resets: RefCell<Resets>,
    flooded: Notify,
}

impl Shared {
    /// The client has reset a stream that was being answered.
    pub fn note_reset(&self) {
        if self.resets.borrow_mut().count(std::time::Instant::now()) {
            self.flooded.notify_one();
        }
    }

    /// Notes the heads that h2 has found to be none.
    fn note_heads_reset(&self) {
        for _ in 0..self.taken.heads_reset() {
            self.settings.refusals.note(Cause::HeadMalformed, self.peer.map(|peer| peer.ip()));
        }
    }
}

/// What happens to a connection.
#[expect(
    clippy::large_enum_variant,
    reason = "it lives for a moment on the stack; a box would be one for each request"
)]
enum Event {
    Request(http::Request<h2::RecvStream>, SendResponse<Bytes>),
    /// No more requests: it is to end once all are answered.
    Close,
    Flooded,
    Ended,
}

/// Serves HTTP/2 on `io` until the client goes, is idle for too long, or `drain` is true and all is answered. Must run
/// in a local task set: each stream gets a task of its own.
pub async fn serve<S, B>(
    io: Guarded<Transport>,
    peer: Option<SocketAddr>,
    app: Rc<S>,
    settings: Rc<Settings>,
    mut drain: watch::Receiver<bool>,
) where
    S: Service<Request> + 'static,
    S::Response: Into<Response<B>>,
    S::Error: Into<Response<BoxBody>>,
    B: MessageBody + 'static,
{
    let state = Rc::clone(io.state());
    let taken = Rc::new(Taken::default());
    let client = peer.map(|peer| peer.ip());
    let io = Overseen::new(io, Rc::clone(&taken), settings.refusals.clone(), client);
    let Ok(mut connection) = handshake(io, &settings).await else { return };
    let idle = settings.idle.max(CLOSING);
    let resets = RefCell::new(Resets::new(settings.max_streams, std::time::Instant::now()));
    let shared = Rc::new(Shared { settings, state, peer, taken, resets, flooded: Notify::new() });
    // Where the sender is gone, so is the server.
    let mut drained = pin!(async { drop(drain.wait_for(|draining| *draining).await) });
    let mut timer = pin!(sleep_until(Instant::now() + idle));
    let mut closing = false;
    loop {
        let mut flooded = pin!(shared.flooded.notified());
        let next = std::future::poll_fn(|cx| {
            if let Poll::Ready(event) = poll_request(&mut connection, &shared, cx) {
                return Poll::Ready(event);
            }
            if flooded.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Event::Flooded);
            }
            if !closing && drained.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Event::Close);
            }
            poll_idle(timer.as_mut(), &shared, idle, closing, cx)
        });
        match next.await {
            Event::Request(request, respond) => {
                shared.taken.take(respond.stream_id().into());
                actix_web::rt::spawn(stream::answer(Rc::clone(&app), request, respond, Rc::clone(&shared)));
            }
            Event::Close if closing => return,
            Event::Close => {
                closing = true;
                connection.graceful_shutdown();
                timer.as_mut().reset(Instant::now() + CLOSING);
            }
            Event::Flooded => {
                shared.settings.refusals.note_flood(shared.peer);
                connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
            }
            Event::Ended => return,
        }
    }
}

/// A connection as h2 sees it.
type Client = Connection<Overseen<Guarded<Transport>>, Bytes>;

async fn handshake(io: Overseen<Guarded<Transport>>, settings: &Settings) -> Result<Client, h2::Error> {
    let mut builder = Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(settings.max_streams)
        .max_header_list_size(settings.max_header_list)
        .max_send_buffer_size(SEND_BUFFER);
    builder.handshake(io).await
}

fn poll_request(connection: &mut Client, shared: &Shared, cx: &mut Context<'_>) -> Poll<Event> {
    let accepted = connection.poll_accept(cx);
    if !matches!(accepted, Poll::Ready(Some(Ok(_)))) {
        shared.note_heads_reset();
    }
    accepted.map(|accepted| match accepted {
        Some(Ok((request, respond))) => Event::Request(request, respond),
        Some(Err(error)) => {
            // What the client broke; that it went away is no news.
            if error.is_library() && error.reason() == Some(Reason::ENHANCE_YOUR_CALM) {
                shared.settings.refusals.note_flood(shared.peer);
            } else if error.is_library() && error.reason().is_some_and(|reason| reason != Reason::NO_ERROR) {
                shared.settings.refusals.note_violation(shared.peer, &error);
            }
            Event::Ended
        }
        None => Event::Ended,
    })
}

/// Ready when the connection has been idle for as long as it may. The timer looks again when it fires.
fn poll_idle(
    mut timer: std::pin::Pin<&mut Sleep>,
    shared: &Shared,
    idle: Duration,
    closing: bool,
    cx: &mut Context<'_>,
) -> Poll<Event> {
    let allowed = if closing { CLOSING } else { idle };
    while timer.as_mut().poll(cx).is_ready() {
        let now = Instant::now();
        let until = shared.state.idle_since().map_or(now, |since| since) + allowed;
        if until <= now {
            return Poll::Ready(Event::Close);
        }
        timer.as_mut().reset(until);
    }
    Poll::Pending
}
