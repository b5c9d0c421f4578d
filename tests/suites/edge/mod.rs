//! What the gateway does with requests and responses around the app, as its configuration and hooks say.

mod access;
mod base_path;
mod compression;
mod hooks;
mod metrics;
mod paths;
mod rates;
mod sites;
mod traces;

use tests::Bundle;
use tests::http::Answer;

/// An app that tells what it was asked.
fn echo() -> Bundle {
    Bundle::fetch("return new Response(request.method + ' ' + url.pathname + url.search)")
}

/// The body as text.
fn said(answer: &Answer) -> String {
    answer.text()
}
