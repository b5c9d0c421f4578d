//! Where a redirect or rewrite leads: a path made from the parameters of the pattern that matched.

use super::pattern::{Pattern, PatternError, SPLAT, Segment};
use super::tree::Param;

/// A target: an origin if it leads to another site, a path with parameters, and a query and fragment of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    origin: String,
    path: Pattern,
    query: String,
    fragment: String,
}

/// Why a text is no target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Its path is no pattern.
    #[error("{0}")]
    Path(#[from] PatternError),
    /// Its origin is not `http://host` or `https://host`.
    #[error("{0:?} is no origin such as https://example.com")]
    Origin(String),
    /// Query or fragment hold what no URL does.
    #[error("its query or fragment holds a space, control character or what is not ASCII: percent-encode it")]
    Query,
    /// A parameter that the pattern does not have.
    #[error("the parameter {0:?} is not one of the pattern's")]
    Unknown(String),
    /// A parameter that is needed and may be missing.
    #[error("the parameter {0:?} may be missing: write {{-${0}}}")]
    MayBeMissing(String),
}

impl Target {
    /// Reads a target for the paths that `from` matches.
    ///
    /// # Errors
    /// [`TargetError`] says what is wrong with it.
    pub fn parse(text: &str, from: &Pattern) -> Result<Self, TargetError> {
        let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        if ![query, fragment].iter().all(|text| text.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(TargetError::Query);
        }
        let (origin, path) = match rest.split_once("://") {
            Some((scheme, after)) => {
                let (host, _) = after.split_once('/').unwrap_or((after, ""));
                let origin = &rest[..scheme.len() + 3 + host.len()];
                if !is_origin(origin) {
                    return Err(TargetError::Origin(origin.to_owned()));
                }
                let path = &rest[origin.len()..];
                (origin.to_owned(), if path.is_empty() { "/" } else { path })
            }
            None => (String::new(), rest),
        };
        let path = Pattern::parse(path)?;
        for segment in path.segments() {
            let Some(name) = segment.name() else { continue };
            let source = from.segments().iter().find(|source| source.name() == Some(name));
            match (source, segment) {
                (None, _) => return Err(TargetError::Unknown(name.to_owned())),
                (Some(Segment::Optional(_)), Segment::Param(_)) => {
                    return Err(TargetError::MayBeMissing(name.to_owned()));
                }
                _ => {}
            }
        }
        Ok(Self { origin, path, query: query.to_owned(), fragment: fragment.to_owned() })
    }

    /// Its path; `None` when it leads to another site.
    pub fn own_path(&self) -> Option<&Pattern> {
        self.origin.is_empty().then_some(&self.path)
    }

    /// The URL: absolute where it leads to another site, else path, query and fragment. `query` is the request's
    /// own, without its question mark; it comes after that of the target.
    pub fn fill(&self, params: &[Param<'_>], query: Option<&str>) -> String {
        let mut url = self.origin.clone();
        let start = url.len();
        for segment in self.path.segments() {
            self.fill_segment(segment, params, &mut url);
        }
        if url.len() == start || self.path.has_trailing_slash() {
            url.push('/');
        }
        let mut separator = '?';
        for part in [Some(&*self.query), query].into_iter().flatten().filter(|part| !part.is_empty()) {
            url.push(separator);
            url.push_str(part);
            separator = '&';
        }
        if !self.fragment.is_empty() {
            url.push('#');
            url.push_str(&self.fragment);
        }
        url
    }

    fn fill_segment(&self, segment: &Segment, params: &[Param<'_>], url: &mut String) {
        let (named, optional) = match segment {
            Segment::Literal(text) => {
                url.push('/');
                return encode(text, url);
            }
            Segment::Param(named) => (named, false),
            Segment::Optional(named) | Segment::Splat(named) => (named, true),
        };
        let given = params.iter().find(|param| param.name == named.name);
        let segments: &[String] = given.map_or(&[], |param| &param.segments);
        if segments.is_empty() && optional && (named.name != SPLAT || named.prefix.is_empty()) {
            return;
        }
        url.push('/');
        encode(&named.prefix, url);
        for (at, part) in segments.iter().enumerate() {
            if at > 0 {
                url.push('/');
            }
            encode(part, url);
        }
        encode(&named.suffix, url);
    }
}

fn is_origin(origin: &str) -> bool {
    let Some(host) = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://")) else {
        return false;
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    !host.is_empty() && host.bytes().all(plain)
}

/// Appends a segment, percent-encoded where RFC 3986 section 3.3 asks for it; a slash in it stays encoded.
fn encode(text: &str, url: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push('%');
            url.push(char::from(HEX[usize::from(byte >> 4)]));
            url.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree::{Policy, TreeBuilder};
    use super::*;

    fn filled(from: &str, to: &str, path: &str, query: Option<&str>) -> String {
        let from = Pattern::parse(from).unwrap();
        let target = Target::parse(to, &from).unwrap();
        let mut tree = TreeBuilder::new(Policy::default());
        tree.insert(from, ()).unwrap();
        let tree = tree.build();
        let found = tree.find(path).unwrap();
        target.fill(&found.params(path), query)
    }

    #[test]
    fn parameters_and_query_are_carried_over() {
        for (from, to, path, query, expected) in [
            ("/old/$id", "/new/$id", "/old/7", None, "/new/7"),
            ("/old/$id", "/new/{$id}.json", "/old/7", Some("a=1"), "/new/7.json?a=1"),
            ("/old/$id", "/new?id=1", "/old/7", Some("a=1"), "/new?id=1&a=1"),
            (
                "/docs/$",
                "https://docs.example/v1/$",
                "/docs/a/b%20c",
                None,
                "https://docs.example/v1/a/b%20c",
            ),
            ("/docs/$", "/guide/$", "/docs", None, "/guide"),
            ("/{-$l}/a", "/{-$l}/b", "/a", None, "/b"),
            ("/{-$l}/a", "/{-$l}/b", "/de/a", None, "/de/b"),
            ("/{-$l}", "/{-$l}/", "/", None, "/"),
            ("/a", "https://example.com", "/a", None, "https://example.com/"),
            ("/a", "/b#c", "/a", Some("d"), "/b?d#c"),
            ("/u/$name", "/$name", "/u/a%2Fb%3Fc", None, "/a%2Fb%3Fc"),
            ("/$", "/p/$", "/%2F%2Fevil.example", None, "/p/%2F%2Fevil.example"),
        ] {
            assert_eq!(filled(from, to, path, query), expected, "{from} {to} {path}");
        }
    }

    #[test]
    fn what_is_no_target_says_why() {
        let error = |from: &str, to: &str| Target::parse(to, &Pattern::parse(from).unwrap()).unwrap_err();
        assert_eq!(error("/a", "/$id"), TargetError::Unknown("id".into()));
        assert_eq!(error("/{-$l}", "/$l"), TargetError::MayBeMissing("l".into()));
        assert_eq!(error("/a", "ftp://x/y"), TargetError::Origin("ftp://x".into()));
        assert_eq!(error("/a", "//evil.example"), TargetError::Path(PatternError::EmptySegment));
        assert_eq!(error("/a", "/b?c d"), TargetError::Query);
        assert_eq!(error("/a", "b"), TargetError::Path(PatternError::NotAbsolute));
    }
}
