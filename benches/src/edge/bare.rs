//! What static files are compared with: an actix-web handler that answers from memory and does nothing else.

use std::io::Write;

use actix_web::{App, HttpResponse, HttpServer, web};
use bytes::Bytes;

use crate::cli::BareOptions;
use crate::error::BenchFailure;

/// The content of a file of so many bytes, for both contestants.
pub fn content(length: usize) -> Vec<u8> {
    b"// nothing to compress here \n".iter().copied().cycle().take(length).collect()
}

/// Serves until it is ended.
///
/// # Errors
///
/// When it cannot serve.
pub fn run(options: &BareOptions) -> Result<(), BenchFailure> {
    let failure = |error: std::io::Error| BenchFailure::Load {
        contestant: "the bare handler".into(),
        problem: format!("cannot serve: {error}"),
    };
    let (small, large) = (Bytes::from(content(options.small)), Bytes::from(content(options.large)));
    let serve = |bytes: Bytes| {
        web::get().to(move || {
            let bytes = bytes.clone();
            async move { HttpResponse::Ok().content_type("text/javascript; charset=utf-8").body(bytes) }
        })
    };
    let app = move || {
        let (small, large) = (small.clone(), large.clone());
        App::new().route("/small.js", serve(small)).route("/large.js", serve(large))
    };
    actix_web::rt::System::new().block_on(async {
        let server = HttpServer::new(app).workers(1).bind("127.0.0.1:0").map_err(failure)?;
        if let Some(address) = server.addrs().first() {
            writeln!(std::io::stdout(), "listening on http://{address}").map_err(failure)?;
        }
        server.run().await.map_err(failure)
    })
}
