//! Which texts are a host with an optional port. Pure.
//!
//! Narrower than RFC 3986 allows: what a URL parser of the WHATWG kind would refuse or read in another way is
//! refused here, so that the bundle never sees a URL that does not parse.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The longest name of a host that DNS knows, with a port.
const MAX_HOST_BYTES: usize = 255 + 6;

/// Whether `text` is `host` or `host:port`, without user information.
pub fn is_host(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    if text.len() > MAX_HOST_BYTES {
        return false;
    }
    if let Some(rest) = text.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else { return false };
        return address.parse::<Ipv6Addr>().is_ok() && (port.is_empty() || is_port_part(port));
    }
    match text.find(':') {
        Some(colon) => is_name(&text[..colon]) && is_port_part(&text[colon..]),
        None => is_name(text),
    }
}

fn is_port_part(text: &str) -> bool {
    let digits = text.strip_prefix(':').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    digits.is_some_and(|digits| digits.is_empty() || digits.parse::<u16>().is_ok())
}

fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if name.is_empty() || !name.bytes().all(plain) {
        return false;
    }
    let labels = name.strip_suffix('.').unwrap_or(name);
    let last = labels.rsplit('.').next().unwrap_or_default();
    // A name that ends in a number is an IPv4 address to a URL parser.
    let is_number =
        last.starts_with("0x") || last.starts_with("0X") || last.bytes().all(|b| b.is_ascii_digit());
    !labels.is_empty() && (!is_number || name.parse::<Ipv4Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_with_and_without_a_port_pass() {
        for host in [
            "localhost",
            "example.com",
            "EXAMPLE.com:443",
            "a-b.c_d.e",
            "127.0.0.1",
            "127.0.0.1:65535",
            "[::1]",
            "[2001:db8::1]:8080",
            "example.com.",
            "example.com:",
            "xn--bcher-kva.example",
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let long = "a".repeat(300);
        for host in [
            "",
            ":80",
            "user@example.com",
            "user:pass@example.com",
            "a b",
            "example.com:x",
            "example.com:65536",
            "example.com:80:80",
            "example.com/",
            "a,b",
            "[::1",
            "[::1]x",
            "[::g]",
            "::1",
            "1.2.3.999",
            "1.2.3",
            "0x7f.1",
            ".",
            "a%20b",
            "a\tb",
            "caf\u{e9}",
            &long,
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }
}
