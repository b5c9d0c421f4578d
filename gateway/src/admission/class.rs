//! What kind of work a request is, and how much of the isolates each kind gets when there is not enough for all.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

/// A kind of work; the later ones are shed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// A page that somebody waits for, or anything that is not one of the others.
    Document,
    /// A server function: a part of a page that is there already.
    ServerFunction,
    /// What a browser fetches in case it is needed.
    Prefetch,
}

const SEC_PURPOSE: HeaderName = HeaderName::from_static("sec-purpose");
const PURPOSE: HeaderName = HeaderName::from_static("purpose");

/// Where TanStack Start's server functions live, below the base path.
const SERVER_FUNCTIONS: &str = "/_serverFn/";

impl Class {
    /// All of them, the most important first.
    pub const ALL: [Self; 3] = [Self::Document, Self::ServerFunction, Self::Prefetch];

    /// The class of a request for this path, whose base path is taken off. `Sec-Purpose` is a structured list that a
    /// browser writes, `Purpose` what older ones wrote (the Fetch standard).
    pub fn of(path: &str, headers: &HeaderMap) -> Self {
        let says_prefetch = |name: HeaderName| {
            let value = headers.get(name).map_or(&b""[..], HeaderValue::as_bytes);
            value.len() >= 8 && value[..8].eq_ignore_ascii_case(b"prefetch")
        };
        if says_prefetch(SEC_PURPOSE) || says_prefetch(PURPOSE) {
            Self::Prefetch
        } else if path.starts_with(SERVER_FUNCTIONS) {
            Self::ServerFunction
        } else {
            Self::Document
        }
    }

    /// The label's value in metrics and log.
    pub fn label(self) -> &'static str {
        match self {
            Self::Document => "document",
            Self::ServerFunction => "server_function",
            Self::Prefetch => "prefetch",
        }
    }
}

/// How many of a hundred free places go to each class while all of them wait. What a class does not use, the others do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares([u32; Class::ALL.len()]);

impl Shares {
    /// Seventy, twenty-five and five.
    pub const DEFAULT: Self = Self([70, 25, 5]);

    /// In the order of [`Class::ALL`]; each at least 1.
    pub fn new(shares: [u32; Class::ALL.len()]) -> Self {
        Self(shares.map(|share| share.max(1)))
    }

    /// Of this class.
    pub fn of(self, class: Class) -> f64 {
        self.0[class as usize].into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_what_it_is() {
        let class = |path: &str, fields: &[(&'static str, &'static str)]| {
            let fields = fields
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            Class::of(path, &fields.collect())
        };
        assert_eq!(class("/", &[]), Class::Document);
        assert_eq!(class("/_serverFn/abc", &[]), Class::ServerFunction);
        assert_eq!(class("/", &[("sec-purpose", "prefetch;prerender")]), Class::Prefetch);
        assert_eq!(class("/_serverFn/abc", &[("purpose", "Prefetch")]), Class::Prefetch);
        assert_eq!(class("/", &[("purpose", "pre")]), Class::Document);
    }
}
