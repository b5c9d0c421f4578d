//! What a request must be before it is routed: head and body within their limits, a method that is served, a host,
//! and a target of this server.

use actix_web::HttpResponse;
use actix_web::dev::ServiceRequest;
use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, StatusCode, Uri};

use super::exchange::Exchange;
use crate::error::{Cause, SERVED_METHODS};

/// The limits of a request.
///
/// actix-http itself holds at most 128 KiB and 96 fields of a head that is not complete, and answers 431 beyond;
/// a head that came whole below that is measured here.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The longest head, in bytes: request line and fields with their separators.
    pub head: usize,
    /// The longest body, in bytes.
    pub body: u64,
}

impl Limits {
    /// The answer to a request that goes no further.
    pub fn answer(self, request: &ServiceRequest, exchange: &Exchange) -> Option<HttpResponse> {
        if let Some(cause) = self.refusal(request, exchange) {
            return Some(cause.response(request.headers()));
        }
        (request.method() == Method::OPTIONS && request.uri().path() == "*").then(server_options)
    }

    fn refusal(self, request: &ServiceRequest, exchange: &Exchange) -> Option<Cause> {
        if head_bytes(request) > self.head {
            return Some(Cause::HeadTooLarge);
        }
        refused_method(request.method())
            .or_else(|| refused_target(request.uri()))
            .or_else(|| exchange.host.is_none().then_some(Cause::Host))
            .or_else(|| (content_length(request) > self.body).then_some(Cause::BodyTooLarge))
    }
}

fn head_bytes(request: &ServiceRequest) -> usize {
    // "METHOD target HTTP/1.1\r\n", "name: value\r\n", "\r\n"
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    let authority = request.uri().authority().map_or(0, |authority| authority.as_str().len());
    let line = request.method().as_str().len() + target + authority + 12;
    line + request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>()
        + 2
}

fn refused_method(method: &Method) -> Option<Cause> {
    match *method {
        Method::GET
        | Method::HEAD
        | Method::POST
        | Method::PUT
        | Method::PATCH
        | Method::DELETE
        | Method::OPTIONS => None,
        Method::TRACE | Method::CONNECT => Some(Cause::MethodRefused),
        _ => Some(Cause::MethodUnknown),
    }
}

fn refused_target(uri: &Uri) -> Option<Cause> {
    let is_known_scheme = matches!(uri.scheme_str(), None | Some("http" | "https"));
    (!is_known_scheme || !(uri.path().starts_with('/') || uri.path() == "*")).then_some(Cause::Target)
}

/// The announced length; 0 when none is. actix-http has refused what is no number.
fn content_length(request: &ServiceRequest) -> u64 {
    let value = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    value.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// `OPTIONS *` asks what the server as a whole can do (RFC 9110 section 9.3.7).
fn server_options() -> HttpResponse {
    let mut response = HttpResponse::new(StatusCode::NO_CONTENT);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(SERVED_METHODS));
    response
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;
    use crate::middleware::exchange::RequestId;

    fn exchange(host: Option<HeaderValue>) -> Exchange {
        Exchange::new(RequestId::fresh(), [127, 0, 0, 1].into(), false, host, None)
    }

    fn refusal(request: TestRequest) -> Option<Cause> {
        let request = request.to_srv_request();
        let host = Some(HeaderValue::from_static("localhost"));
        Limits { head: 1024, body: 100 }.refusal(&request, &exchange(host))
    }

    #[test]
    fn an_ordinary_request_passes() {
        assert_eq!(refusal(TestRequest::get().uri("/a?b=c")), None);
        assert_eq!(refusal(TestRequest::post().insert_header(("content-length", "100"))), None);
        assert_eq!(refusal(TestRequest::default().method(Method::OPTIONS).uri("*")), None);
    }

    #[test]
    fn each_limit_has_its_refusal() {
        let method = |name: &str| TestRequest::default().method(Method::from_bytes(name.as_bytes()).unwrap());
        for (request, cause) in [
            (TestRequest::get().insert_header(("x", "y".repeat(1024))), Cause::HeadTooLarge),
            (TestRequest::get().uri(&format!("/{}", "a".repeat(1024))), Cause::HeadTooLarge),
            (TestRequest::post().insert_header(("content-length", "101")), Cause::BodyTooLarge),
            (method("TRACE"), Cause::MethodRefused),
            (method("CONNECT"), Cause::MethodRefused),
            (method("BREW"), Cause::MethodUnknown),
            (TestRequest::get().uri("ftp://localhost/a"), Cause::Target),
        ] {
            assert_eq!(refusal(request), Some(cause));
        }
        let nameless = TestRequest::get().to_srv_request();
        assert_eq!(Limits { head: 1024, body: 1 }.refusal(&nameless, &exchange(None)), Some(Cause::Host));
    }
}
