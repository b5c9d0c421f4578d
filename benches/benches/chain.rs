//! What the chain around the router costs a request: with everything that is on by default, and with more.

use std::cell::RefCell;

use divan::Bencher;
use futures_util::FutureExt;
use hot_paths::chain::{chain, request, router, settings};

fn main() {
    divan::main();
}

/// The router alone: what there was before there was a chain.
#[divan::bench]
fn router_alone(bencher: Bencher<'_, '_>) {
    let router = router(&settings(""));
    bencher
        .with_inputs(|| request("identity"))
        .bench_local_values(|(request, exchange)| router.route(request, &exchange).now_or_never());
}

#[divan::bench]
fn defaults(bencher: Bencher<'_, '_>) {
    through_chain(bencher, "", "identity");
}

#[divan::bench]
fn all_off(bencher: Bencher<'_, '_>) {
    through_chain(bencher, "csrf = false\nsecurity_headers = \"off\"\ncompression = \"off\"", "identity");
}

#[divan::bench]
fn rate_cors_headers_and_redirects(bencher: Bencher<'_, '_>) {
    let redirects: String = (0..1000)
        .map(|row| format!("[[redirects]]\nfrom = \"/old-{row}/$x\"\nto = \"/new-{row}/$x\"\n"))
        .collect();
    let config = format!(
        "[[rate_limits]]\nlimit = 1000000\nwindow = \"1s\"\n[[cors]]\norigins = [\"https://a.example\"]\n\
         [[headers]]\nset = {{ x-a = \"1\" }}\n[[headers]]\npath = \"/p/$\"\nset = {{ x-b = \"1\" }}\n{redirects}"
    );
    through_chain(bencher, &config, "identity");
}

/// With the body read to its end: four kilobytes of one letter.
#[divan::bench(args = ["identity", "zstd", "br", "gzip"])]
fn to_the_last_byte(bencher: Bencher<'_, '_>, accept_encoding: &'static str) {
    let chain = chain("");
    let sizes = RefCell::new(0);
    bencher.with_inputs(|| request(accept_encoding)).bench_local_values(|(request, exchange)| {
        let response = chain.answer(request, &exchange).now_or_never();
        let body = response.map(|response| response.into_body());
        let bytes = body.and_then(|body| actix_web::body::to_bytes(body).now_or_never()).and_then(Result::ok);
        *sizes.borrow_mut() += bytes.map_or(0, |bytes| bytes.len());
    });
    assert!(*sizes.borrow() > 0);
}

fn through_chain(bencher: Bencher<'_, '_>, config: &str, accept_encoding: &'static str) {
    let chain = chain(config);
    bencher
        .with_inputs(|| request(accept_encoding))
        .bench_local_values(|(request, exchange)| chain.answer(request, &exchange).now_or_never());
}
