//! A gateway with middleware of its own: every request gets a locale, and some need a session.
//!
//! Build it beside `renderer-pool` and `fn-workers` and start it as you would start `gateway`. The app reads what the
//! middleware found out from the request's context: with TanStack Start, `context` of request middleware and server
//! functions.

mod locale;
mod session;

use std::process::ExitCode;

use actix_web::HttpResponse;
use actix_web::http::Method;
use actix_web::http::header::{CONTENT_LANGUAGE, HeaderValue, X_FORWARDED_FOR};
use isopod_gateway::Gateway;
use isopod_gateway::hooks::{Call, Leave, Server};
use serde::Serialize;

/// What the app learns of each request.
#[derive(Debug, Default, Serialize)]
struct Context {
    /// The language that the visitor reads.
    locale: &'static str,
    /// Who the visitor is, if signed in.
    user: Option<session::User>,
}

fn main() -> ExitCode {
    Gateway::builder()
        .context::<Context>()
        .on_server_created(extend)
        .on_server_started(|started| tracing::info!(listen = %started.addresses.listen, "the edge is up"))
        .run()
}

fn extend(app: &mut Server<Context>) {
    app.before(locale::choose)
        .before(session::check)
        .before_on("/account/$", session::require)
        .after(name_language)
        .route(Method::GET, "/edge/whoami/{-$field}", whoami)
        .route(Method::GET, "/edge/forwarded", forwarded);
}

/// Says in which language the page is, unless the app has said so.
async fn name_language(leave: Leave<'_, Context>) {
    let headers = leave.response.headers_mut();
    if !headers.contains_key(CONTENT_LANGUAGE) && !leave.context.locale.is_empty() {
        headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static(leave.context.locale));
    }
}

/// A route in Rust: what the middleware knows of the visitor, without an isolate.
async fn whoami(call: Call<'_, Context>) -> HttpResponse {
    match call.param("field").as_deref() {
        None => HttpResponse::Ok().json(&*call.context),
        Some("locale") => HttpResponse::Ok().body(call.context.locale),
        Some(_) => HttpResponse::NotFound().finish(),
    }
}

/// For whom a trusted proxy has sent the request: what others claim does not come this far.
async fn forwarded(call: Call<'_, Context>) -> HttpResponse {
    let said = call.request.headers().get(X_FORWARDED_FOR).and_then(|value| value.to_str().ok());
    HttpResponse::Ok().body(said.unwrap_or("nobody").to_owned())
}
