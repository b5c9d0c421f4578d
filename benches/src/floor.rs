//! actix-web with nothing around it: files from memory. What the gateway adds to it is the gateway's cost.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::rc::Rc;

use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use bytes::Bytes;
use xtask::error::Failure;
use xtask::files;
use xtask::progress;

use crate::error::BenchFailure;

type Files = HashMap<String, (Bytes, HeaderValue)>;

/// Serves the files below a directory on a port of the system's choice, on one thread, until it is signalled.
///
/// # Errors
///
/// When the files cannot be read or no port is free.
pub fn run(directory: &Path) -> Result<(), BenchFailure> {
    let mut files = Files::new();
    read(directory, directory, &mut files)?;
    let started = actix_web::rt::System::new().block_on(serve(files));
    Ok(started.map_err(Failure::unreadable("the floor's server"))?)
}

#[expect(clippy::print_stdout, reason = "the address is what the one who starts it waits for")]
async fn serve(files: Files) -> std::io::Result<()> {
    let server = HttpServer::new(move || {
        let files = Rc::new(files.clone());
        App::new().default_service(web::to(move |request: HttpRequest| {
            let files = Rc::clone(&files);
            async move { answer(&files, &request) }
        }))
    });
    let server = server.workers(1).bind("127.0.0.1:0")?;
    for address in server.addrs() {
        println!("listening on http://{address}");
    }
    server.run().await
}

fn answer(files: &Files, request: &HttpRequest) -> HttpResponse {
    match files.get(request.path()) {
        Some((body, kind)) => {
            HttpResponse::Ok().insert_header((CONTENT_TYPE, kind.clone())).body(body.clone())
        }
        None => HttpResponse::NotFound().finish(),
    }
}

fn read(root: &Path, directory: &Path, found: &mut Files) -> Result<(), Failure> {
    for path in files::children(directory)? {
        if path.is_dir() {
            read(root, &path, found)?;
            continue;
        }
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        let kind = match path.extension().and_then(|extension| extension.to_str()) {
            Some("css") => "text/css; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("svg") => "image/svg+xml",
            _ => "application/octet-stream",
        };
        let body = fs::read(&path).map_err(Failure::file("read", &path))?;
        found.insert(format!("/{name}"), (body.into(), HeaderValue::from_static(kind)));
    }
    if found.is_empty() {
        progress::say(&format!("{} holds no files", directory.display()));
    }
    Ok(())
}
