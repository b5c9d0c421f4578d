//! Which encoding a client takes (RFC 9110 section 12.5.3). Pure.

use actix_web::http::header::{self, HeaderMap, HeaderValue};

/// An encoding of bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// RFC 8878.
    Zstd,
    /// RFC 7932.
    Brotli,
    /// RFC 1952.
    Gzip,
}

impl Encoding {
    /// All of them, the best first.
    pub const ALL: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    /// Its name in `Content-Encoding`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// What files end with that a build has compressed so.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Zstd => ".zst",
            Self::Brotli => ".br",
            Self::Gzip => ".gz",
        }
    }

    /// `Content-Encoding`.
    pub fn value(self) -> HeaderValue {
        HeaderValue::from_static(self.name())
    }

    fn is_named(self, name: &str) -> bool {
        name.eq_ignore_ascii_case(self.name()) || (self == Self::Gzip && name.eq_ignore_ascii_case("x-gzip"))
    }
}

/// What a client takes: a weight from 0 to 1000 for each encoding, in the order of [`Encoding::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    weights: [u16; 3],
    identity: u16,
}

impl Accepted {
    /// Reads `Accept-Encoding`. A client without it gets what every client can read.
    pub fn of(headers: &HeaderMap) -> Self {
        let fields = headers.get_all(header::ACCEPT_ENCODING).filter_map(|value| value.to_str().ok());
        let (mut weights, mut identity, mut others) = ([None; 3], None, None);
        for item in fields.flat_map(|field| field.split(',')) {
            let (name, weight) = weighed(item);
            let place = Encoding::ALL.iter().position(|encoding| encoding.is_named(name));
            match place {
                Some(place) => weights[place] = Some(weight),
                None if name == "*" => others = Some(weight),
                None if name.eq_ignore_ascii_case("identity") => identity = Some(weight),
                None => {}
            }
        }
        // Who takes everything alike is no reason to spend time on encoding.
        let identity = identity.or(others).unwrap_or(1);
        Self { weights: weights.map(|weight| weight.or(others).unwrap_or(0)), identity }
    }

    /// The best that the client takes among `offered`, in the order of preference; `None` for the body as it is.
    pub fn best(&self, offered: impl Fn(Encoding) -> bool) -> Option<Encoding> {
        let mut best: Option<(u16, Encoding)> = None;
        for (place, encoding) in Encoding::ALL.into_iter().enumerate() {
            let weight = self.weights[place];
            let fits = weight > 0 && weight >= self.identity && offered(encoding);
            if fits && best.is_none_or(|(most, _)| weight > most) {
                best = Some((weight, encoding));
            }
        }
        best.map(|(_, encoding)| encoding)
    }

    /// Whether it takes any.
    pub fn any(&self) -> bool {
        self.best(|_| true).is_some()
    }
}

/// An item's name and weight. A weight that is none counts as 0: it was meant to say something.
fn weighed(item: &str) -> (&str, u16) {
    let mut parts = item.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| {
        let (key, value) = part.split_once('=')?;
        key.trim().eq_ignore_ascii_case("q").then(|| thousandths(value.trim()).unwrap_or(0))
    });
    (name, weight.unwrap_or(1000))
}

/// A weight: 0 to 1 with at most three digits after the point.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    if rest.len() > 3 || !rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let rest: u16 = format!("{rest:0<3}").parse().ok()?;
    match whole {
        "0" => Some(rest),
        "1" if rest == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn best(accept: Option<&str>) -> Option<Encoding> {
        let mut headers = HeaderMap::new();
        if let Some(accept) = accept {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_str(accept).unwrap());
        }
        Accepted::of(&headers).best(|_| true)
    }

    #[test]
    fn weights_decide_and_then_preference() {
        use Encoding::{Brotli, Gzip, Zstd};
        for (accept, expected) in [
            ("gzip, deflate, br, zstd", Some(Zstd)),
            ("gzip, deflate, br", Some(Brotli)),
            ("gzip", Some(Gzip)),
            ("x-gzip", Some(Gzip)),
            ("GZIP;Q=0.5, BR;q=0.4", Some(Gzip)),
            ("br;q=0.001", Some(Brotli)),
            ("zstd;q=0, br;q=0.0, gzip", Some(Gzip)),
            ("*", Some(Zstd)),
            ("*, zstd;q=0", Some(Brotli)),
            ("gzip;q=0.5, *;q=0", Some(Gzip)),
            ("identity, gzip;q=0.5", None),
            ("identity;q=0.5, gzip;q=0.5", Some(Gzip)),
            ("deflate", None),
            ("", None),
            ("br;q=2, gzip;q=abc, zstd;q=1.0001", None),
            ("br;level=4;q=0.3", Some(Brotli)),
            (",,gzip,,", Some(Gzip)),
        ] {
            assert_eq!(best(Some(accept)), expected, "{accept}");
        }
        assert_eq!(best(None), None);
    }

    proptest! {
        #[test]
        fn noise_is_no_panic_and_no_encoding_that_was_forbidden(text in "[a-z*;=q.,0-9 ]{0,40}") {
            let forbidden = format!("{text}, br;q=0, gzip;q=0, zstd;q=0");
            prop_assert_eq!(best(Some(&forbidden)), None);
        }
    }
}
