//! Which other sites may read responses: CORS, as the Fetch standard has it (section 3.2).

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody};
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode};

use super::vary;
use crate::config::edge::Cors;
use crate::error::Cause;
use crate::router::body::Headless;

/// What a path allows the site that asks.
#[derive(Debug, Clone, Copy)]
pub struct Grant<'a> {
    rule: &'a Cors,
    /// The site, if it may.
    origin: Option<&'a HeaderValue>,
}

impl<'a> Grant<'a> {
    /// What this path allows the request with these fields.
    pub fn of(rule: &'a Cors, headers: &'a HeaderMap) -> Self {
        let origin = headers.get(header::ORIGIN);
        let may = |origin: &&HeaderValue| {
            rule.origins.is_empty()
                || rule.origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes())
        };
        Self { rule, origin: origin.filter(may) }
    }

    /// The fields of responses, to be added once there is one.
    pub fn fields(self) -> Fields {
        let any = self.rule.origins.is_empty();
        let star = HeaderValue::from_static("*");
        Fields {
            origin: self.origin.map(|origin| if any { star } else { origin.clone() }),
            varies: !any,
            credentials: self.rule.credentials,
            expose: self.rule.expose.clone(),
        }
    }

    /// The answer, if the request is a preflight.
    pub fn preflight(self, method: &Method, headers: &HeaderMap) -> Option<HttpResponse> {
        let is_preflight = *method == Method::OPTIONS
            && headers.contains_key(header::ORIGIN)
            && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if !is_preflight {
            return None;
        }
        if self.origin.is_none() {
            return Some(Cause::CrossSite.response(headers));
        }
        let rule = self.rule;
        let mut response =
            HttpResponse::with_body(StatusCode::NO_CONTENT, BoxBody::new(Headless(BodySize::None)));
        let fields = response.headers_mut();
        fields.insert(header::ACCESS_CONTROL_ALLOW_METHODS, rule.methods.clone());
        let asked = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
        if let Some(allowed) = rule.headers.as_ref().or(asked) {
            fields.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed.clone());
        }
        fields.insert(header::ACCESS_CONTROL_MAX_AGE, rule.max_age.clone());
        if rule.headers.is_none() {
            vary::on(fields, vary::REQUESTED_FIELDS);
        }
        Some(response)
    }
}

/// The fields of responses to a site.
#[derive(Debug)]
pub struct Fields {
    origin: Option<HeaderValue>,
    varies: bool,
    credentials: bool,
    expose: Option<HeaderValue>,
}

impl Fields {
    /// Adds them, unless the app has decided for itself.
    pub fn add_to(self, headers: &mut HeaderMap) {
        if headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
            return;
        }
        if self.varies {
            vary::on(headers, vary::ORIGIN);
        }
        let Some(origin) = self.origin else { return };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.credentials {
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        if let Some(expose) = self.expose {
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, expose);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(origins: &[&str]) -> Cors {
        Cors {
            origins: origins.iter().map(ToString::to_string).collect(),
            methods: HeaderValue::from_static("GET, PUT"),
            headers: None,
            expose: Some(HeaderValue::from_static("x-total")),
            credentials: !origins.is_empty(),
            max_age: HeaderValue::from_static("600"),
        }
    }

    fn asking(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.insert(name.parse().unwrap(), HeaderValue::from_static(value));
        }
        headers
    }

    fn field(headers: &HeaderMap, name: &str) -> String {
        headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned()
    }

    #[test]
    fn a_site_that_may_is_named() {
        let (rule, asked) = (rule(&["https://a.example"]), asking(&[("origin", "https://a.example")]));
        let mut headers = HeaderMap::new();
        Grant::of(&rule, &asked).fields().add_to(&mut headers);
        assert_eq!(field(&headers, "access-control-allow-origin"), "https://a.example");
        assert_eq!(field(&headers, "access-control-allow-credentials"), "true");
        assert_eq!(field(&headers, "access-control-expose-headers"), "x-total");
        assert_eq!(field(&headers, "vary"), "origin");
    }

    #[test]
    fn others_are_not_and_caches_know() {
        let (rule, asked) = (rule(&["https://a.example"]), asking(&[("origin", "https://b.example")]));
        let mut headers = HeaderMap::new();
        Grant::of(&rule, &asked).fields().add_to(&mut headers);
        assert!(!headers.contains_key("access-control-allow-origin"));
        assert_eq!(field(&headers, "vary"), "origin");
    }

    #[test]
    fn everybody_is_a_star_without_cookies_and_the_app_decides_first() {
        let (rule, asked) = (rule(&[]), asking(&[("origin", "https://b.example")]));
        let mut headers = HeaderMap::new();
        Grant::of(&rule, &asked).fields().add_to(&mut headers);
        assert_eq!(field(&headers, "access-control-allow-origin"), "*");
        assert!(!headers.contains_key("access-control-allow-credentials") && !headers.contains_key("vary"));
        let mut own = asking(&[("access-control-allow-origin", "https://c.example")]);
        Grant::of(&rule, &asked).fields().add_to(&mut own);
        assert_eq!(field(&own, "access-control-allow-origin"), "https://c.example");
    }

    #[test]
    fn a_preflight_is_answered_and_nothing_else_is() {
        let rule = rule(&["https://a.example"]);
        let asked = asking(&[
            ("origin", "https://a.example"),
            ("access-control-request-method", "PUT"),
            ("access-control-request-headers", "x-own"),
        ]);
        let answer = Grant::of(&rule, &asked).preflight(&Method::OPTIONS, &asked).unwrap();
        assert_eq!(answer.status(), 204);
        assert_eq!(field(answer.headers(), "access-control-allow-methods"), "GET, PUT");
        assert_eq!(field(answer.headers(), "access-control-allow-headers"), "x-own");
        assert!(Grant::of(&rule, &asked).preflight(&Method::GET, &asked).is_none());
        let plain = asking(&[("origin", "https://a.example")]);
        assert!(Grant::of(&rule, &plain).preflight(&Method::OPTIONS, &plain).is_none());
        let foreign = asking(&[("origin", "https://b.example"), ("access-control-request-method", "PUT")]);
        assert_eq!(Grant::of(&rule, &foreign).preflight(&Method::OPTIONS, &foreign).unwrap().status(), 403);
    }
}
