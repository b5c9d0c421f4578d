//! Requests that other sites cause, and responses that they may read.

use actix_web::http::header::HeaderValue;
use shared::route::{Pattern, Policy, Tree};

use super::DAY;
use super::paths::{path, tree_of, unambiguous};
use crate::config::read::Reader;
use crate::config::value;

/// Requests that other sites cause.
#[derive(Debug)]
pub struct Csrf {
    /// Whether they are looked at.
    pub enabled: bool,
    /// Whether a request that says nothing of where it comes from is refused here.
    pub refuse_unknown: bool,
    /// Origins that count as our own.
    pub trusted: Vec<String>,
    /// Paths that take requests from anywhere.
    pub exempt: Tree<()>,
}

/// Which sites may read the responses of a path.
#[derive(Debug)]
pub struct Cors {
    /// The sites; empty for all.
    pub origins: Vec<String>,
    /// `Access-Control-Allow-Methods`.
    pub methods: HeaderValue,
    /// `Access-Control-Allow-Headers`; `None` for all that are asked for.
    pub headers: Option<HeaderValue>,
    /// `Access-Control-Expose-Headers`.
    pub expose: Option<HeaderValue>,
    /// Whether cookies go along.
    pub credentials: bool,
    /// `Access-Control-Max-Age`, in seconds.
    pub max_age: HeaderValue,
}

pub(super) fn csrf(reader: &mut Reader<'_>, policy: Policy) -> Option<Csrf> {
    let enabled = reader.switch("csrf");
    let refuse_unknown = reader.parsed("csrf_unknown", |text| match text {
        "app" => Some(false),
        "refuse" => Some(true),
        _ => None,
    });
    let trusted = reader.texts("csrf_trusted_origin", value::origin);
    let exempt = reader.texts("csrf_exempt", |text| Pattern::parse(text).ok());
    let exempt = tree_of(policy, exempt?.into_iter().map(|pattern| (pattern, ()))).0;
    Some(Csrf { enabled: enabled?, refuse_unknown: refuse_unknown?, trusted: trusted?, exempt })
}

pub(super) fn cors(reader: &mut Reader<'_>, policy: Policy) -> Option<Tree<Cors>> {
    let rows = reader.rows("cors", |row| {
        let pattern = path(row, "path");
        let any = |text: &str| (text == "*").then(|| text.to_owned());
        let origins = row.list("origins", |text| any(text).or_else(|| value::origin(text)));
        let methods = row.list("methods", value::method);
        let headers =
            row.list("headers", |text| any(text).or_else(|| Some(value::header_name(text)?.to_string())));
        let expose = row.list("expose", |text| Some(value::header_name(text)?.to_string()));
        let credentials = row.flag("credentials");
        let max_age = row.parsed("max_age", |text| value::duration(text).filter(|time| *time <= DAY));
        let (mut origins, credentials) = (origins?, credentials?);
        if origins.iter().any(|origin| origin == "*") {
            if credentials || origins.len() > 1 {
                let allowed = "origins = [\"*\"] alone and without credentials, or origins by name";
                let remedy = "name the origins: with cookies, any site could read what a visitor may";
                return row.refuse("origins", format!("{origins:?}"), allowed.into(), remedy.into());
            }
            origins.clear();
        }
        let list = |texts: &[String]| HeaderValue::from_str(&texts.join(", ")).ok();
        let (headers, expose) = (headers?, expose?);
        let methods: Vec<String> = methods?.iter().map(ToString::to_string).collect();
        Some((
            pattern?,
            Cors {
                origins,
                methods: list(&methods)?,
                headers: if headers.iter().any(|name| name == "*") { None } else { Some(list(&headers)?) },
                expose: if expose.is_empty() { None } else { Some(list(&expose)?) },
                credentials,
                max_age: HeaderValue::from(max_age?.as_secs()),
            },
        ))
    })?;
    unambiguous(reader, "cors", "path", policy, rows)
}
