//! The public server: connections in, [`super::assembly`] on each thread.

use std::future::ready;
use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::time::Duration;

use actix_http::{HttpService, Protocol};
use actix_server::{Server, ServerHandle};
use actix_service::{IntoServiceFactory, ServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::http::KeepAlive;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::assembly::Plan;
use super::connection::guarded::Guarded;
use super::connection::socket::ClientSocket;
use super::listen::Closer;
use crate::pool::PoolHandle;

/// How long actix-http waits for a client to take an answer that came before its upload's end.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Threads of each gateway thread that read files from disk.
const FILE_THREADS: usize = 16;

/// The public server, and the way to end it.
#[derive(Debug)]
pub struct Public {
    handle: ServerHandle,
    closer: Closer,
    draining: watch::Sender<bool>,
}

impl Public {
    /// A server on `listener` that sends its work to `pool`. It runs when it is polled.
    ///
    /// # Errors
    /// When the listener cannot be used.
    pub fn new(listener: TcpListener, plan: Plan, pool: PoolHandle) -> io::Result<(Self, Server)> {
        let (threads, clients) = (plan.settings().processes.threads, &plan.settings().clients);
        let builder = Server::build()
            .workers(threads)
            .max_concurrent_connections(clients.max_connections.div_ceil(threads))
            .worker_max_blocking_threads(FILE_THREADS)
            // The deadline that counts is the caller's; this one only must not come before it.
            .shutdown_timeout(plan.settings().drain_timeout.as_secs() + 1)
            .disable_signals();
        let (draining, drain) = watch::channel(false);
        let closer = Closer::of(&listener)?;
        let service = move || thread_service(&plan, &pool, drain.clone());
        let server = builder.listen("public", listener, service)?.run();
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

/// The service of one gateway thread.
fn thread_service(
    plan: &Plan,
    pool: &PoolHandle,
    drain: watch::Receiver<bool>,
) -> impl ServiceFactory<TcpStream, Config = (), InitError = ()> + use<> {
    let clients = &plan.settings().clients;
    let rules = Rc::new(plan.connection_rules());
    let app = plan.assemble(pool.attach_thread()).into_factory();
    let app = app.map_err(|error: actix_web::Error| error.error_response());
    let http = HttpService::build()
        .keep_alive(keep_alive(clients.keep_alive))
        .client_request_timeout(clients.head_timeout)
        .client_disconnect_timeout(DISCONNECT_TIMEOUT)
        // A client that closes its side has gone: its job is cancelled at once.
        .h1_allow_half_closed(false)
        .graceful_shutdown_signal(move || {
            let mut drain = drain.clone();
            // Where the sender is gone, so is the server.
            async move { drop(drain.wait_for(|draining| *draining).await) }
        })
        .on_connect_ext(|connection: &Guarded<ClientSocket>, data| {
            data.insert(Rc::clone(connection.state()));
        })
        .finish(map_config(app, |()| AppConfig::default()));
    fn_service(move |stream: TcpStream| {
        // Chunks leave as they come; where the option cannot be set, they leave a little later.
        let _ = stream.set_nodelay(true);
        let peer = stream.peer_addr().ok();
        let guarded = Guarded::new(ClientSocket::new(stream), Rc::clone(&rules));
        ready(Ok((guarded, Protocol::Http1, peer)))
    })
    .and_then(http)
}

fn keep_alive(time: Duration) -> KeepAlive {
    if time.is_zero() { KeepAlive::Disabled } else { KeepAlive::Timeout(time) }
}
