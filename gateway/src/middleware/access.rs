//! Who may come in: addresses, a closed site, names and passwords. Pure.

use std::net::IpAddr;

use actix_web::HttpResponse;
use actix_web::body::BoxBody;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::edge::{Access, BasicAuth, Maintenance};
use crate::error::Cause;

/// The answer to an address that may not come in.
pub fn denied(access: &Access, client: IpAddr, headers: &HeaderMap) -> Option<HttpResponse> {
    is_shut_out(access, client).then(|| Cause::AddressDenied.response(headers))
}

/// The answer to who may not come in while the site is closed, or without a password.
pub fn refusal(access: &Access, client: IpAddr, path: &str, headers: &HeaderMap) -> Option<HttpResponse> {
    let maintenance = &access.maintenance;
    if maintenance.is_closed() && !within(client, &maintenance.allow) {
        return Some(closed(maintenance, headers));
    }
    locked(access, path, headers)
}

/// The answer to who does not have the password that a path asks for.
pub fn locked(access: &Access, path: &str, headers: &HeaderMap) -> Option<HttpResponse> {
    let door = access.basic_auth.find(path)?.value;
    if may_enter(door, headers) {
        return None;
    }
    let mut response = Cause::Unauthorized.response(headers);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, door.challenge.clone());
    Some(response)
}

fn within(client: IpAddr, networks: &[IpNet]) -> bool {
    networks.iter().any(|network| network.contains(&client))
}

fn is_shut_out(access: &Access, client: IpAddr) -> bool {
    within(client, &access.deny) || (!access.allow.is_empty() && !within(client, &access.allow))
}

fn closed(maintenance: &Maintenance, headers: &HeaderMap) -> HttpResponse {
    let mut response = Cause::Maintenance.response(headers);
    response.headers_mut().insert(header::RETRY_AFTER, maintenance.retry_after.clone());
    let is_html = |response: &HttpResponse| {
        let content_type = response.headers().get(header::CONTENT_TYPE);
        content_type.is_some_and(|value| value.as_bytes().starts_with(b"text/html"))
    };
    match &maintenance.page {
        Some(page) if is_html(&response) => response.set_body(BoxBody::new(page.clone())),
        _ => response,
    }
}

fn may_enter(door: &BasicAuth, headers: &HeaderMap) -> bool {
    let Some((name, password)) = credentials(headers) else { return false };
    let digest: [u8; 32] = Sha256::digest(password.as_bytes()).into();
    // All users are compared in full, so that the time tells nothing of them.
    let known = door.users.iter().fold(subtle::Choice::from(0), |known, user| {
        known | (user.name.as_bytes().ct_eq(name.as_bytes()) & user.digest.ct_eq(&digest))
    });
    known.into()
}

fn credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION).map(HeaderValue::to_str)?.ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    let text = scheme.eq_ignore_ascii_case("basic").then(|| STANDARD.decode(encoded.trim()).ok())??;
    let (name, password) = std::str::from_utf8(&text).ok()?.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;
    use shared::route::{Pattern, Policy, TreeBuilder};

    use super::*;
    use crate::config::value;

    fn access() -> Access {
        let mut doors = TreeBuilder::new(Policy::default());
        let challenge = HeaderValue::from_static("Basic realm=\"x\"");
        let users = vec![value::user("ann:plain:a:b").unwrap(), value::user("bob:plain:secret").unwrap()];
        doors.insert(Pattern::parse("/staging/$").unwrap(), BasicAuth { challenge, users }).unwrap();
        Access {
            allow: vec![],
            deny: vec![],
            maintenance: Maintenance::new(false, vec![], 300, None),
            basic_auth: doors.build(),
        }
    }

    fn status(access: &Access, client: &str, path: &str, fields: &[(&'static str, &str)]) -> u16 {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.insert(name.parse().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        let client = client.parse().unwrap();
        denied(access, client, &headers)
            .or_else(|| refusal(access, client, path, &headers))
            .map_or(200, |answer| answer.status().as_u16())
    }

    #[test]
    fn addresses_are_let_in_or_not() {
        let networks = |text: &str| vec![text.parse().unwrap()];
        let only = Access { allow: networks("10.0.0.0/8"), deny: networks("10.6.0.0/16"), ..access() };
        for (client, expected) in [("10.1.2.3", 200), ("10.6.0.1", 403), ("192.0.2.1", 403), ("::1", 403)] {
            assert_eq!(status(&only, client, "/", &[]), expected, "{client}");
        }
        let but = Access { deny: networks("2001:db8::/32"), ..access() };
        assert_eq!(status(&but, "2001:db8::1", "/", &[]), 403);
        assert_eq!(status(&but, "2001:db9::1", "/", &[]), 200);
    }

    #[actix_web::test]
    async fn a_closed_site_shows_its_page_to_browsers() {
        let makers = vec!["10.0.0.0/8".parse().unwrap()];
        let maintenance = Maintenance::new(true, makers, 300, Some("<p>soon</p>".into()));
        let closed = Access { maintenance, ..access() };
        assert_eq!(status(&closed, "10.0.0.1", "/", &[]), 200);
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("text/html"));
        let answer = refusal(&closed, [192, 0, 2, 1].into(), "/", &headers).unwrap();
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.headers().get("retry-after").unwrap(), "300");
        assert_eq!(to_bytes(answer.into_body()).await.unwrap(), "<p>soon</p>");
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let answer = refusal(&closed, [192, 0, 2, 1].into(), "/", &headers).unwrap();
        assert!(to_bytes(answer.into_body()).await.unwrap().starts_with(b"{"));
        closed.maintenance.set_closed(false);
        assert_eq!(status(&closed, "192.0.2.1", "/", &[]), 200);
    }

    #[test]
    fn a_door_opens_for_who_is_known() {
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        for (text, expected) in [
            ("ann:a:b", 200),
            ("bob:secret", 200),
            ("bob:a:b", 401),
            ("eve:secret", 401),
            ("bob:", 401),
            ("bob", 401),
        ] {
            let fields = [("authorization", &*basic(text))];
            assert_eq!(status(&access(), "::1", "/staging/a", &fields), expected, "{text}");
        }
        for wrong in ["Bearer abc", "Basic !!!", "Basic", "basic "] {
            assert_eq!(status(&access(), "::1", "/staging", &[("authorization", wrong)]), 401, "{wrong}");
        }
        // No spelling of the path leads past the door.
        for path in ["/staging", "/staging/", "/STAGING/a", "/%73taging/a"] {
            assert_eq!(status(&access(), "::1", path, &[]), 401, "{path}");
        }
        assert_eq!(status(&access(), "::1", "/open", &[]), 200);
    }
}
