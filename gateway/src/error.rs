//! One table from cause to status. Every answer that the gateway gives instead of the app is made here.

use std::cell::RefCell;
use std::mem::Discriminant;

use actix_web::HttpResponse;
use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use bytes::Bytes;

use crate::router::body::Cut;
use crate::router::path::PathError;

/// Why the gateway answers a request itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The path could be read in two ways.
    Path(PathError),
    /// The target is none of this server: an unknown scheme, or no path.
    Target,
    /// The host is missing, ambiguous or no host.
    Host,
    /// The head is none: a request line or a field that cannot be read.
    HeadMalformed,
    /// The length of the body is given twice, in two ways, or as no number.
    BodyLength,
    /// A version of HTTP that this server does not speak.
    Version,
    /// The head exceeds its limit.
    HeadTooLarge,
    /// The head took too long.
    HeadSlow,
    /// The client has as many connections as it may have.
    TooManyConnections,
    /// A method that this server knows and does not serve.
    MethodRefused,
    /// A method that this server does not know.
    MethodUnknown,
    /// The body exceeds its limit.
    BodyTooLarge,
    /// The body broke off.
    BodyBroken,
    /// The body paused for too long.
    BodySlow,
    /// Another site tries to change state.
    CrossSite,
    /// The client's address is not let in.
    AddressDenied,
    /// The site is closed.
    Maintenance,
    /// The path asks for a name and a password.
    Unauthorized,
    /// The client asks too often.
    RateLimited,
    /// The body is not of the type that is needed.
    MediaType,
    /// No native function can have this name.
    NoFunction,
    /// Native functions are called by POST.
    NativeMethod,
    /// No fn worker is ready.
    NoWorker,
    /// The fn workers have as many calls as they may.
    WorkersBusy,
    /// The fn worker was lost.
    WorkerLost,
    /// The fn worker took too long.
    WorkerTimeout,
    /// The queue in front of the isolates is full.
    QueueFull,
    /// No isolate would become free in time.
    WouldWait,
    /// More important requests wait.
    Shed,
    /// As many requests of this route run as may.
    RouteBusy,
    /// This route has failed again and again and is given a rest, for so many seconds yet.
    RouteResting(u32),
    /// No isolate became free in time.
    QueueTimeout,
    /// The gateway is about to stop.
    Draining,
    /// No isolate is ready.
    NoIsolate,
    /// The isolate was lost.
    IsolateLost,
    /// The isolate broke the rules of the wire.
    Protocol,
    /// The app threw.
    Threw,
    /// The app left the request to the gateway, which has nothing there.
    Skipped,
    /// The app left the request to the gateway, which has a file there, and files are only read.
    SkippedFile,
    /// The app wants no answer to be sent: the connection, or the stream, is cut.
    Dropped,
    /// The app ran too long without a pause.
    TurnLimit,
    /// The app filled its isolate's heap.
    HeapLimit,
    /// The app's response cannot be sent.
    BadResponse,
    /// The app took too long.
    Timeout,
    /// A static file changed on disk after the start.
    FileChanged,
    /// More rewrites than a request may have.
    RewriteChain,
    /// A fault of the gateway.
    Panic,
}

/// A cause's row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The status.
    pub status: u16,
    /// The `reason` label of metrics and log.
    pub reason: &'static str,
    /// What the client may know.
    pub message: &'static str,
    /// Seconds until another attempt makes sense.
    pub retry_after: Option<u32>,
    /// Whether the connection ends: its stream may hold bytes that nobody will read.
    pub closes: bool,
}

impl Row {
    fn status(self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

const fn row(status: u16, reason: &'static str, message: &'static str) -> Row {
    Row { status, reason, message, retry_after: None, closes: false }
}

const fn busy(reason: &'static str, message: &'static str) -> Row {
    Row { retry_after: Some(1), ..row(503, reason, message) }
}

const fn closing(status: u16, reason: &'static str, message: &'static str) -> Row {
    Row { closes: true, ..row(status, reason, message) }
}

impl Cause {
    /// The table.
    pub const fn row(self) -> Row {
        match self {
            Self::Path(_) => row(400, "path", "The path of this request is ambiguous."),
            Self::Target => closing(400, "target", "The target of this request is not one of this server."),
            Self::Host => closing(400, "host", "The host of this request is missing or not a host."),
            Self::HeadMalformed => closing(400, "head_malformed", "The head of this request cannot be read."),
            Self::BodyLength => {
                closing(400, "body_length", "The length of this request's body is ambiguous.")
            }
            Self::Version => closing(505, "version", "This version of HTTP is not spoken here."),
            Self::HeadSlow => closing(408, "head_slow", "The head of this request took too long."),
            Self::TooManyConnections => Row {
                retry_after: Some(1),
                ..closing(429, "connections_per_ip", "This address has too many connections.")
            },
            Self::HeadTooLarge => closing(431, "head_too_large", "The head of this request is too large."),
            Self::MethodRefused => closing(405, "method", "This method is not served."),
            Self::MethodUnknown => closing(501, "method", "This method is not known."),
            Self::BodyTooLarge => closing(413, "body_too_large", "The body of this request is too large."),
            Self::BodyBroken => closing(400, "body_broken", "The body of this request is not complete."),
            Self::BodySlow => closing(408, "body_slow", "The body of this request took too long."),
            Self::CrossSite => row(403, "cross_site", "Another site may not do this."),
            Self::AddressDenied => row(403, "address", "Requests from this address are not answered."),
            Self::Maintenance => row(503, "maintenance", "The site is closed for maintenance."),
            Self::Unauthorized => row(401, "basic_auth", "A name and a password are needed."),
            Self::RateLimited => row(429, "rate_limited", "Too many requests."),
            Self::MediaType => row(415, "media_type", "The body must be application/json."),
            Self::NoFunction => row(404, "no_function", "There is no such function."),
            Self::NativeMethod => row(405, "native_method", "Call functions by POST."),
            Self::NoWorker => busy("no_worker", "The server is not ready."),
            Self::WorkersBusy => busy("workers_busy", "The server is busy."),
            Self::WorkerLost => row(502, "worker_lost", "The function did not answer."),
            Self::WorkerTimeout => row(504, "worker_timeout", "The function took too long."),
            Self::QueueFull => busy("queue_full", "The server is busy."),
            Self::WouldWait => busy("would_wait", "The server is busy."),
            Self::Shed => busy("shed", "The server is busy."),
            Self::RouteBusy => busy("route_busy", "This page is asked for by too many."),
            Self::RouteResting(seconds) => {
                Row { retry_after: Some(seconds), ..busy("route_resting", "This page fails at the moment.") }
            }
            Self::QueueTimeout => busy("queue_timeout", "The server is busy."),
            Self::Draining => busy("draining", "The server is about to stop."),
            Self::NoIsolate => busy("no_isolate", "The server is not ready."),
            Self::IsolateLost => row(502, "isolate_lost", "The app did not answer."),
            Self::Protocol => row(502, "protocol", "The app did not answer."),
            Self::Threw => row(500, "threw", "The app failed."),
            Self::Skipped => row(404, "skipped", "There is nothing here."),
            Self::SkippedFile => row(405, "skipped", "This file can only be read."),
            // The number that nginx gives to a connection closed without an answer; no client sees it.
            Self::Dropped => closing(444, "dropped", ""),
            Self::TurnLimit => row(500, "turn_limit", "The app failed."),
            Self::HeapLimit => row(500, "heap_limit", "The app failed."),
            Self::BadResponse => row(500, "bad_response", "The app failed."),
            Self::Timeout => row(504, "timeout", "The app took too long."),
            Self::FileChanged => row(500, "file_changed", "This file changed while the server was running."),
            Self::RewriteChain => row(508, "rewrite_chain", "The path of this request leads nowhere."),
            Self::Panic => row(500, "panic", "The server failed."),
        }
    }

    /// The reason to count as a refusal, for what is refused here; admission counts its own.
    pub const fn refusal(self) -> Option<&'static str> {
        let row = self.row();
        let is_ours = matches!(
            self,
            Self::MethodUnknown
                | Self::Maintenance
                | Self::Version
                | Self::RouteBusy
                | Self::RouteResting(_)
                | Self::RewriteChain
                | Self::Panic
        );
        if row.status < 500 || is_ours { Some(row.reason) } else { None }
    }

    /// Whether somebody is turned away for the sake of others: there may be thousands in a second, and each is answered as
    /// it should be.
    pub const fn turns_away(self) -> bool {
        matches!(
            self,
            Self::QueueFull
                | Self::WouldWait
                | Self::Shed
                | Self::QueueTimeout
                | Self::Draining
                | Self::NoIsolate
                | Self::RouteBusy
                | Self::RouteResting(_)
                | Self::RateLimited
                | Self::AddressDenied
                | Self::Maintenance
                | Self::NoWorker
                | Self::WorkersBusy
        )
    }

    /// The response, in the form that `request` accepts: HTML, JSON or plain text.
    pub fn response(self, request: &HeaderMap) -> HttpResponse {
        self.respond(Form::wanted(request))
    }

    /// The response as JSON, whatever the request accepts.
    pub fn json(self) -> HttpResponse {
        self.respond(Form::Json)
    }

    /// The whole response as bytes of HTTP/1.1, for connections that end before a request was understood. `accept` is
    /// the value of that field, as far as it is known.
    pub fn raw(self, accept: &[u8]) -> Vec<u8> {
        let row = self.row();
        let status = row.status();
        let (content_type, body) = Form::named(accept).body(status, row.message);
        let retry_after = row.retry_after.map_or(String::new(), |after| format!("retry-after: {after}\r\n"));
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\ncache-control: no-store\r\n\
             x-content-type-options: nosniff\r\n{retry_after}connection: close\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }

    /// As [`Self::response`], for one whose exchange knows the cause already: one of thousands in a second.
    pub fn refused(self, request: &HeaderMap) -> HttpResponse {
        let form = Form::wanted(request);
        let (content_type, body) = self.kept_body(form);
        self.headed(content_type, BoxBody::new(body))
    }

    /// The body in this form, made once for each thread: there are as many as there are causes and forms.
    fn kept_body(self, form: Form) -> (&'static str, Bytes) {
        thread_local! {
            static KEPT: RefCell<Vec<KeptBody>> = const { RefCell::new(Vec::new()) };
        }
        KEPT.with_borrow_mut(|kept| {
            // What a cause holds, such as seconds, is not in the body.
            let kind = std::mem::discriminant(&self);
            let known = kept.iter().find(|(known, known_form, ..)| (*known, *known_form) == (kind, form));
            if let Some((.., content_type, body)) = known {
                return (*content_type, body.clone());
            }
            let row = self.row();
            let (content_type, body) = form.body(row.status(), row.message);
            let body = Bytes::from(body);
            kept.push((kind, form, content_type, body.clone()));
            (content_type, body)
        })
    }

    fn respond(self, form: Form) -> HttpResponse {
        let row = self.row();
        let (content_type, body) = form.body(row.status(), row.message);
        let body =
            if matches!(self, Self::Dropped) { BoxBody::new(Cut) } else { BoxBody::new(Bytes::from(body)) };
        let mut response = self.headed(content_type, body);
        response.extensions_mut().insert(self);
        response
    }

    /// A response with the fields of its cause.
    fn headed(self, content_type: &'static str, body: BoxBody) -> HttpResponse {
        let row = self.row();
        let status = row.status();
        let mut response = HttpResponse::with_body(status, body);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(seconds) = row.retry_after {
            headers.insert(
                header::RETRY_AFTER,
                if seconds == 1 { HeaderValue::from_static("1") } else { HeaderValue::from(seconds) },
            );
        }
        let allowed = match self {
            Self::MethodRefused => Some(SERVED_METHODS),
            Self::NativeMethod => Some("POST"),
            Self::SkippedFile => Some("GET, HEAD"),
            _ => None,
        };
        if let Some(methods) = allowed {
            headers.insert(header::ALLOW, HeaderValue::from_static(methods));
        }
        if row.closes {
            response.head_mut().set_connection_type(actix_web::http::ConnectionType::Close);
        }
        response
    }
}

/// The body of a kind of cause in a form, with its type.
type KeptBody = (Discriminant<Cause>, Form, &'static str, Bytes);

/// The methods that reach the app.
pub const SERVED_METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// In which form a client wants to read what went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Html,
    Json,
    Text,
}

impl Form {
    fn wanted(request: &HeaderMap) -> Self {
        Self::named(request.get(header::ACCEPT).map_or(&b""[..], HeaderValue::as_bytes))
    }

    /// The first that the client names; a machine names none.
    fn named(accept: &[u8]) -> Self {
        let position = |wanted: &[u8]| accept.windows(wanted.len()).position(|part| part == wanted);
        match (position(b"text/html"), position(b"application/json")) {
            (Some(html), Some(json)) if json < html => Self::Json,
            (Some(_), _) => Self::Html,
            (None, Some(_)) => Self::Json,
            (None, None) => Self::Text,
        }
    }

    /// Messages are constants of this file: nothing in them needs escaping.
    fn body(self, status: StatusCode, message: &'static str) -> (&'static str, String) {
        let status = status.as_str();
        match self {
            Self::Html => (
                "text/html; charset=utf-8",
                [
                    "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>",
                    status,
                    "</title><h1>",
                    status,
                    "</h1><p>",
                    message,
                    "</p></html>\n",
                ]
                .concat(),
            ),
            Self::Json => ("application/json", ["{\"error\":\"", message, "\"}\n"].concat()),
            Self::Text => ("text/plain; charset=utf-8", [status, " ", message, "\n"].concat()),
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;

    use super::*;

    fn accepting(accept: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_str(accept).unwrap());
        headers
    }

    #[test]
    fn the_form_follows_accept() {
        for (accept, form) in [
            ("text/html,application/xhtml+xml,*/*;q=0.8", Form::Html),
            ("application/json, text/html;q=0.1", Form::Json),
            ("application/json", Form::Json),
            ("*/*", Form::Text),
        ] {
            assert_eq!(Form::wanted(&accepting(accept)), form, "{accept}");
        }
        assert_eq!(Form::wanted(&HeaderMap::new()), Form::Text);
    }

    #[actix_web::test]
    async fn a_busy_server_says_when_to_come_back() {
        for cause in [Cause::QueueFull, Cause::QueueTimeout, Cause::Draining, Cause::NoIsolate] {
            let response = cause.response(&accepting("application/json"));
            assert_eq!(response.status(), 503);
            assert_eq!(response.headers().get(header::RETRY_AFTER).unwrap(), "1");
            let body = to_bytes(response.into_body()).await.unwrap();
            assert!(serde_json::from_slice::<serde_json::Value>(&body).unwrap()["error"].is_string());
        }
    }

    #[actix_web::test]
    async fn a_refusal_is_the_same_answer_each_time() {
        for accept in ["text/html", "application/json", "*/*"] {
            for cause in [Cause::WouldWait, Cause::RouteResting(7), Cause::WouldWait] {
                let (kept, made) = (cause.refused(&accepting(accept)), cause.response(&accepting(accept)));
                assert_eq!(kept.status(), made.status());
                let fields = |response: &HttpResponse| {
                    let fields = response.headers().iter();
                    let mut fields: Vec<_> =
                        fields.map(|(name, value)| format!("{name}: {value:?}")).collect();
                    fields.sort();
                    fields
                };
                assert_eq!(fields(&kept), fields(&made));
                let (kept, made) = (to_bytes(kept.into_body()).await, to_bytes(made.into_body()).await);
                assert_eq!(kept.unwrap(), made.unwrap());
            }
        }
    }

    #[test]
    fn an_answer_without_a_request_is_whole() {
        let answer = String::from_utf8(Cause::HeadSlow.raw(b"application/json")).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with("HTTP/1.1 408 Request Timeout\r\ncontent-type: application/json\r\n"),
            "{head}"
        );
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{head}");
        assert!(head.ends_with("connection: close"), "{head}");
    }

    #[test]
    fn a_refused_method_is_told_which_are_served() {
        assert_eq!(Cause::NativeMethod.json().headers().get(header::ALLOW).unwrap(), "POST");
        assert!(Cause::MethodRefused.json().headers().get(header::ALLOW).is_some());
        assert!(Cause::Timeout.json().headers().get(header::ALLOW).is_none());
    }
}
