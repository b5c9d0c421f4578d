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
//!   | Router        path -> static | native | bundle        |
//!   +-------------------------------------------------------+
//! ```

use std::rc::Rc;
use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse, fn_service};
use actix_web::http::header::HeaderValue;
use actix_web::{App, Error};

use super::connection::{self, Patience};
use crate::config::Settings;
use crate::error::Cause;
use crate::metrics::Metrics;
use crate::middleware::identity::Identity;
use crate::middleware::limits::Limits;
use crate::middleware::observe::Observe;
use crate::middleware::panic_barrier::PanicBarrier;
use crate::router::backend::Backend;
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
}

impl Plan {
    /// A plan for a gateway whose address is `own_host`.
    pub fn new(settings: Arc<Settings>, files: Arc<Index>, metrics: Metrics, own_host: HeaderValue) -> Self {
        let rules = Rules {
            native_prefix: format!("{}/_native/", settings.base_path),
            body_limit: settings.clients.body_limit,
            body_timeout: settings.clients.body_timeout,
            job_timeout: settings.jobs.job_timeout,
            native_call_timeout: settings.jobs.native_call_timeout,
            response_link_header: settings.jobs.response_link_header,
        };
        Self { settings, files, metrics, own_host, rules }
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
        let route = fn_service(move |request: ServiceRequest| {
            let router = Rc::clone(&router);
            async move { Ok(router.route(request).await) }
        });
        App::new()
            .default_service(route)
            .wrap(Limits { head: clients.head_limit, body: clients.body_limit })
            .wrap(PanicBarrier)
            .wrap(Observe::new(self.metrics.clone()))
            .wrap(Identity::new(clients.trusted_proxies.clone(), clients.forwarded, self.own_host.clone()))
    }
}

#[cfg(test)]
mod tests;
