//! Compression of responses by `Accept-Encoding`.
//!
//! - [`encoding`]: which encoding a client takes. Pure.
//! - [`encoder`]: encoders that hold nothing back.
//!
//! A streamed page is flushed at the end of each chunk, so that what the app has sent is what the browser can read.
//! Static files have encodings of their own ([`crate::router::static_files`]) and pass.

pub mod encoder;
pub mod encoding;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode};
use bytes::Bytes;

use super::vary;
use crate::config::edge::{Compression, CompressionMode};
use encoder::{Effort, Encoder};
use encoding::{Accepted, Encoding};

/// Compresses a response, if it is worth it and the client takes it.
pub fn compress(
    settings: Compression,
    method: &Method,
    request: &HeaderMap,
    response: HttpResponse,
) -> HttpResponse {
    if settings.mode != CompressionMode::On || !is_worth_it(settings, method, &response) {
        return response;
    }
    let mut response = response;
    vary::on(response.headers_mut(), vary::ACCEPT_ENCODING);
    let encoding = Accepted::of(request).best(|_| true).filter(|_| *method != Method::HEAD);
    let Some((encoding, encoder)) =
        encoding.and_then(|encoding| Some((encoding, Encoder::new(encoding, Effort::Live).ok()?)))
    else {
        return response;
    };
    describe(response.headers_mut(), encoding);
    response.map_body(|_, body| BoxBody::new(Encoded { body, encoder: Some(encoder) }))
}

/// Says what became of the body. Its bytes are others now: a strong tag would promise that they are the same.
fn describe(headers: &mut HeaderMap, encoding: Encoding) {
    headers.insert(header::CONTENT_ENCODING, encoding.value());
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::ACCEPT_RANGES);
    let weak = headers.get(header::ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/"));
    if let Some(weak) = weak.and_then(|tag| HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()).ok()) {
        headers.insert(header::ETAG, weak);
    }
}

fn is_worth_it(settings: Compression, method: &Method, response: &HttpResponse) -> bool {
    let headers = response.headers();
    let is_short = match response.body().size() {
        // The length of what a GET would be answered is not always known.
        BodySize::None => *method != Method::HEAD,
        BodySize::Sized(bytes) => bytes < settings.min_bytes,
        BodySize::Stream => false,
    };
    let has_body = !matches!(
        response.status(),
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED | StatusCode::PARTIAL_CONTENT
    );
    has_body
        && !is_short
        && !headers.contains_key(header::CONTENT_ENCODING)
        && !headers.contains_key(header::CONTENT_RANGE)
        && !forbids_transforms(headers)
        && headers.get(header::CONTENT_TYPE).is_some_and(is_compressible)
}

/// `no-transform`, RFC 9111 section 5.2.2.6.
fn forbids_transforms(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::CACHE_CONTROL).filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case("no-transform"))
}

/// Whether a type is text by its nature, and no stream of events: those wait in buffers of proxies that decode.
pub fn is_compressible(content_type: &HeaderValue) -> bool {
    let essence = content_type.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let begins =
        |text: &[u8]| essence.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text));
    let ends = |text: &[u8]| {
        let start = essence.len().checked_sub(text.len());
        start.is_some_and(|start| essence[start..].eq_ignore_ascii_case(text))
    };
    if begins(b"text/") {
        return !essence.eq_ignore_ascii_case(b"text/event-stream");
    }
    ends(b"+json") || ends(b"+xml") || TEXTS.iter().any(|text| essence.eq_ignore_ascii_case(text))
}

/// Types that are text, or as easily compressed, beside those whose name says so.
const TEXTS: [&[u8]; 13] = [
    b"application/json",
    b"application/javascript",
    b"application/x-javascript",
    b"application/xml",
    b"application/wasm",
    b"application/x-ndjson",
    b"application/graphql",
    b"application/vnd.ms-fontobject",
    b"font/ttf",
    b"font/otf",
    b"image/bmp",
    b"image/x-icon",
    b"image/vnd.microsoft.icon",
];

pin_project_lite::pin_project! {
    /// A body that is encoded as it comes.
    struct Encoded {
        #[pin]
        body: BoxBody,
        // None once it has ended.
        encoder: Option<Encoder>,
    }
}

impl MessageBody for Encoded {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let mut this = self.project();
        let failed = |error: io::Error| -> Self::Error { error.into() };
        loop {
            let Some(encoder) = this.encoder.as_mut() else { return Poll::Ready(None) };
            match std::task::ready!(this.body.as_mut().poll_next(cx)) {
                Some(Ok(chunk)) if chunk.is_empty() => {}
                Some(Ok(chunk)) => return Poll::Ready(Some(encoder.encode(&chunk).map_err(failed))),
                // The end of the encoding is never written: the client must not take the rest for the whole.
                Some(Err(error)) => {
                    *this.encoder = None;
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    let end = this.encoder.take().map(|encoder| encoder.finish(&[]).map_err(failed));
                    return Poll::Ready(end);
                }
            }
        }
    }
}

/// Encodes a whole body for many clients; `None` when that saves less than a twentieth.
pub fn encoded_once(bytes: &[u8], encoding: Encoding) -> Option<Bytes> {
    let encoded = Encoder::new(encoding, Effort::Once).ok()?.finish(bytes).ok()?;
    (encoded.len() + bytes.len() / 20 <= bytes.len()).then_some(encoded)
}

#[cfg(test)]
mod tests {
    use actix_web::body::{BodyStream, to_bytes};
    use futures_util::stream;

    use super::*;

    const SETTINGS: Compression = Compression { mode: CompressionMode::On, min_bytes: 1024 };

    fn accepting(text: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(text));
        headers
    }

    fn page(fields: &[(&'static str, &'static str)], body: BoxBody) -> HttpResponse {
        let mut response = HttpResponse::with_body(StatusCode::OK, body);
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        for (name, value) in fields {
            response.headers_mut().insert(name.parse().unwrap(), HeaderValue::from_static(value));
        }
        response
    }

    fn long() -> BoxBody {
        BoxBody::new("<p>again and again</p>".repeat(200))
    }

    fn field(response: &HttpResponse, name: &str) -> String {
        response.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned()
    }

    #[actix_web::test]
    async fn a_page_is_compressed_and_says_so() {
        let answer =
            page(&[("etag", "\"a\""), ("content-length", "4400"), ("accept-ranges", "bytes")], long());
        let answer = compress(SETTINGS, &Method::GET, &accepting("br"), answer);
        assert_eq!(
            (field(&answer, "content-encoding"), field(&answer, "vary")),
            ("br".into(), "accept-encoding".into())
        );
        assert_eq!(
            (field(&answer, "etag"), field(&answer, "accept-ranges")),
            ("W/\"a\"".into(), String::new())
        );
        assert_eq!(answer.body().size(), BodySize::Stream);
        let body = to_bytes(answer.into_body()).await.unwrap();
        assert!(body.len() < 200, "{}", body.len());
    }

    #[test]
    fn what_must_not_be_compressed_is_not() {
        let plain = |method, accept, answer| {
            let answer = compress(SETTINGS, method, &accepting(accept), answer);
            assert_eq!(field(&answer, "content-encoding").replace("own", ""), "");
            field(&answer, "vary")
        };
        let get = &Method::GET;
        for fields in [
            ("content-type", "text/event-stream"),
            ("content-type", "image/png"),
            ("content-type", "application/octet-stream"),
            ("content-encoding", "own"),
            ("content-range", "bytes 0-1/9000"),
            ("cache-control", "private, No-Transform"),
        ] {
            assert_eq!(plain(get, "br", page(&[fields], long())), "", "{fields:?}");
        }
        assert_eq!(plain(get, "br", page(&[], BoxBody::new("short"))), "");
        let mut part = page(&[], long());
        *part.status_mut() = StatusCode::PARTIAL_CONTENT;
        assert_eq!(plain(get, "br", part), "");
        // These would be compressed for another client: caches must know.
        assert_eq!(plain(get, "identity", page(&[], long())), "accept-encoding");
        assert_eq!(plain(&Method::HEAD, "br", page(&[], long())), "accept-encoding");
        let off = Compression { mode: CompressionMode::Static, ..SETTINGS };
        assert_eq!(field(&compress(off, get, &accepting("br"), page(&[], long())), "vary"), "");
    }

    #[actix_web::test]
    async fn each_chunk_comes_out_when_it_goes_in_and_a_break_stays_a_break() {
        let chunks = [Ok(Bytes::from("<p>one</p>")), Ok(Bytes::new()), Err(io::Error::other("lost"))];
        let body = BoxBody::new(BodyStream::new(stream::iter(chunks)));
        let answer = compress(SETTINGS, &Method::GET, &accepting("gzip"), page(&[], body));
        let mut body = Box::pin(answer.into_body());
        let mut next = async || std::future::poll_fn(|cx| body.as_mut().poll_next(cx)).await;
        let first = next().await.unwrap().unwrap();
        let mut text = vec![0; 10];
        io::Read::read_exact(&mut flate2::read::GzDecoder::new(&*first), &mut text).unwrap();
        assert_eq!(text, b"<p>one</p>");
        assert!(next().await.unwrap().is_err());
        assert!(next().await.is_none());
    }
}
