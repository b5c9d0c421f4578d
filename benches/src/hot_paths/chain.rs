//! The chain around the router with a backend that answers at once: what the gateway itself costs a page.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Payload, ServiceRequest};
use actix_web::http::header::HeaderValue;
use actix_web::test::TestRequest;
use bytes::Bytes;
use futures_util::stream::{self, Once};
use isopod_gateway::admission::{RefusalReason, Turn, Wish};
use isopod_gateway::config::{Settings, Sources, load};
use isopod_gateway::metrics::Metrics;
use isopod_gateway::middleware::chain::Chain;
use isopod_gateway::middleware::exchange::{Exchange, RequestId};
use isopod_gateway::middleware::rate_limit::Limiter;
use isopod_gateway::middleware::rate_limit::local::Local;
use isopod_gateway::pool::{NativeError, NativeRequest, RenderError, RenderJob};
use isopod_gateway::router::backend::{Answer, Backend};
use isopod_gateway::router::build::Builds;
use isopod_gateway::router::classes::RouteClasses;
use isopod_gateway::router::rests::Rests;
use isopod_gateway::router::{Router, Rules};
use isopod_gateway::server::connection::pace::Rate;
use shared::message::{NativeCall, Outcome};

/// Answers every page at once.
#[derive(Debug, Clone, Copy)]
pub struct Ready;

/// A page in one piece.
pub type Body = Once<std::future::Ready<Result<Bytes, RenderError>>>;

impl Backend for Ready {
    type Body = Body;

    fn enter(&self, _: Wish) -> Result<Option<Turn>, RefusalReason> {
        Ok(None)
    }

    async fn render(&self, _: RenderJob<'_>, _: Duration) -> Result<Answer<Body>, RenderError> {
        let page = Bytes::from_static(&[b'x'; 4096]);
        let headers = vec![(Bytes::from_static(b"content-type"), Bytes::from_static(b"text/html"))];
        let whole = Some(page.len());
        Ok(Answer { status: 200, headers, whole, body: stream::once(std::future::ready(Ok(page))) })
    }

    async fn call(&self, _: NativeCall) -> Outcome {
        Outcome::Value("1".into())
    }

    async fn answer_natively(&self, _: NativeRequest<'_>) -> Result<Answer<Body>, NativeError> {
        Err(NativeError::Unavailable)
    }

    fn has_native_route(&self, _: &str) -> bool {
        false
    }
}

/// The gateway's settings with some lines of configuration.
pub fn settings(config: &str) -> Settings {
    let file = std::env::temp_dir().join(format!("isopod-hot-paths-{}.toml", std::process::id()));
    let basics = "app = \"dist\"\nrenderer_bin = \"/bin/sh\"\nfn_worker_bin = \"/bin/sh\"\n";
    std::fs::write(&file, format!("{basics}{config}")).unwrap_or_else(|error| unreachable!("{error}"));
    let sources = Sources::gather(&BTreeMap::new(), &BTreeMap::new(), file.to_str());
    load(&sources).unwrap_or_else(|problems| unreachable!("{problems}"))
}

/// The router alone.
pub fn router(settings: &Settings) -> Router<Ready> {
    let classes = Arc::new(RouteClasses::of(&[], ""));
    let rules = Rules {
        native_prefix: "/_native/".into(),
        body_limit: 1 << 20,
        body_rate: Rate {
            pause: settings.clients.body_timeout,
            bytes_per_second: settings.clients.min_upload_rate,
        },
        job_timeout: Duration::from_secs(15),
        native_call_timeout: Duration::from_secs(10),
        base_path: settings.base_path.clone(),
        rests: Arc::new(Rests::new(settings.jobs.breaker, Arc::clone(&classes))),
        early_hints: None,
        response_link_header: false,
        edge: Arc::clone(&settings.edge),
        hooks: None,
        classes,
    };
    Router::new(Builds::default(), Ready, rules)
}

/// A browser's request for a page.
pub fn request(accept_encoding: &'static str) -> (ServiceRequest, Rc<Exchange>) {
    let request = TestRequest::get()
        .uri("/section/items/4711?tab=details")
        .insert_header(("host", "example.com"))
        .insert_header(("accept", "text/html,application/xhtml+xml"))
        .insert_header(("accept-encoding", accept_encoding))
        .insert_header(("sec-fetch-site", "same-origin"))
        .to_srv_request();
    let host = Some(HeaderValue::from_static("example.com"));
    let exchange = Rc::new(Exchange::new(RequestId::fresh(), [192, 0, 2, 1].into(), false, host, None));
    let (request, _) = request.into_parts();
    (ServiceRequest::from_parts(request, Payload::None), exchange)
}

/// The chain with some lines of configuration.
pub fn chain(config: &str) -> Rc<Chain<Ready>> {
    let settings = settings(config);
    let metrics = Metrics::new().unwrap_or_else(|error| unreachable!("{error}"));
    let limiter = Limiter::new(Arc::new(Local::new(1000)), &settings.edge.buckets, &metrics);
    Chain::new(Arc::clone(&settings.edge), limiter, None, router(&settings))
}
