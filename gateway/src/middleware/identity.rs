//! Who asks, for what host, under which request id, in which trace: the outermost layer. It makes the [`Exchange`].

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr};

use actix_web::dev::ServiceRequest;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

use super::exchange::{Exchange, RequestId};
use super::trace_context::{TRACERESPONSE, Trace, TraceSettings};
use super::{forwarded, host};
use crate::config::settings::ForwardedStyle;
use crate::server::connection::ConnectionState;

/// Names a request for its client and for all processes.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Whose word is taken on what.
#[derive(Debug)]
pub struct Identity {
    trusted: Vec<IpNet>,
    style: ForwardedStyle,
    traces: TraceSettings,
    /// The host of requests that may name none (HTTP/1.0): the address that the gateway listens on.
    own_host: HeaderValue,
    /// The last one that was found to be a host: most requests name the same.
    known_host: RefCell<HeaderValue>,
}

impl Identity {
    /// Takes the word of `trusted` in headers of this `style`, and on `traces` as they say; requests of HTTP/1.0 without a
    /// host are for `own_host`.
    pub fn new(
        trusted: Vec<IpNet>,
        style: ForwardedStyle,
        traces: TraceSettings,
        own_host: HeaderValue,
    ) -> Self {
        let known_host = RefCell::new(own_host.clone());
        Self { trusted, style, traces, own_host, known_host }
    }

    /// The exchange of a request that has just come.
    pub fn exchange(&self, request: &ServiceRequest) -> Exchange {
        let connection = ConnectionState::of(request);
        let peer =
            request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip()).to_canonical();
        let is_encrypted = connection.as_ref().is_some_and(|connection| connection.is_secure());
        let named = self.named_host(request);
        let headers = request.headers();
        let is_trusted = forwarded::is_trusted(peer, &self.trusted);
        let trace = Trace::of(self.traces, headers, is_trusted);
        if !is_trusted {
            let exchange = Exchange::new(RequestId::fresh(), peer, is_encrypted, named, None);
            return exchange.within(trace).over(connection);
        }
        let id = headers.get(&REQUEST_ID).and_then(|id| RequestId::given(id.as_bytes()));
        let client = forwarded::read(headers, self.style, peer, &self.trusted);
        let host = match client.host {
            Some(host) if host::is_host(host.as_bytes()) => HeaderValue::from_str(host).ok(),
            // A trusted proxy that passes nonsense on passes a client's nonsense on.
            Some(_) => None,
            None => named,
        };
        let is_secure = client.is_secure.unwrap_or(is_encrypted);
        let id = id.unwrap_or_else(RequestId::fresh);
        Exchange::new(id, client.ip, is_secure, host, Some(self.style)).within(trace).over(connection)
    }

    /// Adds the request id to a response, and the trace where that is wanted.
    pub fn tell(&self, exchange: &Exchange, headers: &mut HeaderMap) {
        if let Ok(id) = HeaderValue::from_bytes(exchange.id.as_bytes()) {
            headers.insert(REQUEST_ID, id);
        }
        if let Some(trace) = exchange.trace.filter(|_| self.traces.in_response) {
            headers.insert(TRACERESPONSE, trace.to_header());
        }
    }

    fn is_host(&self, field: &HeaderValue) -> bool {
        if *self.known_host.borrow() == *field {
            return true;
        }
        let is_one = host::is_host(field.as_bytes());
        if is_one {
            self.known_host.replace(field.clone());
        }
        is_one
    }

    /// The host that the request itself names: that of an absolute target wins (RFC 9112 section 3.2.2).
    fn named_host(&self, request: &ServiceRequest) -> Option<HeaderValue> {
        let mut fields = request.headers().get_all(header::HOST);
        let (field, second) = (fields.next(), fields.next());
        if second.is_some() || field.is_some_and(|field| !self.is_host(field)) {
            return None;
        }
        if let Some(authority) = request.uri().authority() {
            let text = authority.as_str();
            return host::is_host(text.as_bytes()).then(|| HeaderValue::from_str(text).ok()).flatten();
        }
        match field {
            Some(field) => Some(field.clone()),
            None if request.version() < actix_web::http::Version::HTTP_11 => Some(self.own_host.clone()),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::Version;
    use actix_web::test::TestRequest;

    use super::*;
    use crate::middleware::trace_context::TraceTrust;

    fn exchange(request: TestRequest) -> Exchange {
        let own = HeaderValue::from_static("127.0.0.1:3000");
        let traces = TraceSettings { trust: TraceTrust::Trusted, sampled_percent: 100, in_response: false };
        let trusted = vec!["10.0.0.0/8".parse().unwrap()];
        let identity = Identity::new(trusted, ForwardedStyle::XForwarded, traces, own);
        identity.exchange(&request.to_srv_request())
    }

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn from(peer: &str) -> TestRequest {
        TestRequest::get().peer_addr(format!("{peer}:5000").parse().unwrap())
    }

    #[test]
    fn a_stranger_is_not_believed() {
        let exchange = exchange(
            from("203.0.113.9")
                .insert_header(("host", "example.com"))
                .insert_header(("x-forwarded-for", "1.2.3.4"))
                .insert_header(("x-forwarded-proto", "https"))
                .insert_header(("x-forwarded-host", "evil.example"))
                .insert_header(("traceparent", PARENT))
                .insert_header(("x-request-id", "mine")),
        );
        assert!(exchange.trace.unwrap().parent().is_none(), "a trace of its own");
        assert_eq!(exchange.client_ip.to_string(), "203.0.113.9");
        assert_eq!((exchange.scheme(), exchange.host()), ("http", "example.com"));
        assert_ne!(exchange.id.as_str(), "mine");
        assert_eq!(exchange.believed, None);
    }

    #[test]
    fn a_trusted_proxy_is_believed() {
        let exchange = exchange(
            from("10.1.2.3")
                .insert_header(("host", "inner:8080"))
                .insert_header(("x-forwarded-for", "1.2.3.4"))
                .insert_header(("x-forwarded-proto", "https"))
                .insert_header(("x-forwarded-host", "example.com"))
                .insert_header(("traceparent", PARENT))
                .insert_header(("x-request-id", "abc-1")),
        );
        assert_eq!(exchange.trace.unwrap().id().to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(exchange.client_ip.to_string(), "1.2.3.4");
        assert_eq!((exchange.scheme(), exchange.host()), ("https", "example.com"));
        assert_eq!(exchange.id.as_str(), "abc-1");
    }

    #[test]
    fn an_absolute_target_names_the_host() {
        let request =
            from("203.0.113.9").uri("http://target.example/a").insert_header(("host", "other.example"));
        assert_eq!(exchange(request).host(), "target.example");
    }

    #[test]
    fn no_host_or_a_bad_one_is_none() {
        assert_eq!(exchange(from("203.0.113.9")).host, None);
        for bad in ["user@example.com", "a b", "example.com:99999", ""] {
            assert_eq!(exchange(from("203.0.113.9").insert_header(("host", bad))).host, None, "{bad}");
        }
        let twice = from("203.0.113.9").append_header(("host", "a")).append_header(("host", "b"));
        assert_eq!(exchange(twice).host, None);
        let bad_forwarded =
            from("10.0.0.1").insert_header(("host", "a")).insert_header(("x-forwarded-host", "a b"));
        assert_eq!(exchange(bad_forwarded).host, None);
    }

    #[test]
    fn http_1_0_may_name_no_host() {
        assert_eq!(exchange(from("203.0.113.9").version(Version::HTTP_10)).host(), "127.0.0.1:3000");
    }
}
