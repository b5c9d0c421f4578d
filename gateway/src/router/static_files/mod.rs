//! Static files, straight from `client/`: no isolate, no lookup by name on disk.
//!
//! - [`index`]: what there is, made once at the start.
//! - [`naming`]: content types, and which names carry a hash of their content.
//! - [`conditions`]: what a conditional or ranged request is due. Pure.
//! - [`disk`]: files that are too large for memory, in bounded pieces.
//! - [`encodings`]: compressed forms, of the build or made once.

pub mod conditions;
pub mod disk;
pub mod encodings;
pub mod index;
pub mod naming;

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode};

use super::body::Headless;
use crate::config::edge::CompressionMode;
use crate::error::Cause;
use crate::middleware::compression::encoding::{Accepted, Encoding};
use conditions::Due;
use index::{Content, Entry};

/// Answers a GET or HEAD of a file, in the form that the client takes.
pub async fn answer(entry: &Arc<Entry>, request: ServiceRequest, mode: CompressionMode) -> ServiceResponse {
    let several = encodings::has_several(entry, mode);
    let form = match wanted(several, &request) {
        Some(accepted) => encodings::best(entry, mode, accepted).await,
        None => None,
    };
    let shown = form.as_ref().map_or(entry, |(_, form)| form);
    let due = conditions::due(request.method(), request.headers(), shown);
    let response = match from_memory(shown, request.method(), &due) {
        Some(response) => response,
        None => from_disk(shown, due).await,
    };
    let response = finished(response, several, form.map(|(encoding, _)| encoding));
    request.into_response(response)
}

/// The same, unless the file must be read or encoded for it first.
pub fn at_once(entry: &Arc<Entry>, request: &ServiceRequest, mode: CompressionMode) -> Option<HttpResponse> {
    let several = encodings::has_several(entry, mode);
    let form = match wanted(several, request) {
        Some(accepted) => encodings::best_at_once(entry, mode, accepted)?,
        None => None,
    };
    let shown = form.as_ref().map_or(entry, |(_, form)| form);
    let due = conditions::due(request.method(), request.headers(), shown);
    let response = from_memory(shown, request.method(), &due)?;
    Some(finished(response, several, form.map(|(encoding, _)| encoding)))
}

/// What the client takes, if the file is sent in several forms. A part is one of the file as it is: what is known of
/// encoded ones differs between clients.
fn wanted(several: bool, request: &ServiceRequest) -> Option<Accepted> {
    let headers = request.headers();
    (several && !headers.contains_key(header::RANGE)).then(|| Accepted::of(headers))
}

fn finished(mut response: HttpResponse, several: bool, encoding: Option<Encoding>) -> HttpResponse {
    let is_sent = response.status() == StatusCode::OK;
    let headers = response.headers_mut();
    if let Some(encoding) = encoding
        && is_sent
        && headers.contains_key(header::CONTENT_TYPE)
    {
        headers.insert(header::CONTENT_ENCODING, encoding.value());
        headers.remove(header::ACCEPT_RANGES);
    }
    if several {
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    }
    response
}

/// The response, unless the file must be read for it.
fn from_memory(entry: &Entry, method: &Method, due: &Due) -> Option<HttpResponse> {
    let range = match due {
        Due::NotModified => {
            let mut response = HttpResponse::with_body(StatusCode::NOT_MODIFIED, empty());
            describe(entry, response.headers_mut());
            return Some(response);
        }
        Due::Unsatisfiable => return Some(unsatisfiable(entry)),
        Due::Whole => 0..entry.length,
        Due::Part(range) => range.clone(),
    };
    let body = if *method == Method::HEAD {
        BoxBody::new(Headless(BodySize::Sized(range.end - range.start)))
    } else if let Content::Memory(bytes) = &entry.content {
        // What lies in memory is addressed by usize.
        let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        BoxBody::new(bytes.slice(at(range.start)..at(range.end)))
    } else {
        return None;
    };
    Some(sent(entry, due, body))
}

async fn from_disk(entry: &Entry, due: Due) -> HttpResponse {
    let (Content::Disk(file), Due::Whole | Due::Part(_)) = (&entry.content, &due) else {
        debug_assert!(false, "what need not be read is answered from memory");
        return Cause::FileChanged.response(&HeaderMap::new());
    };
    let range = match &due {
        Due::Part(range) => range.clone(),
        _ => 0..entry.length,
    };
    match file.open(range).await {
        Ok(body) => sent(entry, &due, BoxBody::new(body)),
        Err(error) => {
            tracing::error!(file = %file.path().display(), error = %error, "a static file cannot be served");
            Cause::FileChanged.response(&HeaderMap::new())
        }
    }
}

/// The file, or the part of it that is due.
fn sent(entry: &Entry, due: &Due, body: BoxBody) -> HttpResponse {
    let status = if matches!(due, Due::Part(_)) { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let mut response = HttpResponse::with_body(status, body);
    let headers = response.headers_mut();
    describe(entry, headers);
    headers.insert(header::CONTENT_TYPE, entry.content_type.clone());
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Due::Part(range) = due {
        let text = format!("bytes {}-{}/{}", range.start, range.end - 1, entry.length);
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(header::CONTENT_RANGE, value);
        }
    }
    response
}

fn empty() -> BoxBody {
    BoxBody::new(Headless(BodySize::None))
}

fn unsatisfiable(entry: &Entry) -> HttpResponse {
    let mut response = HttpResponse::with_body(
        StatusCode::RANGE_NOT_SATISFIABLE,
        BoxBody::new(Headless(BodySize::Sized(0))),
    );
    if let Ok(value) = HeaderValue::from_str(&format!("bytes */{}", entry.length)) {
        response.headers_mut().insert(header::CONTENT_RANGE, value);
    }
    response
}

/// The fields that a 304 repeats (RFC 9110 section 15.4.5).
fn describe(entry: &Entry, headers: &mut HeaderMap) {
    headers.insert(header::ETAG, entry.etag.clone());
    headers.insert(header::LAST_MODIFIED, entry.last_modified.clone());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(entry.cache_control));
}

#[cfg(test)]
mod tests {
    use actix_web::body::{MessageBody, to_bytes};
    use actix_web::test::TestRequest;

    use super::*;
    use crate::router::static_files::index::{Index, IndexSettings};

    fn index(dir: &tempfile::TempDir, memory: u64) -> Index {
        std::fs::create_dir_all(dir.path().join("assets")).unwrap();
        std::fs::write(dir.path().join("assets/main-BJ3kX_9a.js"), "0123456789").unwrap();
        std::fs::write(dir.path().join("favicon.svg"), "<svg/>").unwrap();
        let settings = IndexSettings { base_path: String::new(), memory };
        Index::of(dir.path(), &settings).unwrap()
    }

    async fn served(memory: u64, path: &str, request: TestRequest) -> (HttpResponse, String) {
        let dir = tempfile::tempdir().unwrap();
        let index = index(&dir, memory);
        let response = answer(index.get(path).unwrap(), request.to_srv_request(), CompressionMode::On)
            .await
            .into_parts()
            .1;
        let (response, body) = response.into_parts();
        let bytes = to_bytes(body).await.unwrap_or_else(|_| panic!("the body broke off"));
        (response.set_body(empty()), String::from_utf8(bytes.to_vec()).unwrap())
    }

    fn field<'a>(response: &'a HttpResponse, name: &str) -> &'a str {
        response.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[actix_web::test]
    async fn a_hashed_file_is_immutable_from_memory_and_from_disk() {
        for memory in [1 << 20, 0] {
            let (response, body) = served(memory, "/assets/main-BJ3kX_9a.js", TestRequest::get()).await;
            assert_eq!((response.status().as_u16(), body.as_str()), (200, "0123456789"));
            assert_eq!(field(&response, "content-type"), "text/javascript; charset=utf-8");
            assert_eq!(field(&response, "cache-control"), "public, max-age=31536000, immutable");
            assert_eq!(field(&response, "accept-ranges"), "bytes");
            assert_eq!(field(&response, "x-content-type-options"), "nosniff");
        }
    }

    #[actix_web::test]
    async fn a_range_is_a_part_from_memory_and_from_disk() {
        for memory in [1 << 20, 0] {
            let request = TestRequest::get().insert_header(("range", "bytes=2-4"));
            let (response, body) = served(memory, "/assets/main-BJ3kX_9a.js", request).await;
            assert_eq!((response.status().as_u16(), body.as_str()), (206, "234"));
            assert_eq!(field(&response, "content-range"), "bytes 2-4/10");
        }
        let request = TestRequest::get().insert_header(("range", "bytes=10-"));
        let (response, body) = served(0, "/assets/main-BJ3kX_9a.js", request).await;
        assert_eq!((response.status().as_u16(), body.as_str()), (416, ""));
        assert_eq!(field(&response, "content-range"), "bytes */10");
    }

    #[actix_web::test]
    async fn a_known_file_is_not_sent_again() {
        let (response, _) = served(0, "/favicon.svg", TestRequest::get()).await;
        assert_eq!(field(&response, "cache-control"), "public, max-age=0, must-revalidate");
        let again = TestRequest::get().insert_header(("if-none-match", field(&response, "etag")));
        let (response, body) = served(0, "/favicon.svg", again).await;
        assert_eq!((response.status().as_u16(), body.as_str()), (304, ""));
        assert!(!field(&response, "etag").is_empty());
    }

    #[actix_web::test]
    async fn head_tells_the_length_and_sends_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let index = index(&dir, 0);
        let request = TestRequest::default().method(Method::HEAD).to_srv_request();
        let response =
            answer(index.get("/favicon.svg").unwrap(), request, CompressionMode::On).await.into_parts().1;
        assert_eq!(response.body().size(), BodySize::Sized(6));
        assert!(to_bytes(response.into_body()).await.unwrap_or_default().is_empty());
    }

    #[actix_web::test]
    async fn a_file_that_changed_is_not_sent_under_its_old_name() {
        let dir = tempfile::tempdir().unwrap();
        let index = index(&dir, 0);
        std::fs::write(dir.path().join("favicon.svg"), "<svg>longer</svg>").unwrap();
        let entry = index.get("/favicon.svg").unwrap();
        let response =
            answer(entry, TestRequest::get().to_srv_request(), CompressionMode::On).await.into_parts().1;
        assert_eq!(response.status(), 500);
        assert!(!response.headers().contains_key(header::ETAG));
    }

    fn with_forms() -> (tempfile::TempDir, Index) {
        let dir = tempfile::tempdir().unwrap();
        let text = "const a = 'again and again';\n".repeat(100);
        std::fs::write(dir.path().join("a.js"), &text).unwrap();
        std::fs::write(dir.path().join("a.js.br"), "built by brotli").unwrap();
        std::fs::write(dir.path().join("a.js.gz"), "built by gzip").unwrap();
        std::fs::write(dir.path().join("b.js"), &text).unwrap();
        std::fs::write(dir.path().join("c.js"), "short").unwrap();
        let index =
            Index::of(dir.path(), &IndexSettings { base_path: String::new(), memory: 1 << 20 }).unwrap();
        (dir, index)
    }

    async fn sent(
        index: &Index,
        path: &str,
        fields: &[(&'static str, &str)],
        mode: CompressionMode,
    ) -> (HttpResponse, Vec<u8>) {
        let mut request = TestRequest::get();
        for (name, value) in fields {
            request = request.insert_header((*name, *value));
        }
        let response = answer(index.get(path).unwrap(), request.to_srv_request(), mode).await.into_parts().1;
        let (response, body) = response.into_parts();
        let bytes = to_bytes(body).await.unwrap_or_else(|_| panic!("the body broke off"));
        (response.set_body(empty()), bytes.to_vec())
    }

    #[actix_web::test]
    async fn forms_of_the_build_are_preferred() {
        let (_dir, index) = with_forms();
        for (accept, encoding, body) in
            [("gzip, br, zstd", "br", "built by brotli"), ("gzip", "gzip", "built by gzip")]
        {
            let (response, bytes) =
                sent(&index, "/a.js", &[("accept-encoding", accept)], CompressionMode::Static).await;
            assert_eq!((field(&response, "content-encoding"), bytes), (encoding, body.into()));
            assert_eq!(field(&response, "content-type"), "text/javascript; charset=utf-8");
            assert_eq!(field(&response, "vary"), "accept-encoding");
            assert_eq!(field(&response, "accept-ranges"), "");
            let tag = field(&response, "etag").to_owned();
            let again = [("accept-encoding", accept), ("if-none-match", &*tag)];
            let (response, bytes) = sent(&index, "/a.js", &again, CompressionMode::Static).await;
            assert_eq!((response.status().as_u16(), bytes.len()), (304, 0));
            assert_eq!(field(&response, "vary"), "accept-encoding");
            // Another form is other bytes.
            let other = [("if-none-match", &*tag)];
            assert_eq!(sent(&index, "/a.js", &other, CompressionMode::Static).await.0.status(), 200);
        }
    }

    #[actix_web::test]
    async fn other_forms_are_made_once_and_only_where_that_helps() {
        let (_dir, index) = with_forms();
        let br = [("accept-encoding", "br")];
        let (response, first) = sent(&index, "/b.js", &br, CompressionMode::On).await;
        assert_eq!(field(&response, "content-encoding"), "br");
        assert!(first.len() < 200, "{}", first.len());
        let mut text = Vec::new();
        std::io::Read::read_to_end(&mut brotli::Decompressor::new(&*first, 4096), &mut text).unwrap();
        assert_eq!(text.len(), 2900);
        assert_eq!(sent(&index, "/b.js", &br, CompressionMode::On).await.1, first);
        for (path, fields, mode) in [
            ("/b.js", &br[..], CompressionMode::Static),
            ("/a.js", &br, CompressionMode::Off),
            ("/c.js", &br, CompressionMode::On),
            ("/b.js", &[], CompressionMode::On),
            ("/a.js", &[("accept-encoding", "br"), ("range", "bytes=0-3")], CompressionMode::On),
        ] {
            let (response, _) = sent(&index, path, fields, mode).await;
            assert_eq!(field(&response, "content-encoding"), "", "{path} {fields:?} {mode:?}");
        }
    }
}
