//! Header fields of responses.

use actix_web::http::header::{HeaderName, HeaderValue};
use shared::route::{Policy, Tree};

use super::paths::{path, single};
use crate::config::read::Reader;
use crate::config::rows::Row;
use crate::config::value;

/// Security fields of responses; none replaces one of the app's.
#[derive(Debug)]
pub struct Security {
    /// The fields.
    pub fields: Vec<(HeaderName, HeaderValue)>,
    /// `Strict-Transport-Security`, over TLS alone.
    pub hsts: Option<HeaderValue>,
}

/// Fields of the responses of a path.
#[derive(Debug)]
pub struct HeaderRule {
    /// The path.
    pub path: Tree<()>,
    /// Replace those of the response.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Come beside those of the response.
    pub add: Vec<(HeaderName, HeaderValue)>,
    /// Are taken away.
    pub remove: Vec<HeaderName>,
}

pub(super) fn security(reader: &mut Reader<'_>) -> Option<Security> {
    let fields: Option<&[(&'static str, &'static str)]> =
        reader.parsed("security_headers", |text| match text {
            "off" => Some(&[] as &[_]),
            "basic" => Some(BASIC_FIELDS),
            "strict" => Some(STRICT_FIELDS),
            _ => None,
        });
    let hsts = reader.time("hsts")?;
    let hsts = match hsts.as_secs() {
        0 => None,
        seconds => Some(HeaderValue::from_str(&format!("max-age={seconds}; includeSubDomains")).ok()?),
    };
    let field = |(name, value): &(&'static str, &'static str)| {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    Some(Security { fields: fields?.iter().map(field).collect(), hsts })
}

/// What no app can miss.
const BASIC_FIELDS: &[(&str, &str)] =
    &[("x-content-type-options", "nosniff"), ("referrer-policy", "strict-origin-when-cross-origin")];

/// What an app can miss that is framed by others, or opens windows that talk to it.
const STRICT_FIELDS: &[(&str, &str)] = &[
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "strict-origin-when-cross-origin"),
    ("x-frame-options", "SAMEORIGIN"),
    ("cross-origin-opener-policy", "same-origin"),
    ("x-permitted-cross-domain-policies", "none"),
];

pub(super) fn header_rule(row: &mut Row<'_>, policy: Policy) -> Option<HeaderRule> {
    let pattern = path(row, "path");
    let (set, add) = (row.pairs("set", header), row.pairs("add", header));
    let remove = row.list("remove", field_name);
    let (set, add, remove) = (set?, add?, remove?);
    if set.is_empty() && add.is_empty() && remove.is_empty() {
        let remedy = "say what to do with which field, or remove the row";
        return row.refuse("set", "nothing".into(), "one of set, add and remove".into(), remedy.into());
    }
    Some(HeaderRule { path: single(pattern?, policy), set, add, remove })
}

fn header(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    Some((field_name(name)?, HeaderValue::from_str(value).ok()?))
}

/// Fields that say how a message is framed are not the configuration's to write, nor to take: a body that its app has
/// encoded cannot be read without the word that it is.
fn field_name(name: &str) -> Option<HeaderName> {
    let framing = ["content-length", "transfer-encoding", "connection", "content-encoding", "upgrade"];
    value::header_name(name).filter(|name| !framing.contains(&name.as_str()))
}
