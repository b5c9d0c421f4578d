//! Metrics, health and status, on a port and a thread of their own: they never queue behind renders.

pub mod debug;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use actix_web::body::BoxBody;
use actix_web::dev::{Server, ServiceRequest, fn_service};
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{App, HttpResponse, HttpServer};
use bytes::Bytes;
use debug::DebugSettings;
use serde::Serialize;

use crate::config::edge::Edge;
use crate::metrics::Metrics;
use crate::pool::{PoolHandle, PoolStatus, Readiness};
use crate::server::reload::Reloader;

/// Connections of the admin port, at most.
const MAX_CONNECTIONS: usize = 256;

const KEEP_ALIVE: Duration = Duration::from_secs(30);

const SHUTDOWN_SECONDS: u64 = 1;

/// What the gateway is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Phase {
    /// The app is being loaded.
    Starting,
    /// Requests are served.
    Serving,
    /// What runs is finished, nothing new is taken.
    Draining,
}

/// The phase, as the threads of the gateway share it.
#[derive(Debug, Clone)]
pub struct SharedPhase(Arc<AtomicU8>);

impl Default for SharedPhase {
    fn default() -> Self {
        Self(Arc::new(AtomicU8::new(Phase::Starting as u8)))
    }
}

impl SharedPhase {
    /// Enters a phase.
    pub fn enter(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::Release);
    }

    /// The phase now.
    pub fn get(&self) -> Phase {
        match self.0.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Serving,
            _ => Phase::Draining,
        }
    }
}

/// Where the admin port gets its answers from.
#[derive(Debug, Clone)]
pub struct Desk {
    /// The pool.
    pub pool: PoolHandle,
    /// The numbers.
    pub metrics: Metrics,
    /// What the gateway is about.
    pub phase: SharedPhase,
    /// When it was started.
    pub started: Instant,
    /// Whether isolates may be looked into.
    pub debug: DebugSettings,
    /// What can be closed and opened.
    pub edge: Arc<Edge>,
    /// Puts another build of the app in the place of the one that is served.
    pub reloader: Reloader,
}

/// All of `/status`.
#[derive(Debug, Serialize)]
struct Status {
    version: &'static str,
    phase: Phase,
    uptime_seconds: u64,
    pool: PoolStatus,
}

/// The admin server on `listener`. It runs when it is polled.
///
/// # Errors
/// When the listener cannot be used.
pub fn server(listener: TcpListener, desk: Desk) -> io::Result<Server> {
    let server = HttpServer::new(move || {
        let desk = desk.clone();
        App::new().default_service(fn_service(move |request: ServiceRequest| {
            let desk = desk.clone();
            async move {
                let response = if request.path().starts_with(debug::PREFIX) {
                    let (path, query) = (request.path(), request.query_string());
                    debug::answer(&desk, request.method(), path, query, request.headers()).await
                } else if request.path() == "/reload" {
                    reload(&desk.reloader, request.method(), request.headers()).await
                } else {
                    answer(&desk, request.method(), request.path())
                };
                Ok::<_, actix_web::Error>(request.into_response(response))
            }
        }))
    });
    let server = server
        .workers(1)
        .max_connections(MAX_CONNECTIONS)
        .keep_alive(KEEP_ALIVE)
        .shutdown_timeout(SHUTDOWN_SECONDS)
        .disable_signals()
        .listen(listener)?;
    Ok(server.run())
}

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

fn answer(desk: &Desk, method: &Method, path: &str) -> HttpResponse {
    if path == "/maintenance" {
        return maintenance(&desk.edge, method);
    }
    if *method != Method::GET && *method != Method::HEAD {
        let mut response =
            respond(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD are served here\n");
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match path {
        "/livez" => respond(StatusCode::OK, TEXT, "alive\n"),
        "/readyz" => match readiness(desk.phase.get(), desk.pool.readiness()) {
            Readiness::Ready => respond(StatusCode::OK, TEXT, "ready\n"),
            Readiness::NotReady { reason } => {
                respond(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("not ready: {reason}\n"))
            }
        },
        "/metrics" => {
            desk.pool.sample_processes();
            match desk.metrics.render(&desk.pool.app_metrics()) {
                Ok(text) => respond(StatusCode::OK, METRICS, text),
                Err(error) => failed("metrics", &error),
            }
        }
        "/status" => {
            let status = Status {
                version: env!("CARGO_PKG_VERSION"),
                phase: desk.phase.get(),
                uptime_seconds: desk.started.elapsed().as_secs(),
                pool: desk.pool.status(),
            };
            match serde_json::to_vec(&status) {
                Ok(json) => respond(StatusCode::OK, JSON, json),
                Err(error) => failed("status", &error),
            }
        }
        _ => respond(
            StatusCode::NOT_FOUND,
            TEXT,
            "here are /metrics, /livez, /readyz, /status, /maintenance and /reload\n",
        ),
    }
}

/// Serves the build that is there now; answers when all renderers run it, or none does.
async fn reload(reloader: &Reloader, method: &Method, headers: &HeaderMap) -> HttpResponse {
    if *method != Method::POST {
        let mut response =
            respond(StatusCode::METHOD_NOT_ALLOWED, TEXT, "POST serves the build that is there now\n");
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
        return response;
    }
    // Only a browser says where a request comes from: a page that was opened on the operator's machine.
    if headers.contains_key(header::ORIGIN) {
        return respond(StatusCode::FORBIDDEN, TEXT, "this is not for pages in a browser\n");
    }
    match reloader.reload().await {
        Ok(build_id) => respond(StatusCode::OK, TEXT, format!("build {build_id} is served\n")),
        Err(error) => respond(error.status(), TEXT, format!("{error}\n")),
    }
}

/// A gateway is ready while it serves and its pool is.
fn readiness(phase: Phase, pool: Readiness) -> Readiness {
    let not_ready = |reason: &str| Readiness::NotReady { reason: reason.to_owned() };
    match (phase, pool) {
        (Phase::Draining, _) => not_ready("draining"),
        (Phase::Starting, Readiness::Ready) => not_ready("starting"),
        (Phase::Starting, Readiness::NotReady { reason }) => not_ready(&format!("starting: {reason}")),
        (Phase::Serving, pool) => pool,
    }
}

fn failed(what: &str, error: &dyn std::fmt::Display) -> HttpResponse {
    tracing::error!(what, %error, "the admin port cannot answer");
    respond(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "this cannot be told; the log says why\n")
}

fn respond(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> HttpResponse {
    let mut response = HttpResponse::with_body(status, BoxBody::new(body.into()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Closes the site with PUT and opens it with DELETE: no page of another site can send these without asking.
fn maintenance(edge: &Edge, method: &Method) -> HttpResponse {
    let maintenance = &edge.access.maintenance;
    match *method {
        Method::PUT => maintenance.set_closed(true),
        Method::DELETE => maintenance.set_closed(false),
        Method::GET | Method::HEAD => {
            return respond(
                StatusCode::OK,
                TEXT,
                if maintenance.is_closed() { "closed\n" } else { "open\n" },
            );
        }
        _ => {
            let text = "PUT closes the site, DELETE opens it, GET says which it is\n";
            let mut response = respond(StatusCode::METHOD_NOT_ALLOWED, TEXT, text);
            let methods = HeaderValue::from_static("GET, HEAD, PUT, DELETE");
            response.headers_mut().insert(header::ALLOW, methods);
            return response;
        }
    }
    tracing::warn!(closed = maintenance.is_closed(), "the site was closed or opened by the admin port");
    respond(StatusCode::OK, TEXT, if maintenance.is_closed() { "closed\n" } else { "open\n" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_serving_gateway_is_ready() {
        let lost = || Readiness::NotReady { reason: "1 of 4 isolates".into() };
        assert_eq!(readiness(Phase::Serving, Readiness::Ready), Readiness::Ready);
        assert_eq!(readiness(Phase::Serving, lost()), lost());
        for (phase, pool, word) in [
            (Phase::Starting, Readiness::Ready, "starting"),
            (Phase::Starting, lost(), "1 of 4"),
            (Phase::Draining, Readiness::Ready, "draining"),
        ] {
            let Readiness::NotReady { reason } = readiness(phase, pool) else { panic!("{phase:?} is ready") };
            assert!(reason.contains(word), "{reason}");
        }
    }

    #[test]
    fn the_phase_is_shared() {
        let phase = SharedPhase::default();
        let other = phase.clone();
        for step in [Phase::Starting, Phase::Serving, Phase::Draining] {
            phase.enter(step);
            assert_eq!(other.get(), step);
        }
    }
}
