//! Values with their units: `250ms`, `10MiB`, `127.0.0.1:3000`, `10.0.0.0/8`. Pure.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::HeaderName;
use ipnet::IpNet;
use redis::ConnectionAddr;
use sha2::{Digest, Sha256};

use super::edge::User;

/// The word that switches something off.
pub const OFF: &str = "off";

const DURATION_UNITS: &[(&str, u64)] = &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];
const BYTE_UNITS: &[(&str, u64)] = &[("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)];

/// A whole number and its unit; the unit is the first of `units` that the text ends with.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (number, factor) =
        units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?.trim_end(), factor)))?;
    // `parse` alone would take a sign.
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// A duration such as `250ms`, `30s`, `5m` or `1h`; a bare number has no unit and is refused.
pub fn duration(text: &str) -> Option<Duration> {
    scaled(text, DURATION_UNITS).map(Duration::from_millis)
}

/// A number of bytes such as `512B`, `64KiB`, `10MiB` or `1GiB`; a bare number is refused.
pub fn bytes(text: &str) -> Option<u64> {
    scaled(text, BYTE_UNITS)
}

/// Writes a duration the way [`duration`] reads it, in the largest unit that is exact.
pub fn show_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    show(millis, DURATION_UNITS)
}

/// Writes bytes the way [`bytes`] reads them, in the largest unit that is exact.
pub fn show_bytes(bytes: u64) -> String {
    show(bytes, BYTE_UNITS)
}

fn show(number: u64, units: &[(&str, u64)]) -> String {
    let fits = |unit: &&(&str, u64)| number.is_multiple_of(unit.1) && (number > 0 || unit.1 == 1);
    let best = units.iter().filter(fits).max_by_key(|unit| unit.1);
    best.map_or_else(|| number.to_string(), |(unit, factor)| format!("{}{unit}", number / factor))
}

/// A socket address with a port; 0 lets the system choose one.
pub fn address(text: &str) -> Option<SocketAddr> {
    text.parse().ok()
}

/// Where clients connect: an address as [`address`] reads it, or `unix:` and the absolute path of a socket.
pub fn listen(text: &str) -> Option<Listen> {
    match text.strip_prefix("unix:") {
        Some(path) => path.starts_with('/').then(|| Listen::Unix(path.into())),
        None => address(text).map(Listen::Tcp),
    }
}

/// Where clients connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// An IP address; port 0 lets the system choose one.
    Tcp(SocketAddr),
    /// A Unix socket, by its path.
    Unix(PathBuf),
}

impl std::fmt::Display for Listen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A network such as `10.0.0.0/8`; a bare address is that address alone.
pub fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// A path prefix in the one form used inside: empty for the root, else `/a/b` without a slash at the end.
pub fn base_path(text: &str) -> Option<String> {
    if text == "/" {
        return Some(String::new());
    }
    let path = text.strip_suffix('/').unwrap_or(text);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let segment = |part: &str| !part.is_empty() && part != "." && part != ".." && part.bytes().all(plain);
    path.strip_prefix('/')?.split('/').all(segment).then(|| path.to_owned())
}

/// `true` or `false`.
pub fn switch(text: &str) -> Option<bool> {
    text.parse().ok()
}

/// A flag of V8; whether V8 knows it, V8 says.
pub fn v8_flag(text: &str) -> Option<String> {
    let name = text.strip_prefix("--")?;
    let fits = name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| text.to_owned())
}

/// The name of an environment variable; a `*` at its end stands for any rest.
pub fn env_pattern(text: &str) -> Option<String> {
    let name = text.strip_suffix('*').unwrap_or(text);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let starts_well = !name.starts_with(|first: char| first.is_ascii_digit());
    (!text.is_empty() && starts_well && name.bytes().all(plain)).then(|| text.to_owned())
}

/// The path and query of a request.
pub fn request_path(text: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
    let fits = text.starts_with('/') && !text.starts_with("//") && text.bytes().all(plain);
    fits.then(|| text.to_owned())
}

/// An origin as browsers write it: scheme and host in lower case, the port unless it is the scheme's own.
pub fn origin(text: &str) -> Option<String> {
    let (scheme, host) = text.split_once("://")?;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._:[]".contains(&byte);
    let own_port = if scheme == "https" { ":443" } else { ":80" };
    let fits = matches!(scheme, "http" | "https")
        && crate::middleware::host::is_host(host.as_bytes())
        && host.bytes().all(plain)
        && !host.ends_with(own_port);
    fits.then(|| text.to_owned())
}

/// The name of a header field.
pub fn header_name(text: &str) -> Option<HeaderName> {
    HeaderName::from_bytes(text.to_ascii_lowercase().as_bytes()).ok()
}

/// A method that reaches the app, in capitals.
pub fn method(text: &str) -> Option<Method> {
    let served = crate::error::SERVED_METHODS.split(", ").any(|served| served == text);
    served.then(|| Method::from_bytes(text.as_bytes()).ok()).flatten()
}

/// A user: `name:sha256:HEX` or `name:plain:PASSWORD`.
pub fn user(text: &str) -> Option<User> {
    let (name, rest) = text.split_once(':')?;
    let (form, secret) = rest.split_once(':')?;
    let digest = match form {
        "plain" if !secret.is_empty() => Sha256::digest(secret.as_bytes()).into(),
        "sha256" => from_hex(secret)?,
        _ => return None,
    };
    (!name.is_empty()).then(|| User { name: name.to_owned(), digest })
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (at, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(digest)
}

/// Where a Redis server is.
pub fn redis_url(text: &str) -> Option<String> {
    let client = redis::Client::open(text).ok()?;
    // `#insecure` would believe any server, and this build of the library refuses to.
    let is_insecure =
        matches!(client.get_connection_info().addr(), ConnectionAddr::TcpTls { insecure: true, .. });
    (!is_insecure).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_carry_their_unit() {
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration("30s"), Some(Duration::from_secs(30)));
        assert_eq!(duration("2 m"), Some(Duration::from_secs(120)));
        for bad in ["", "30", "s", "-1s", "1.5s", "1 d", "99999999999999999999s", "18446744073709551615h"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn bytes_carry_their_unit() {
        assert_eq!(bytes("10MiB"), Some(10 << 20));
        assert_eq!(bytes("0B"), Some(0));
        for bad in ["10", "10MB", "10mib", "+1B", "MiB"] {
            assert_eq!(bytes(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_network_may_be_one_address() {
        assert_eq!(network("10.1.2.3").unwrap().to_string(), "10.1.2.3/32");
        assert_eq!(network("fd00::/8").unwrap().to_string(), "fd00::/8");
        assert_eq!(network("10.0.0.0/33"), None);
    }

    #[test]
    fn clients_connect_to_an_address_or_to_a_socket() {
        assert_eq!(listen("[::1]:80").unwrap().to_string(), "[::1]:80");
        assert_eq!(listen("unix:/run/isopod.sock"), Some(Listen::Unix("/run/isopod.sock".into())));
        for bad in ["unix:", "unix:run/isopod.sock", "/run/isopod.sock", "localhost:80", "127.0.0.1"] {
            assert_eq!(listen(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_base_path_has_one_form() {
        assert_eq!(base_path("/"), Some(String::new()));
        assert_eq!(base_path("/shop/"), Some("/shop".into()));
        for bad in ["", "shop", "//", "/a//b", "/a/../b", "/a b", "/%61"] {
            assert_eq!(base_path(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_requests_path_is_as_it_goes_on_the_wire() {
        for good in ["/", "/shop?warm=1", "/a%20b"] {
            assert_eq!(request_path(good).as_deref(), Some(good));
        }
        for bad in ["", "shop", "http://a/", "//a", "/a b", "/#top"] {
            assert_eq!(request_path(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_origin_is_written_as_browsers_do() {
        for good in ["https://example.com", "http://localhost:3000", "http://[::1]:3000"] {
            assert_eq!(origin(good).as_deref(), Some(good));
        }
        for bad in [
            "example.com",
            "https://",
            "https://Example.com",
            "https://a/b",
            "https://a:443",
            "ftp://a",
            "null",
        ] {
            assert_eq!(origin(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_user_has_a_name_and_a_secret() {
        let hashed = "ann:sha256:5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8";
        assert_eq!(user(hashed), user("ann:plain:password"));
        assert!(user("ann:plain:a:b").is_some());
        for bad in ["ann", "ann:secret", "ann:plain:", ":plain:x", "ann:sha256:abc", "ann:md5:x"] {
            assert_eq!(user(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_environment_pattern_names_and_does_not_set() {
        for good in ["DATABASE_URL", "APP_*", "*"] {
            assert_eq!(env_pattern(good).as_deref(), Some(good));
        }
        for bad in ["", "A=B", "1A", "A*B"] {
            assert_eq!(env_pattern(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(number in 0u64..1 << 40) {
            prop_assert_eq!(bytes(&show_bytes(number)), Some(number));
            let time = Duration::from_millis(number);
            prop_assert_eq!(duration(&show_duration(time)), Some(time));
        }
    }
}
