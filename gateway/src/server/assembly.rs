//! One gateway thread's service, from the outermost layer to the router.
//!
//! ```text
//!      request                                     response
//!         |                                           ^
//!   +-----v-------------------------------------------+-----+
//!   | Identity      request id, client, scheme, host  | id  |
//!   | Observe       begin           access log, metrics     |
//!   | PanicBarrier                  500 instead of a panic  |
//!   | Limits        head, method, target, host, body        |
//!   | Chain         access, CSRF, CORS, header fields,      |
//!   |               rates, compression, the user's hooks    |
//!   | Router        path -> static | redirect | native      |
//!   |               | cache (comes later) | bundle          |
//!   +-------------------------------------------------------+
//! ```

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse, fn_service};
use actix_web::http::header::HeaderValue;
use actix_web::{App, Error};

use super::connection::{self, Patience};
use crate::config::Settings;
use crate::error::Cause;
use crate::hooks::Hooks;
use crate::metrics::Metrics;
use crate::middleware::chain::Chain;
use crate::middleware::identity::Identity;
use crate::middleware::limits::Limits;
use crate::middleware::observe::Observe;
use crate::middleware::panic_barrier::PanicBarrier;
use crate::middleware::rate_limit::Limiter;
use crate::middleware::rate_limit::local::Local;
use crate::router::backend::Backend;
use crate::router::classes::RouteClasses;
use crate::router::static_files::index::Index;
use crate::router::{Router, Rules};

/// What all gateway threads share.
#[derive(Debug, Clone)]
pub struct Plan {
    settings: Arc<Settings>,
    files: Arc<Index>,
    metrics: Metrics,
    own_host: HeaderValue,
    rules: Rules,
    buckets: Arc<Local>,
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
    /// A plan for a gateway whose address is `own_host`.
    pub fn new(
        settings: Arc<Settings>,
        files: Arc<Index>,
        metrics: Metrics,
        own_host: HeaderValue,
        additions: Additions,
    ) -> Self {
        let rules = Rules {
            native_prefix: format!("{}/_native/", settings.base_path),
            body_limit: settings.clients.body_limit,
            body_timeout: settings.clients.body_timeout,
            job_timeout: settings.jobs.job_timeout,
            native_call_timeout: settings.jobs.native_call_timeout,
            response_link_header: settings.jobs.response_link_header,
            edge: Arc::clone(&settings.edge),
            hooks: additions.hooks,
            classes: Arc::new(RouteClasses::of(&additions.routes, &settings.base_path)),
            direct_functions: Arc::default(),
        };
        let buckets = Arc::new(Local::new(settings.edge.buckets.most));
        Self { settings, files, metrics, own_host, rules, buckets }
    }

    /// Sends these paths of server functions to fn workers directly; the values are the functions' names.
    #[must_use]
    pub fn direct_functions(mut self, by_path: HashMap<String, String>) -> Self {
        self.rules.direct_functions = Arc::new(by_path);
        self
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What each connection must keep to.
    pub fn connection_rules(&self) -> connection::Rules {
        let clients = &self.settings.clients;
        let refusals = |reason| self.metrics.refusals.with_label_values(&[reason]);
        connection::Rules {
            patience: Patience {
                head: clients.head_timeout,
                idle: clients.keep_alive,
                write: clients.write_timeout,
            },
            head_limit: clients.head_limit,
            head_too_large: refusals(Cause::HeadTooLarge.row().reason),
            head_slow: refusals("head_slow"),
        }
    }

    /// This thread's service. The layer that is wrapped last is the outermost.
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
        let router = Router::new(Arc::clone(&self.files), backend, self.rules.clone());
        let edge = Arc::clone(&self.settings.edge);
        let limiter = Limiter::new(Arc::clone(&self.buckets), &edge.buckets, &self.metrics);
        let chain = Chain::new(edge, limiter, self.rules.hooks.clone(), router);
        let route = fn_service(move |request: ServiceRequest| {
            let chain = Rc::clone(&chain);
            async move { Ok(chain.answer(request).await) }
        });
        App::new()
            .default_service(route)
            .wrap(Limits { head: clients.head_limit, body: clients.body_limit })
            .wrap(PanicBarrier)
            .wrap(Observe::new(self.metrics.clone(), self.rules.classes.labels()))
            .wrap(Identity::new(clients.trusted_proxies.clone(), clients.forwarded, self.own_host.clone()))
    }
}

#[cfg(test)]
mod tests;
