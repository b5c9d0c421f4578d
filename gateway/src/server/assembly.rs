//! One gateway thread's service, from the outermost layer to the router.
//!
//! ```text
//!      request                                     response
//!         |                                           ^
//!   +-----v-------------------------------------------+-----+
//!   | Identity      request id, trace, client, host   | id  |
//!   | Observe       begin           access log, metrics     |
//!   | PanicBarrier                  500 instead of a panic  |
//!   | Limits        head, method, target, host, body        |
//!   | Chain         access, CSRF, CORS, header fields,      |
//!   |               rates, compression, the user's hooks    |
//!   | Router        path -> static | redirect | native      |
//!   |               | cache (comes later) | bundle          |
//!   +-------------------------------------------------------+
//! ```

use std::rc::Rc;
use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::header::HeaderValue;
use actix_web::{App, Error};

use super::connection::pace::Rate;
use super::connection::peers::Peers;
use super::connection::refusal::Refusals;
use super::connection::{self, Entrance, Patience};
use super::http2;
use crate::admission::respite::Respite;
use crate::config::Settings;
use crate::hooks::Hooks;
use crate::metrics::Metrics;
use crate::middleware::chain::Chain;
use crate::middleware::identity::Identity;
use crate::middleware::layers::Layers;
use crate::middleware::limits::Limits;
use crate::middleware::log_budget::LogBudget;
use crate::middleware::observe::Counters;
use crate::middleware::rate_limit::Limiter;
use crate::middleware::rate_limit::local::Local;
use crate::router::backend::Backend;
use crate::router::build::Builds;
use crate::router::classes::RouteClasses;
use crate::router::rests::Rests;
use crate::router::{Router, Rules};

/// What all gateway threads share.
#[derive(Debug, Clone)]
pub struct Plan {
    settings: Arc<Settings>,
    builds: Builds,
    metrics: Metrics,
    own_host: HeaderValue,
    rules: Rules,
    buckets: Arc<Local>,
    peers: Peers,
    lines: Arc<LogBudget>,
}

/// What the app's build and the user's own code add to the settings.
#[derive(Debug, Clone, Default)]
pub struct Additions {
    /// The user's hooks.
    pub hooks: Option<Arc<dyn Hooks>>,
    /// The app's route patterns, as its manifest tells.
    pub routes: Vec<String>,
}

impl Plan {
    /// A plan for a gateway whose address is `own_host`, which serves what `builds` hold.
    pub fn new(
        settings: Arc<Settings>,
        builds: Builds,
        metrics: Metrics,
        own_host: HeaderValue,
        additions: Additions,
    ) -> Self {
        let classes = Arc::new(RouteClasses::of(&additions.routes, &settings.base_path));
        let rules = Rules {
            native_prefix: format!("{}/_native/", settings.base_path),
            body_limit: settings.clients.body_limit,
            body_rate: Rate {
                pause: settings.clients.body_timeout,
                bytes_per_second: settings.clients.min_upload_rate,
            },
            job_timeout: settings.jobs.job_timeout,
            native_call_timeout: settings.jobs.native_call_timeout,
            base_path: settings.base_path.clone(),
            rests: Arc::new(Rests::new(settings.jobs.breaker, Arc::clone(&classes))),
            early_hints: settings.jobs.early_hints.then(|| metrics.early_hints.clone()),
            response_link_header: settings.jobs.response_link_header,
            edge: Arc::clone(&settings.edge),
            hooks: additions.hooks,
            classes,
        };
        let buckets = Arc::new(Local::new(settings.edge.buckets.most));
        let peers = Peers::new(settings.clients.max_connections_per_ip);
        let lines = Arc::new(LogBudget::new(settings.access_log_refusals));
        Self { settings, builds, metrics, own_host, rules, buckets, peers, lines }
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What every connection passes. The counts are shared with all clones of this plan.
    pub fn entrance(&self) -> Entrance {
        let (clients, protocols) = (&self.settings.clients, &self.settings.protocols);
        let write = Rate { pause: clients.write_timeout, bytes_per_second: clients.min_download_rate };
        let refusals = Refusals::new(self.metrics.clone());
        let rules = connection::Rules {
            patience: Patience { head: clients.head_timeout, idle: clients.keep_alive, write },
            head_limit: clients.head_limit,
            refusals: refusals.clone(),
        };
        let http2 = http2::Settings {
            max_streams: protocols.h2_max_streams,
            // Twice, as each field counts 32 bytes more there: what is between is measured by the limits layer.
            max_header_list: u32::try_from(clients.head_limit.saturating_mul(2)).unwrap_or(u32::MAX),
            idle: clients.keep_alive,
            write,
            refusals,
        };
        Entrance {
            rules: Rc::new(rules),
            http2: Rc::new(http2),
            h2c: protocols.h2c,
            peers: self.peers.clone(),
            exempt: clients.trusted_proxies.clone(),
            connections: self.metrics.connections.clone(),
            tls_handshakes: self.metrics.tls_handshakes.clone(),
        }
    }

    /// This thread's service.
    pub fn assemble<B: Backend>(
        &self,
        backend: B,
    ) -> App<
        impl ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<impl MessageBody + use<B>>,
            Error = Error,
            InitError = (),
        > + use<B>,
    > {
        let clients = &self.settings.clients;
        let respite = Respite::of(self.settings.jobs.refusal_pause, backend.rest());
        let router = Router::new(self.builds.clone(), backend, self.rules.clone()).resting(respite);
        let edge = Arc::clone(&self.settings.edge);
        let limiter = Limiter::new(Arc::clone(&self.buckets), &edge.buckets, &self.metrics);
        let chain = Chain::new(edge, limiter, self.rules.hooks.clone(), router);
        let identity = Identity::new(
            clients.trusted_proxies.clone(),
            clients.forwarded,
            clients.traces,
            self.own_host.clone(),
        );
        let patterns = self.rules.classes.labels();
        let counters = Counters::new(self.metrics.clone(), patterns, Arc::clone(&self.lines));
        let limits = Limits { head: clients.head_limit, body: clients.body_limit };
        App::new().wrap(Layers::new(identity, counters, limits, chain))
    }
}

#[cfg(test)]
mod tests;
