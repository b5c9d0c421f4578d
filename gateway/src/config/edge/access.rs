//! Who may come in: addresses, a closed site, passwords.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::http::header::HeaderValue;
use ipnet::IpNet;
use shared::route::{Policy, Tree};

use super::paths::{path, unambiguous};
use crate::config::read::Reader;
use crate::config::value;

/// Who may come in.
#[derive(Debug)]
pub struct Access {
    /// Only these, unless empty.
    pub allow: Vec<IpNet>,
    /// None of these.
    pub deny: Vec<IpNet>,
    /// What happens while the site is closed.
    pub maintenance: Maintenance,
    /// Paths that ask for a password.
    pub basic_auth: Tree<BasicAuth>,
}

/// A site that can be closed while it runs.
#[derive(Debug)]
pub struct Maintenance {
    closed: AtomicBool,
    /// Who may come in nevertheless.
    pub allow: Vec<IpNet>,
    /// When the others may try again, in seconds.
    pub retry_after: HeaderValue,
    /// The page that they see instead of the plain one.
    pub page: Option<String>,
}

impl Maintenance {
    /// A site that is `closed` at first; `retry_after` in seconds.
    pub fn new(closed: bool, allow: Vec<IpNet>, retry_after: u64, page: Option<String>) -> Self {
        Self { closed: AtomicBool::new(closed), allow, retry_after: HeaderValue::from(retry_after), page }
    }

    /// Whether it is closed now.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Closes or opens it, for all requests from now on.
    pub fn set_closed(&self, closed: bool) {
        self.closed.store(closed, Ordering::Relaxed);
    }
}

/// A door.
#[derive(Debug)]
pub struct BasicAuth {
    /// `WWW-Authenticate`.
    pub challenge: HeaderValue,
    /// Who may enter.
    pub users: Vec<User>,
}

/// A name and the SHA-256 of its password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// The password's digest.
    pub digest: [u8; 32],
}

pub(super) fn access(reader: &mut Reader<'_>, policy: Policy) -> Option<Access> {
    let (allow, deny) = (reader.networks("ip_allow"), reader.networks("ip_deny"));
    let maintenance = maintenance(reader);
    let rows = reader.rows("basic_auth", |row| {
        let pattern = path(row, "path");
        let plain = |text: &str| {
            text.bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\')
        };
        let realm = row.parsed("realm", |text| plain(text).then(|| text.to_owned()));
        let users = row.list("users", value::user);
        let challenge = format!("Basic realm=\"{}\", charset=\"UTF-8\"", realm?);
        Some((pattern?, BasicAuth { challenge: HeaderValue::from_str(&challenge).ok()?, users: users? }))
    });
    let basic_auth = rows.and_then(|rows| unambiguous(reader, "basic_auth", "path", policy, rows));
    Some(Access { allow: allow?, deny: deny?, maintenance: maintenance?, basic_auth: basic_auth? })
}

fn maintenance(reader: &mut Reader<'_>) -> Option<Maintenance> {
    let on = reader.switch("maintenance");
    let allow = reader.networks("maintenance_allow");
    let retry_after = reader.time("maintenance_retry_after");
    let page = match reader.path("maintenance_page") {
        None if reader.is_given("maintenance_page") => None,
        None => Some(None),
        Some(file) => page(reader, &file).map(Some),
    };
    Some(Maintenance::new(on?, allow?, retry_after?.as_secs(), page?))
}

/// The largest page that is held for a closed site, in bytes.
const MAX_PAGE_BYTES: u64 = 1 << 20;

fn page(reader: &mut Reader<'_>, file: &Path) -> Option<String> {
    let fits = std::fs::metadata(file).map(|meta| meta.len() <= MAX_PAGE_BYTES);
    let given = match (fits, std::fs::read_to_string(file)) {
        (Ok(true), Ok(page)) => return Some(page),
        (Ok(false), _) => format!("{}: it is larger", file.display()),
        (Err(error), _) | (_, Err(error)) => format!("{}: {error}", file.display()),
    };
    let allowed = "a file of HTML in UTF-8 of at most 1MiB, which can be read";
    reader.refuse("maintenance_page", given, allowed.into(), "correct the path, or leave the key out".into());
    None
}
