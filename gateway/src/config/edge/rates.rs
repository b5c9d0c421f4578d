//! How often clients may ask, and where that is counted.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::HeaderName;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use shared::route::{Policy, Tree};

use super::DAY;
use super::paths::{path, single};
use crate::config::read::Reader;
use crate::config::rows::Row;
use crate::config::value;

/// How often clients may ask for a path.
#[derive(Debug)]
pub struct RateRule {
    /// Names the rule in Redis: what is counted and how much.
    pub id: String,
    /// The path.
    pub path: Tree<()>,
    /// These methods; empty for all.
    pub methods: Vec<Method>,
    /// Who a client is.
    pub key: RateKey,
    /// Requests within the window.
    pub limit: u32,
    /// The window.
    pub window: Duration,
    /// Requests at once.
    pub burst: u32,
}

/// Who a client is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RateKey {
    /// Its address.
    Ip,
    /// A header's value.
    Header(HeaderName),
    /// A cookie's value.
    Cookie(String),
}

/// Where buckets are kept.
#[derive(Debug, Clone)]
pub struct Buckets {
    /// The most that this process keeps.
    pub most: usize,
    /// The server that several gateways share.
    pub redis: Option<String>,
    /// The authorities of its certificate, PEM; `None` for the system's.
    pub redis_ca: Option<Arc<[u8]>>,
    /// How long an answer of it may take.
    pub redis_timeout: Duration,
}

pub(super) fn rate_rule(row: &mut Row<'_>, policy: Policy) -> Option<RateRule> {
    let count = |text: &str| text.parse::<u32>().ok().filter(|count| (1..=1_000_000).contains(count));
    let pattern = path(row, "path");
    let methods = row.list("methods", value::method);
    let key = row.parsed("key", rate_key);
    let (limit, burst) = (row.parsed("limit", count), row.optional("burst", count));
    let window = row.parsed("window", |text| {
        value::duration(text).filter(|time| (Duration::from_secs(1)..=DAY).contains(time))
    });
    let (pattern, key, limit, window) = (pattern?, key?, limit?, window?);
    let methods = methods?;
    let id = format!("{pattern} {methods:?} {key:?} {limit}/{}ms", window.as_millis());
    let burst = burst?.unwrap_or(limit);
    Some(RateRule { id, path: single(pattern, policy), methods, key, limit, window, burst })
}

fn rate_key(text: &str) -> Option<RateKey> {
    match text.split_once(':') {
        None => (text == "ip").then_some(RateKey::Ip),
        Some(("header", name)) => value::header_name(name).map(RateKey::Header),
        Some(("cookie", name)) => value::header_name(name).map(|_| RateKey::Cookie(name.to_owned())),
        Some(_) => None,
    }
}

pub(super) fn buckets(reader: &mut Reader<'_>) -> Option<Buckets> {
    let most = reader.count("rate_limit_keys");
    let redis = match reader.is_given("rate_limit_redis") {
        true => reader.parsed("rate_limit_redis", value::redis_url).map(Some),
        false => Some(None),
    };
    let redis_ca = match reader.path("rate_limit_redis_ca") {
        None if reader.is_given("rate_limit_redis_ca") => None,
        None => Some(None),
        Some(file) => authorities(reader, &file, redis.as_ref().and_then(|url| url.as_deref())).map(Some),
    };
    let redis_timeout = reader.time("rate_limit_redis_timeout");
    Some(Buckets { most: most?, redis: redis?, redis_ca: redis_ca?, redis_timeout: redis_timeout? })
}

/// The largest file of authorities, in bytes.
const MAX_AUTHORITIES_BYTES: u64 = 1 << 20;

/// The authorities that a Redis server's certificate is checked against.
fn authorities(reader: &mut Reader<'_>, file: &Path, url: Option<&str>) -> Option<Arc<[u8]>> {
    let key = "rate_limit_redis_ca";
    if !url.is_some_and(|url| url.starts_with("rediss:")) {
        let allowed = "nothing, unless rate_limit_redis is a rediss:// URL";
        let remedy = "leave it out, or begin rate_limit_redis with rediss://";
        reader.refuse(key, file.display().to_string(), allowed.into(), remedy.into());
        return None;
    }
    let fits = std::fs::metadata(file).map(|meta| meta.len() <= MAX_AUTHORITIES_BYTES);
    let given = match (fits, std::fs::read(file)) {
        (Ok(true), Ok(pem)) if holds_certificates(&pem) => return Some(pem.into()),
        (Ok(true), Ok(_)) => format!("{}: it holds no certificates, or broken ones", file.display()),
        (Ok(false), _) => format!("{}: it is larger", file.display()),
        (Err(error), _) | (_, Err(error)) => format!("{}: {error}", file.display()),
    };
    let allowed = "a file of certificates in PEM of at most 1MiB, which can be read";
    reader.refuse(key, given, allowed.into(), "correct the path, or leave the key out".into());
    None
}

fn holds_certificates(pem: &[u8]) -> bool {
    let mut store = RootCertStore::empty();
    let mut certificates = CertificateDer::pem_slice_iter(pem);
    certificates.all(|certificate| certificate.is_ok_and(|der| store.add(der).is_ok())) && !store.is_empty()
}
