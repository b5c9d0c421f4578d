//! Cookies (RFC 6265): read off the request, written with the defaults that are safe.

use std::fmt::Write;
use std::time::Duration;

use http::header::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::error::FunctionError;

/// As `encodeURIComponent`, which JavaScript's cookie packages use.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// When a cookie goes along with requests that other sites cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameSite {
    /// Never.
    Strict,
    /// With links that the user follows.
    Lax,
    /// Always; browsers want it `Secure` then.
    None,
}

/// A cookie to set. By default it is `HttpOnly`, `Secure`, `SameSite=Lax`, of the path `/`, and ends with the
/// browser's session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cookie {
    name: String,
    value: String,
    path: String,
    domain: Option<String>,
    max_age: Option<Duration>,
    same_site: SameSite,
    http_only: bool,
    secure: bool,
}

impl Cookie {
    /// A cookie with the safe defaults. The value is percent-encoded.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
            path: "/".into(),
            domain: None,
            max_age: None,
            same_site: SameSite::Lax,
            http_only: true,
            secure: true,
        }
    }

    /// A cookie that takes another of the same name, path and domain away.
    pub fn removal(name: impl Into<String>) -> Self {
        Self::new(name, "").max_age(Duration::ZERO)
    }

    /// How long it lives; whole seconds.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Below which path it is sent. Default `/`.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// To which domain and its subdomains it is sent. Default: the host alone.
    #[must_use]
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// When it goes along with requests that other sites cause. Default `Lax`.
    #[must_use]
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = same_site;
        self
    }

    /// Whether scripts cannot read it. Default true.
    #[must_use]
    pub fn http_only(mut self, http_only: bool) -> Self {
        self.http_only = http_only;
        self
    }

    /// Whether it is sent over HTTPS alone; browsers count `localhost` as such. Default true.
    #[must_use]
    pub fn secure(mut self, secure: bool) -> Self {
        self.secure = secure;
        self
    }

    /// The value of `Set-Cookie`.
    ///
    /// # Errors
    /// When the name, path or domain holds what none may.
    pub(crate) fn to_header(&self) -> Result<HeaderValue, FunctionError> {
        let is_token = |byte: u8| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&byte);
        let is_attribute = |byte: u8| (0x20..0x7f).contains(&byte) && byte != b';';
        let name = !self.name.is_empty() && self.name.bytes().all(is_token);
        let attributes = self.path.bytes().chain(self.domain.iter().flat_map(|domain| domain.bytes()));
        if !name || !attributes.into_iter().all(is_attribute) {
            return Err(FunctionError::internal(format!("the cookie `{}` cannot be sent", self.name)));
        }
        let mut text = format!("{}={}", self.name, utf8_percent_encode(&self.value, VALUE));
        if let Some(age) = self.max_age {
            // A string takes all that is written to it.
            let _ = write!(text, "; Max-Age={}", age.as_secs());
        }
        if let Some(domain) = &self.domain {
            text.extend(["; Domain=", domain]);
        }
        text.extend(["; Path=", &self.path]);
        if self.http_only {
            text.push_str("; HttpOnly");
        }
        if self.secure {
            text.push_str("; Secure");
        }
        text.push_str(match self.same_site {
            SameSite::Strict => "; SameSite=Strict",
            SameSite::Lax => "; SameSite=Lax",
            SameSite::None => "; SameSite=None",
        });
        Ok(HeaderValue::try_from(text)?)
    }
}

/// The first cookie of this name, percent-decoded where that is text.
pub(crate) fn find<'h>(mut fields: impl Iterator<Item = &'h str>, name: &str) -> Option<String> {
    let value = fields.find_map(|field| {
        let pairs = field.split(';').filter_map(|pair| pair.split_once('='));
        pairs.map(|(own, value)| (own.trim(), value.trim())).find(|(own, _)| *own == name)
    });
    let (_, value) = value?;
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    Some(percent_decode_str(value).decode_utf8().map_or_else(|_| value.to_owned(), Into::into))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_safe() {
        let header = Cookie::new("a", "x y;é").to_header().unwrap();
        assert_eq!(header, "a=x%20y%3B%C3%A9; Path=/; HttpOnly; Secure; SameSite=Lax");
        let header =
            Cookie::removal("a").path("/b").domain("c.example").same_site(SameSite::Strict).to_header();
        let expected = "a=; Max-Age=0; Domain=c.example; Path=/b; HttpOnly; Secure; SameSite=Strict";
        assert_eq!(header.unwrap(), expected);
    }

    #[test]
    fn nothing_gets_out_of_its_attribute() {
        for cookie in [
            Cookie::new("a=b", ""),
            Cookie::new("", ""),
            Cookie::new("a;b", ""),
            Cookie::new("a", "").path("/;x"),
            Cookie::new("a", "").domain("x\r\ny"),
        ] {
            assert!(cookie.to_header().is_err(), "{cookie:?}");
        }
    }

    #[test]
    fn the_first_of_a_name_is_found() {
        let fields = ["a=1; b=\"2\"", "c=x%20y; b=3; d"];
        let find = |name| find(fields.into_iter(), name);
        assert_eq!(find("a").as_deref(), Some("1"));
        assert_eq!(find("b").as_deref(), Some("2"));
        assert_eq!(find("c").as_deref(), Some("x y"));
        assert_eq!(find("d"), None);
    }
}
