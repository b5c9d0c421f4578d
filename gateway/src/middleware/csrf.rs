//! Requests that another site causes. Pure.
//!
//! The rule is that of TanStack Start's own CSRF middleware: `Sec-Fetch-Site` decides where there is one, else
//! `Origin`, else `Referer`. A request with none of them comes from no page of a browser of today. Start refuses it
//! for server functions and lets server routes decide; the gateway leaves that to the app unless told otherwise.

use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::exchange::Exchange;
use crate::config::edge::{Cors, Csrf};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a request is to be refused. `cors` is what the path allows other sites.
pub fn refuses(
    rules: &Csrf,
    method: &Method,
    headers: &HeaderMap,
    path: &str,
    exchange: &Exchange,
    cors: Option<&Cors>,
) -> bool {
    let is_safe = *method == Method::GET || *method == Method::HEAD || *method == Method::OPTIONS;
    !is_safe && is_foreign(rules, origin(headers, exchange), rules.refuse_unknown, path, cors)
}

/// Whether a call of a server function that passes the app by is to be refused, whatever its method. Start's own middleware
/// looks at those more closely, and nobody asks the app here: a call without any of the headers is refused, and so is one
/// that the visitor typed (`createCsrfMiddleware.ts` of `@tanstack/start-client-core`, its defaults).
pub fn refuses_function(
    rules: &Csrf,
    headers: &HeaderMap,
    path: &str,
    exchange: &Exchange,
    cors: Option<&Cors>,
) -> bool {
    let is_typed = headers.get(SEC_FETCH_SITE).is_some_and(|site| site == "none");
    let from = if is_typed { From::Unknown } else { origin(headers, exchange) };
    is_foreign(rules, from, true, path, cors)
}

fn is_foreign(rules: &Csrf, from: From<'_>, refuse_unknown: bool, path: &str, cors: Option<&Cors>) -> bool {
    let is_foreign = match from {
        From::Here => return false,
        From::Unknown => refuse_unknown,
        From::Elsewhere(origin) => {
            let trusted = |origin| {
                rules.trusted.iter().any(|trusted| trusted == origin)
                    || cors.is_some_and(|cors| cors.origins.iter().any(|allowed| allowed == origin))
            };
            !origin.is_some_and(trusted)
        }
    };
    rules.enabled && is_foreign && rules.exempt.find(path).is_none()
}

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From<'a> {
    Here,
    /// Another origin, if it says which.
    Elsewhere(Option<&'a str>),
    Unknown,
}

fn origin<'a>(headers: &'a HeaderMap, exchange: &Exchange) -> From<'a> {
    let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or(""));
    let origin = text(header::ORIGIN);
    match text(SEC_FETCH_SITE) {
        // "none": the visitor typed the address or opened a bookmark.
        Some("same-origin" | "none") => return From::Here,
        Some(_) => return From::Elsewhere(origin),
        None => {}
    }
    if let Some(origin) = origin {
        return if is_own(origin, exchange) { From::Here } else { From::Elsewhere(Some(origin)) };
    }
    match text(header::REFERER) {
        None => From::Unknown,
        Some(referer) => {
            let host = referer.find("://").map_or(0, |at| at + 3);
            let end = referer[host..].find(['/', '?', '#']).map_or(referer.len(), |at| host + at);
            let origin = &referer[..end];
            if is_own(origin, exchange) { From::Here } else { From::Elsewhere(Some(origin)) }
        }
    }
}

/// Whether an origin is this site's. Where the own scheme is not known to be `https`, a proxy in front may still
/// speak it: then the host alone decides.
fn is_own(origin: &str, exchange: &Exchange) -> bool {
    let host = match origin.split_once("://") {
        Some(("https", host)) => host,
        Some(("http", host)) if !exchange.is_secure => host,
        _ => return false,
    };
    !host.is_empty() && host.eq_ignore_ascii_case(exchange.host())
}

#[cfg(test)]
mod tests {
    use shared::route::{Pattern, Policy, TreeBuilder};

    use super::*;
    use crate::middleware::exchange::RequestId;

    fn refused_by(
        rules: &Csrf,
        method: &Method,
        secure: bool,
        fields: &[(&'static str, &'static str)],
    ) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.insert(name.parse().unwrap(), HeaderValue::from_static(value));
        }
        let host = Some(HeaderValue::from_static("example.com:8080"));
        let exchange = Exchange::new(RequestId::fresh(), [127, 0, 0, 1].into(), secure, host, None);
        refuses(rules, method, &headers, "/hooks/pay", &exchange, None)
    }

    fn rules() -> Csrf {
        let exempt = TreeBuilder::new(Policy::default()).build();
        Csrf { enabled: true, refuse_unknown: false, trusted: vec!["https://app.example".into()], exempt }
    }

    fn refused(fields: &[(&'static str, &'static str)]) -> bool {
        refused_by(&rules(), &Method::POST, false, fields)
    }

    #[test]
    fn the_own_pages_and_programs_may() {
        for fields in [
            &[][..],
            &[("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "same-origin"), ("origin", "https://elsewhere.example")],
            &[("sec-fetch-site", "none")],
            &[("origin", "http://example.com:8080")],
            &[("origin", "https://EXAMPLE.com:8080")],
            &[("referer", "http://example.com:8080/page?a=b")],
            &[("referer", "http://example.com:8080")],
            &[("sec-fetch-site", "cross-site"), ("origin", "https://app.example")],
            &[("origin", "https://app.example")],
        ] {
            assert!(!refused(fields), "{fields:?}");
        }
    }

    #[test]
    fn other_sites_may_not() {
        for fields in [
            &[("sec-fetch-site", "cross-site")][..],
            &[("sec-fetch-site", "same-site"), ("origin", "https://other.example.com")],
            &[("sec-fetch-site", "cross-site"), ("origin", "http://example.com:8080")],
            &[("sec-fetch-site", "whatever")],
            &[("origin", "null")],
            &[("origin", "http://example.com")],
            &[("origin", "http://example.com:8080.evil.example")],
            &[("referer", "http://evil.example/?http://example.com:8080")],
            &[("referer", "http://example.com:8080@evil.example/")],
        ] {
            assert!(refused(fields), "{fields:?}");
        }
        assert!(refused_by(&rules(), &Method::POST, true, &[("origin", "http://example.com:8080")]));
    }

    #[test]
    fn a_function_that_passes_the_app_by_is_called_by_its_own_pages_alone() {
        let refused = |rules: &Csrf, fields: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.insert(name.parse().unwrap(), HeaderValue::from_static(value));
            }
            let host = Some(HeaderValue::from_static("example.com:8080"));
            let exchange = Exchange::new(RequestId::fresh(), [127, 0, 0, 1].into(), false, host, None);
            refuses_function(rules, &headers, "/_serverFn/a", &exchange, None)
        };
        for (fields, expected) in [
            (&[("sec-fetch-site", "same-origin")][..], false),
            (&[("origin", "http://example.com:8080")], false),
            (&[("referer", "http://example.com:8080/page")], false),
            (&[("origin", "https://app.example")], false),
            (&[], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("sec-fetch-site", "cross-site")], true),
            (&[("origin", "https://elsewhere.example")], true),
        ] {
            assert_eq!(refused(&rules(), fields), expected, "{fields:?}");
            assert!(!refused(&Csrf { enabled: false, ..rules() }, fields));
        }
    }

    #[test]
    fn safe_verbs_stay_open_and_the_rest_is_configured() {
        let foreign = [("sec-fetch-site", "cross-site")];
        for (method, expected) in [
            (Method::GET, false),
            (Method::HEAD, false),
            (Method::OPTIONS, false),
            (Method::PUT, true),
            (Method::PATCH, true),
            (Method::DELETE, true),
        ] {
            assert_eq!(refused_by(&rules(), &method, false, &foreign), expected, "{method}");
        }
        assert!(refused_by(&Csrf { refuse_unknown: true, ..rules() }, &Method::POST, false, &[]));
        assert!(!refused_by(&Csrf { enabled: false, ..rules() }, &Method::POST, false, &foreign));
        let mut exempt = TreeBuilder::new(Policy::default());
        exempt.insert(Pattern::parse("/hooks/$").unwrap(), ()).unwrap();
        assert!(!refused_by(&Csrf { exempt: exempt.build(), ..rules() }, &Method::POST, false, &foreign));
    }
}
