//! Looks into an isolate: `POST /debug/profile` and `POST /debug/heapsnapshot`. Off unless `debug_endpoints` is
//! set: a snapshot of the heap holds whatever the app does, secrets included.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::body::BoxBody;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode};
use shared::message::control::Examine;

use super::{Desk, JSON, TEXT, respond};
use crate::pool::ExamineError;
use crate::router::static_files::disk::DiskBody;

/// Where these are.
pub const PREFIX: &str = "/debug/";

/// The longest profile, in seconds.
const MAX_SECONDS: u64 = 300;

/// How long a profile takes that nobody said more about, in seconds.
const DEFAULT_SECONDS: u64 = 5;

/// Whether these are served, and how much they may write.
#[derive(Debug, Clone, Copy)]
pub struct DebugSettings {
    /// They are.
    pub enabled: bool,
    /// The most bytes of one result.
    pub max_bytes: u64,
}

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    isolate: (usize, usize),
    what: Examine,
}

/// Answers a request below [`PREFIX`].
pub async fn answer(
    desk: &Desk,
    method: &Method,
    path: &str,
    query: &str,
    headers: &HeaderMap,
) -> HttpResponse {
    if !desk.debug.enabled {
        let problem = "this is turned off: start the gateway with --debug-endpoints true\n";
        return respond(StatusCode::NOT_FOUND, TEXT, problem);
    }
    if *method != Method::POST {
        let mut response = respond(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only POST is served here\n");
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
        return response;
    }
    // Only a browser says where a request comes from: a page that was opened on the operator's machine.
    if headers.contains_key(header::ORIGIN) {
        return respond(StatusCode::FORBIDDEN, TEXT, "this is not for pages in a browser\n");
    }
    match wish(path, query) {
        Ok(wish) => examine(desk, wish).await,
        Err((status, problem)) => respond(status, TEXT, format!("{problem}\n")),
    }
}

async fn examine(desk: &Desk, Wish { isolate, what }: Wish) -> HttpResponse {
    let (renderer, number) = isolate;
    tracing::info!(renderer, isolate = number, ?what, "an isolate is examined");
    let examined = match desk.pool.examine(isolate, what, desk.debug.max_bytes).await {
        Ok(examined) => examined,
        Err(error) => {
            tracing::warn!(renderer, isolate = number, %error, "an isolate was not examined");
            return respond(status_of(&error), TEXT, format!("{error}\n"));
        }
    };
    let name = match what {
        Examine::CpuProfile { .. } => format!("isolate-{renderer}.{number}.cpuprofile"),
        Examine::HeapSnapshot => format!("isolate-{renderer}.{number}.heapsnapshot"),
    };
    let mut response = respond(StatusCode::OK, JSON, "");
    if let Ok(disposition) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, disposition);
    }
    response.set_body(BoxBody::new(DiskBody::of(Arc::new(examined.file), 0..examined.length)))
}

fn status_of(error: &ExamineError) -> StatusCode {
    match error {
        ExamineError::Busy => StatusCode::CONFLICT,
        ExamineError::NoIsolate { .. } => StatusCode::NOT_FOUND,
        ExamineError::Lost => StatusCode::BAD_GATEWAY,
        ExamineError::Late => StatusCode::GATEWAY_TIMEOUT,
        ExamineError::Refused(_) => StatusCode::INSUFFICIENT_STORAGE,
        ExamineError::File(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn wish(path: &str, query: &str) -> Result<Wish, (StatusCode, String)> {
    let bad = |problem: String| Err((StatusCode::BAD_REQUEST, problem));
    let profile = match path {
        "/debug/profile" => true,
        "/debug/heapsnapshot" => false,
        _ => {
            let there = "here are /debug/profile?isolate=0.0&seconds=5 and /debug/heapsnapshot?isolate=0.0";
            return Err((StatusCode::NOT_FOUND, there.into()));
        }
    };
    let (mut isolate, mut seconds) = ((0, 0), DEFAULT_SECONDS);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "isolate" => match isolate_number(value) {
                Some(number) => isolate = number,
                None => {
                    return bad(format!(
                        "isolate={value} is none: give the numbers of its renderer and its own, such as 0.0; \
                         /status has them"
                    ));
                }
            },
            "seconds" if profile => match value.parse() {
                Ok(number) if (1..=MAX_SECONDS).contains(&number) => seconds = number,
                _ => {
                    return bad(format!(
                        "seconds={value} is none: give a whole number from 1 to {MAX_SECONDS}"
                    ));
                }
            },
            _ => return bad(format!("`{name}` is not known here")),
        }
    }
    let what = if profile { Examine::CpuProfile { millis: seconds * 1000 } } else { Examine::HeapSnapshot };
    Ok(Wish { isolate, what })
}

/// A renderer's number, and its isolate's, which is 0 unless it is named.
fn isolate_number(text: &str) -> Option<(usize, usize)> {
    match text.split_once('.') {
        Some((renderer, isolate)) => Some((renderer.parse().ok()?, isolate.parse().ok()?)),
        None => Some((text.parse().ok()?, 0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_stands_in_the_query() {
        let profile = |millis| Examine::CpuProfile { millis };
        for (path, query, isolate, what) in [
            ("/debug/profile", "", (0, 0), profile(5000)),
            ("/debug/profile", "seconds=2&isolate=1.3", (1, 3), profile(2000)),
            ("/debug/heapsnapshot", "isolate=2", (2, 0), Examine::HeapSnapshot),
        ] {
            assert_eq!(wish(path, query), Ok(Wish { isolate, what }), "{path}?{query}");
        }
    }

    #[test]
    fn what_is_not_understood_is_told_with_what_is() {
        for (path, query, status, said) in [
            ("/debug/profile", "seconds=0", 400, "1 to 300"),
            ("/debug/profile", "seconds=301", 400, "1 to 300"),
            ("/debug/profile", "isolate=x", 400, "0.0"),
            ("/debug/heapsnapshot", "seconds=1", 400, "`seconds`"),
            ("/debug/else", "", 404, "/debug/heapsnapshot"),
        ] {
            let (found, problem) = wish(path, query).unwrap_err();
            assert_eq!(found.as_u16(), status, "{path}?{query}");
            assert!(problem.contains(said), "{problem}");
        }
    }
}
