//! The public server: connections in, [`super::assembly`] on each thread.

use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::time::Duration;

use actix_http::{HttpService, Protocol};
use actix_server::Server;
use actix_service::{IntoServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::http::KeepAlive;
use tokio::net::TcpStream;

use super::assembly::Plan;
use super::connection::Patience;
use super::connection::guarded::Guarded;
use super::connection::socket::ClientSocket;
use crate::config::settings::Clients;
use crate::pool::PoolHandle;

/// How long actix-http waits for a client to take an answer that came before its upload's end.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Threads of each gateway thread that read files from disk.
const FILE_THREADS: usize = 16;

/// A server on `listener` that sends its work to `pool`. It runs when it is polled.
///
/// # Errors
/// When the listener cannot be used.
pub fn server(listener: TcpListener, plan: Plan, pool: PoolHandle) -> io::Result<Server> {
    let (threads, clients) = (plan.settings().processes.threads, &plan.settings().clients);
    let drain_timeout = plan.settings().drain_timeout;
    let builder = Server::build()
        .workers(threads)
        .max_concurrent_connections(clients.max_connections.div_ceil(threads))
        .worker_max_blocking_threads(FILE_THREADS)
        // The deadline that counts is the caller's; this one only must not come before it.
        .shutdown_timeout(drain_timeout.as_secs() + 1)
        .disable_signals();
    let draining = builder.graceful_shutdown_signal();
    let service = move || {
        let clients = &plan.settings().clients;
        let patience = patience(clients);
        let app = plan.assemble(pool.attach_thread()).into_factory();
        let app = app.map_err(|error: actix_web::Error| error.error_response());
        let draining = draining.clone();
        let http = HttpService::build()
            .keep_alive(keep_alive(clients.keep_alive))
            .client_request_timeout(clients.head_timeout)
            .client_disconnect_timeout(DISCONNECT_TIMEOUT)
            // A client that closes its side has gone: its job is cancelled at once.
            .h1_allow_half_closed(false)
            .graceful_shutdown_signal(move || {
                let draining = draining.clone();
                async move { draining.notified().await }
            })
            .on_connect_ext(|connection: &Guarded<ClientSocket>, data| {
                data.insert(Rc::clone(connection.state()));
            })
            .finish(map_config(app, |()| AppConfig::default()));
        fn_service(move |stream: TcpStream| async move {
            // Chunks leave as they come; where the option cannot be set, they leave a little later.
            let _ = stream.set_nodelay(true);
            let peer = stream.peer_addr().ok();
            Ok((Guarded::new(ClientSocket::new(stream), patience), Protocol::Http1, peer))
        })
        .and_then(http)
    };
    Ok(builder.listen("public", listener, service)?.run())
}

fn patience(clients: &Clients) -> Patience {
    Patience { head: clients.head_timeout, idle: clients.keep_alive, write: clients.write_timeout }
}

fn keep_alive(time: Duration) -> KeepAlive {
    if time.is_zero() { KeepAlive::Disabled } else { KeepAlive::Timeout(time) }
}
