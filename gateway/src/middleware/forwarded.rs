//! What trusted proxies say of the client: its address, the scheme and the host that it used. Pure.
//!
//! ```text
//! client --> outer proxy --> inner proxy --> gateway
//!            writes client   appends outer   sees inner as its peer
//! ```
//!
//! The list is read from the right for as long as its writers are trusted: the first address that is no trusted
//! proxy is the client, and what stands further left was written by it and may be anything.

use std::net::{IpAddr, SocketAddr};

use actix_web::http::header::{self, HeaderMap, HeaderName};
use ipnet::IpNet;

use crate::config::settings::ForwardedStyle;

/// What is believed of the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client<'a> {
    /// Its address.
    pub ip: IpAddr,
    /// Whether its connection is encrypted, if a proxy said so or denied it.
    pub is_secure: Option<bool>,
    /// The host that it named, if a proxy passed it on.
    pub host: Option<&'a str>,
}

/// What one proxy wrote of the hop in front of it.
#[derive(Debug, Clone, Copy, Default)]
struct Hop<'a> {
    ip: Option<IpAddr>,
    proto: Option<&'a str>,
    host: Option<&'a str>,
}

/// Whether `ip` is a trusted proxy.
pub fn is_trusted(ip: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|network| network.contains(&ip))
}

/// Reads the forwarding headers of a request whose peer is a trusted proxy.
pub fn read<'a>(
    headers: &'a HeaderMap,
    style: ForwardedStyle,
    peer: IpAddr,
    trusted: &[IpNet],
) -> Client<'a> {
    let hops = match style {
        ForwardedStyle::XForwarded => x_forwarded(headers),
        ForwardedStyle::Forwarded => forwarded(headers),
    };
    let mut client = Client { ip: peer, is_secure: None, host: None };
    for hop in hops.iter().rev() {
        client.is_secure = hop.proto.and_then(is_secure).or(client.is_secure);
        client.host = hop.host.or(client.host);
        match hop.ip {
            // An unknown or hidden address ends what can be known.
            None => break,
            Some(ip) => client.ip = ip,
        }
        if !is_trusted(client.ip, trusted) {
            break;
        }
    }
    client
}

fn is_secure(proto: &str) -> Option<bool> {
    match proto {
        "https" | "wss" => Some(true),
        "http" | "ws" => Some(false),
        _ => None,
    }
}

/// All values of a list header, in order.
fn items<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a str> {
    let texts = headers.get_all(name).filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).map(str::trim).filter(|item| !item.is_empty()).collect()
}

/// Scheme and host belong to the hop at their place where each proxy has appended one; where a proxy has written
/// only its own, that one belongs to all.
fn x_forwarded(headers: &HeaderMap) -> Vec<Hop<'_>> {
    let addresses = items(headers, &header::X_FORWARDED_FOR);
    let protos = items(headers, &header::X_FORWARDED_PROTO);
    let hosts = items(headers, &header::X_FORWARDED_HOST);
    let count = addresses.len().max(1);
    let at = |list: &[&'_ str], index: usize| -> Option<usize> {
        if list.len() == count { Some(index) } else { list.len().checked_sub(1) }
    };
    (0..count)
        .map(|index| Hop {
            ip: addresses.get(index).and_then(|text| address(text)),
            proto: at(&protos, index).map(|at| protos[at]),
            host: at(&hosts, index).map(|at| hosts[at]),
        })
        .collect()
}

/// RFC 7239 section 4: `for=192.0.2.60;proto=https;host=example.com, for="[2001:db8::1]:4711"`.
fn forwarded(headers: &HeaderMap) -> Vec<Hop<'_>> {
    items(headers, &header::FORWARDED)
        .into_iter()
        .map(|element| {
            let mut hop = Hop::default();
            for pair in element.split(';') {
                let Some((name, value)) = pair.split_once('=') else { continue };
                let value = value.trim();
                let value =
                    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
                match name.trim() {
                    name if name.eq_ignore_ascii_case("for") => hop.ip = address(value),
                    name if name.eq_ignore_ascii_case("proto") => hop.proto = Some(value),
                    name if name.eq_ignore_ascii_case("host") => hop.host = Some(value),
                    _ => {}
                }
            }
            hop
        })
        .collect()
}

/// An address with or without a port, an IPv6 address with or without brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let ip = bare.parse().ok().or_else(|| text.parse().ok().map(|socket: SocketAddr| socket.ip()))?;
    Some(ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn read_from(style: ForwardedStyle, headers: &HeaderMap) -> Client<'_> {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        read(headers, style, "10.0.0.1".parse().unwrap(), &trusted)
    }

    fn client<'a>(ip: &str, is_secure: Option<bool>, host: Option<&'a str>) -> Client<'a> {
        Client { ip: ip.parse().unwrap(), is_secure, host }
    }

    #[test]
    fn the_client_is_the_right_most_address_that_is_not_trusted() {
        for (list, ip) in [
            ("203.0.113.9", "203.0.113.9"),
            ("1.2.3.4, 203.0.113.9", "203.0.113.9"),
            ("1.2.3.4, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
            ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
            ("203.0.113.9:4711", "203.0.113.9"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("::ffff:203.0.113.9", "203.0.113.9"),
            ("1.2.3.4, unknown", "10.0.0.1"),
            ("1.2.3.4, unknown, 10.0.0.2", "10.0.0.2"),
            ("", "10.0.0.1"),
        ] {
            let headers = headers(&[("x-forwarded-for", list)]);
            assert_eq!(read_from(ForwardedStyle::XForwarded, &headers), client(ip, None, None), "{list}");
        }
    }

    #[test]
    fn scheme_and_host_come_from_the_proxy_that_saw_the_client() {
        let headers = headers(&[
            ("x-forwarded-for", "6.6.6.6, 203.0.113.9"),
            ("x-forwarded-for", "10.0.0.2"),
            ("x-forwarded-proto", "http, https, http"),
            ("x-forwarded-host", "example.com"),
        ]);
        let expected = client("203.0.113.9", Some(true), Some("example.com"));
        assert_eq!(read_from(ForwardedStyle::XForwarded, &headers), expected);
    }

    #[test]
    fn a_proxy_may_tell_the_scheme_alone() {
        let headers = headers(&[("x-forwarded-proto", "https")]);
        assert_eq!(read_from(ForwardedStyle::XForwarded, &headers), client("10.0.0.1", Some(true), None));
    }

    #[test]
    fn the_standard_header_says_the_same() {
        let headers = headers(&[
            ("forwarded", "for=1.2.3.4;host=evil, For=\"[2001:db8::1]:47\";Proto=https;host=\"example.com\""),
            ("forwarded", "for=10.0.0.2;proto=http"),
            ("x-forwarded-for", "9.9.9.9"),
        ]);
        let expected = client("2001:db8::1", Some(true), Some("example.com"));
        assert_eq!(read_from(ForwardedStyle::Forwarded, &headers), expected);
    }
}
