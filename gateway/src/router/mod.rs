//! The way of a request once its limits are checked, first match:
//!
//! ```text
//! path     ambiguous?                       400
//! static   GET, HEAD of a file of client/   the file
//! native   /_native/<name>                  the function's value
//! bundle   everything else                  the app's response
//! ```
//!
//! Other methods than GET and HEAD on a static file's path go on to the bundle: a file answers only what a file can.

pub mod backend;
pub mod body;
pub mod bundle;
pub mod headers;
pub mod native;
pub mod path;
pub mod static_files;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;

use crate::error::Cause;
use crate::middleware::exchange::{Exchange, RouteClass};
use backend::Backend;
use path::RequestPath;
use static_files::index::Index;

/// What the router must know of the settings.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Native functions live at this path, with a slash at its end; below the base path too.
    pub native_prefix: String,
    /// The longest body of a request, in bytes.
    pub body_limit: u64,
    /// How long a body may pause.
    pub body_timeout: Duration,
    /// How long the app may take until its response begins.
    pub job_timeout: Duration,
    /// How long a native function may take.
    pub native_call_timeout: Duration,
    /// Whether the app is asked to add a `Link` field to its pages.
    pub response_link_header: bool,
}

/// The router of one gateway thread.
#[derive(Debug)]
pub struct Router<B> {
    files: Arc<Index>,
    backend: B,
    rules: Rules,
}

impl<B: Backend> Router<B> {
    /// Routes to `files` and `backend`.
    pub fn new(files: Arc<Index>, backend: B, rules: Rules) -> Rc<Self> {
        Rc::new(Self { files, backend, rules })
    }

    /// Answers a request.
    pub async fn route(self: Rc<Self>, request: ServiceRequest) -> ServiceResponse {
        let Some(exchange) = Exchange::of(&request) else {
            debug_assert!(false, "the identity layer is missing");
            return refuse(request, Cause::Host);
        };
        let file = match RequestPath::parse(request.uri().path()) {
            Err(error) => return refuse(request, Cause::Path(error)),
            Ok(path) => path.file().and_then(|file| self.target(request.method(), file)),
        };
        match file {
            Some(Target::File(entry)) => {
                exchange.set_class(RouteClass::Static);
                static_files::answer(&entry, request).await
            }
            Some(Target::Native(name)) => {
                exchange.set_class(RouteClass::Native);
                native::answer(&self.backend, &self.rules, &exchange, name, request).await
            }
            None => {
                exchange.set_class(RouteClass::Bundle);
                bundle::answer(&self.backend, &self.rules, &exchange, request).await
            }
        }
    }

    fn target(&self, method: &Method, path: &str) -> Option<Target> {
        let may_be_file = *method == Method::GET || *method == Method::HEAD;
        if may_be_file && let Some(entry) = self.files.get(path) {
            return Some(Target::File(Arc::clone(entry)));
        }
        let name =
            path.strip_prefix(&self.rules.native_prefix).or_else(|| path.strip_prefix(NATIVE_PREFIX))?;
        Some(Target::Native(name.to_owned()))
    }
}

/// Where native functions live, whatever the base path.
const NATIVE_PREFIX: &str = "/_native/";

enum Target {
    File(Arc<static_files::index::Entry>),
    Native(String),
}

fn refuse(request: ServiceRequest, cause: Cause) -> ServiceResponse {
    let response: HttpResponse = cause.response(request.headers());
    request.into_response(response)
}
