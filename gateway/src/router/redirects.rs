//! Paths that are elsewhere, or that another path answers.

use std::str::FromStr;

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody};
use actix_web::http::Uri;
use actix_web::http::header::{self, HeaderValue};

use super::body::Headless;
use crate::config::edge::Edge;

/// The most rewrites of one request. The configuration has no loops: a longer chain is as wrong as one.
pub const MAX_REWRITES: usize = 16;

/// The answer, if the path is elsewhere.
pub fn redirect(edge: &Edge, uri: &Uri) -> Option<HttpResponse> {
    let path = uri.path();
    let found = edge.redirects.find(path)?;
    let redirect = found.value;
    let query = uri.query().filter(|_| redirect.keep_query);
    let location = redirect.to.fill(&found.params(path), query);
    // The parts of a target are percent-encoded, and a request's query is what a header's value may be.
    let location = HeaderValue::from_str(&location).ok()?;
    let mut response = HttpResponse::with_body(redirect.status, BoxBody::new(Headless(BodySize::Sized(0))));
    response.headers_mut().insert(header::LOCATION, location);
    Some(response)
}

/// The path that answers instead, if another does.
pub fn rewrite(edge: &Edge, uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    let found = edge.rewrites.find(path)?;
    let query = uri.query().filter(|_| found.value.keep_query);
    Uri::from_str(&found.value.to.fill(&found.params(path), query)).ok()
}
