//! The public server: connections in, [`super::assembly`] on each thread.
//!
//! ```text
//!   accept -> counted by address? -> TLS, when there are certificates -> HTTP/1 or HTTP/2, by ALPN or its first bytes
//! ```

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use actix_http::{HttpService, Request, Response};
use actix_server::{Server, ServerHandle};
use actix_service::{
    IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, fn_factory, fn_service, map_config,
};
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{AppConfig, ServiceResponse};
use actix_web::http::KeepAlive;
use bytes::{Bytes, BytesMut};
use prometheus::IntGauge;
use shared::window::MAX_CHUNK_BYTES;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::assembly::Plan;
use super::connection::drain::ThreadDrain;
use super::connection::guarded::Guarded;
use super::connection::peers::{Counted, TooMany};
use super::connection::socket::{ClientSocket, ClientStream};
use super::connection::transport::Transport;
use super::connection::{ConnectionState, Entrance, Protocol};
use super::http2;
use super::listen::{Closer, Listener};
use super::tls;
use crate::config::value::Listen;
use crate::error::Cause;
use crate::pool::PoolHandle;

/// How long actix-http waits for a client to take an answer that came before its upload's end.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// So much of a response is gathered before it is written, in bytes: a piece of a long page or file.
const WRITE_BUFFER_BYTES: usize = MAX_CHUNK_BYTES;

/// Threads of each gateway thread that read files from disk.
const FILE_THREADS: usize = 16;

/// What an HTTP/2 connection without TLS begins with (RFC 9113 section 3.4).
const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The public server, and the way to end it.
#[derive(Debug)]
pub struct Public {
    handle: ServerHandle,
    closer: Closer,
    draining: watch::Sender<bool>,
}

impl Public {
    /// A server on `listener` that sends its work to `pool`, over TLS where there is an acceptor. It runs when it is
    /// polled.
    ///
    /// # Errors
    /// When the listener cannot be used.
    pub fn new(
        listener: Listener,
        address: Listen,
        plan: Plan,
        acceptor: Option<TlsAcceptor>,
        pool: PoolHandle,
    ) -> io::Result<(Self, Server)> {
        let (threads, clients) = (plan.settings().processes.threads, &plan.settings().clients);
        let builder = Server::build()
            .workers(threads)
            .max_concurrent_connections(clients.max_connections.div_ceil(threads))
            .worker_max_blocking_threads(FILE_THREADS)
            // The deadline that counts is the caller's; this one only must not come before it.
            .shutdown_timeout(plan.settings().drain_timeout.as_secs() + 1)
            .disable_signals();
        let (draining, drain) = watch::channel(false);
        let closer = Closer::of(&listener, address)?;
        let server = match listener {
            Listener::Tcp(listener) => builder.listen("public", listener, move || {
                thread_service::<TcpStream>(&plan, &pool, acceptor.clone(), drain.clone())
            })?,
            Listener::Unix(listener) => builder.listen_uds("public", listener, move || {
                thread_service::<UnixStream>(&plan, &pool, acceptor.clone(), drain.clone())
            })?,
        };
        let server = server.run();
        Ok((Self { handle: server.handle(), closer, draining }, server))
    }

    /// Takes no new connections, closes idle ones, and lets others end after the response that is under way. The
    /// threads stay until [`ServerHandle::stop`]: the pool must know before they go.
    pub async fn drain(self) -> ServerHandle {
        self.handle.pause().await;
        self.closer.close();
        self.draining.send_replace(true);
        self.handle
    }
}

/// The service of one gateway thread: takes accepted streams, and ends with them.
fn thread_service<T: Into<ClientStream> + 'static>(
    plan: &Plan,
    pool: &PoolHandle,
    acceptor: Option<TlsAcceptor>,
    drain: watch::Receiver<bool>,
) -> impl ServiceFactory<T, Config = (), InitError = ()> + use<T> {
    let app = plan.assemble(pool.attach_thread()).into_factory();
    let app = app.map_err(|error: actix_web::Error| error.error_response());
    let app = Rc::new(map_config(app, |()| AppConfig::default()));
    let entrance = Rc::new(plan.entrance());
    let keep_alive = keep_alive(plan.settings().clients.keep_alive);
    fn_factory(move || {
        let (app, entrance, drain) = (Rc::clone(&app), Rc::clone(&entrance), drain.clone());
        let acceptor = acceptor.clone();
        async move {
            let app = Rc::new(app.new_service(()).await?);
            let drains = ThreadDrain::follow(drain.clone());
            let http1 = http1(Rc::clone(&app), keep_alive, drains).new_service(()).await?;
            let thread = Rc::new(PublicThread { app, http1, entrance, acceptor, drain });
            Ok(fn_service(move |stream: T| {
                let thread = Rc::clone(&thread);
                async move {
                    thread.serve(stream.into()).await;
                    Ok::<_, std::convert::Infallible>(())
                }
            }))
        }
    })
}

fn http1<S, B>(
    app: Rc<S>,
    keep_alive: KeepAlive,
    drain: ThreadDrain,
) -> impl ServiceFactory<(Guarded<Transport>, Option<SocketAddr>), Config = (), InitError = ()>
where
    S: Service<Request, Response = ServiceResponse<B>> + 'static,
    S::Error: Into<Response<BoxBody>> + 'static,
    B: MessageBody + 'static,
{
    HttpService::build()
        .keep_alive(keep_alive)
        // The guarded connection times heads, and what is idle.
        .client_request_timeout(Duration::ZERO)
        .client_disconnect_timeout(DISCONNECT_TIMEOUT)
        // A client that closes its side has gone: its job is cancelled at once.
        .h1_allow_half_closed(false)
        .h1_write_buffer_size(WRITE_BUFFER_BYTES)
        .graceful_shutdown_signal(move || drain.begun())
        .on_connect_ext(|connection: &Guarded<Transport>, data| {
            data.insert(Rc::clone(connection.state()));
        })
        .h1(fn_factory(move || {
            let app = Rc::clone(&app);
            async move { Ok::<_, ()>(app) }
        }))
}

/// What one gateway thread does with a connection.
struct PublicThread<S, H> {
    app: Rc<S>,
    http1: H,
    entrance: Rc<Entrance>,
    acceptor: Option<TlsAcceptor>,
    drain: watch::Receiver<bool>,
}

/// A connection whose protocol is known.
struct Opened {
    transport: Transport,
    protocol: Protocol,
    /// What was read to find it out.
    unread: Bytes,
}

impl<S, H, B> PublicThread<S, H>
where
    S: Service<Request, Response = ServiceResponse<B>> + 'static,
    S::Error: Into<Response<BoxBody>>,
    B: MessageBody + 'static,
    H: Service<(Guarded<Transport>, Option<SocketAddr>)>,
{
    /// Serves a connection to its end.
    async fn serve(&self, stream: ClientStream) {
        let peer = peer(&stream);
        let Ok(_counted) = self.count(&stream, peer) else {
            return self.refuse(ClientSocket::new(stream), peer).await;
        };
        let _open = Open::of(&self.entrance.connections);
        if let ClientStream::Tcp(stream) = &stream {
            // Chunks leave as they come; where the option cannot be set, they leave a little later.
            let _ = stream.set_nodelay(true);
        }
        let Some(Opened { transport, protocol, unread }) = self.open(ClientSocket::new(stream)).await else {
            return;
        };
        let is_secure = matches!(transport, Transport::Tls(_));
        let state = Rc::new(ConnectionState::new(protocol, is_secure, peer.map(|peer| peer.ip())));
        let guarded = Guarded::new(transport, unread, Rc::clone(&self.entrance.rules), Rc::clone(&state));
        match protocol {
            Protocol::Http1 => {
                let mut serving = pin!(self.http1.call((guarded, peer)));
                // An error was the client's affair, and was noted where it was found. Without one, what is still being
                // answered is dropped with the future, behind this.
                if serving.as_mut().await.is_ok() {
                    state.give_up();
                }
            }
            Protocol::Http2 => {
                let (app, settings) = (Rc::clone(&self.app), Rc::clone(&self.entrance.http2));
                http2::connection::serve(guarded, peer, app, settings, self.drain.clone()).await;
            }
        }
    }

    /// Counts a connection from `peer`, unless it is one of those that bring the connections of many.
    fn count(&self, stream: &ClientStream, peer: Option<SocketAddr>) -> Result<Option<Counted>, TooMany> {
        let peer = peer.filter(|_| matches!(stream, ClientStream::Tcp(_)));
        match peer.map(|peer| peer.ip().to_canonical()) {
            Some(peer) if !self.entrance.is_exempt(peer) => self.entrance.peers.enter(peer),
            _ => Ok(None),
        }
    }

    /// Without TLS the client is told why; with TLS that would cost what the limit is there to save.
    async fn refuse(&self, mut socket: ClientSocket, peer: Option<SocketAddr>) {
        self.entrance.rules.refusals.note(Cause::TooManyConnections, peer.map(|peer| peer.ip()));
        if self.acceptor.is_none() {
            // A fresh socket has room for it; the drop lingers, so that it arrives.
            let _ = timeout(DISCONNECT_TIMEOUT, socket.write_all(&Cause::TooManyConnections.raw(b""))).await;
        }
    }

    /// Finds out what the client speaks. `None` when it says nothing sensible in time, which has been counted.
    async fn open(&self, socket: ClientSocket) -> Option<Opened> {
        let time = self.entrance.rules.patience.head;
        let Some(acceptor) = &self.acceptor else {
            let mut socket = socket;
            let (protocol, unread) = match self.entrance.h2c {
                true => timeout(time, first_bytes(&mut socket)).await.ok()?.ok()?,
                false => (Protocol::Http1, Bytes::new()),
            };
            return Some(Opened { transport: Transport::Plain(socket), protocol, unread });
        };
        let handshakes = |outcome| self.entrance.tls_handshakes.with_label_values(&[outcome]).inc();
        match timeout(time, acceptor.accept(socket)).await {
            Ok(Ok(stream)) => {
                handshakes("completed");
                let is_h2 = stream.get_ref().1.alpn_protocol() == Some(tls::H2);
                let protocol = if is_h2 { Protocol::Http2 } else { Protocol::Http1 };
                Some(Opened { transport: Transport::Tls(Box::new(stream)), protocol, unread: Bytes::new() })
            }
            Ok(Err(error)) => {
                handshakes("failed");
                tracing::debug!(%error, "a TLS handshake failed");
                None
            }
            Err(_) => {
                handshakes("timeout");
                None
            }
        }
    }
}

/// Reads until it is certain whether the client speaks HTTP/2. Cancel-safe only as far as the connection ends then.
async fn first_bytes(socket: &mut ClientSocket) -> io::Result<(Protocol, Bytes)> {
    let mut read = BytesMut::with_capacity(H2_PREFACE.len());
    loop {
        let known = read.len().min(H2_PREFACE.len());
        if read[..known] != H2_PREFACE[..known] {
            return Ok((Protocol::Http1, read.freeze()));
        }
        if known == H2_PREFACE.len() {
            return Ok((Protocol::Http2, read.freeze()));
        }
        if socket.read_buf(&mut read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Who is at the other end. Over a Unix socket that is somebody on this machine.
fn peer(stream: &ClientStream) -> Option<SocketAddr> {
    match stream {
        ClientStream::Tcp(stream) => stream.peer_addr().ok(),
        ClientStream::Unix(_) => Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)),
    }
}

/// Counts an open connection until it is dropped.
struct Open(IntGauge);

impl Open {
    fn of(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// actix-http would set a timer anew for each request; the guarded connection has one for all that it times.
fn keep_alive(time: Duration) -> KeepAlive {
    if time.is_zero() { KeepAlive::Disabled } else { KeepAlive::Os }
}
