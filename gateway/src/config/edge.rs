//! What the edge does with requests and responses before the app sees them, and after.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use ipnet::IpNet;
use shared::route::flow::Paths;
use shared::route::pattern::Segment;
use shared::route::{CasePolicy, Pattern, Policy, Target, TrailingSlash, Tree, TreeBuilder};

use super::read::Reader;
use super::rows::Row;
use super::value;

/// All of it.
#[derive(Debug)]
pub struct Edge {
    /// Who may come in.
    pub access: Access,
    /// Requests that other sites cause.
    pub csrf: Csrf,
    /// Which other sites may read responses; the most specific path counts.
    pub cors: Tree<Cors>,
    /// Security fields of responses.
    pub security: Security,
    /// Fields of responses; all that match apply.
    pub headers: Vec<HeaderRule>,
    /// How often clients may ask; all that match count.
    pub rate_limits: Vec<RateRule>,
    /// Where buckets are kept.
    pub buckets: Buckets,
    /// Which bodies are compressed.
    pub compression: Compression,
    /// Paths that are elsewhere.
    pub redirects: Tree<Redirect>,
    /// Paths that another one answers.
    pub rewrites: Tree<Rewrite>,
    /// What single routes of the app may take.
    pub route_limits: Tree<RouteLimit>,
    /// What counts as equal in paths.
    pub path_policy: Policy,
}

/// What one route of the app may take.
#[derive(Debug)]
pub struct RouteLimit {
    /// Requests at a time.
    pub max_concurrent: Option<usize>,
    /// How long until a response begins.
    pub timeout: Option<Duration>,
    /// How long a request waits for an isolate.
    pub queue_wait: Option<Duration>,
    /// Requests that run now, over all gateway threads.
    pub running: Arc<AtomicUsize>,
}

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
    /// How long an answer of it may take.
    pub redis_timeout: Duration,
}

/// Which bodies are compressed.
#[derive(Debug, Clone, Copy)]
pub struct Compression {
    /// What is.
    pub mode: CompressionMode,
    /// Shorter bodies are not, in bytes.
    pub min_bytes: u64,
}

/// What is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompressionMode {
    /// Files that the build has compressed, and whatever else is worth it.
    On,
    /// Files that the build has compressed.
    Static,
    /// Nothing.
    Off,
}

/// Where a path is now.
#[derive(Debug)]
pub struct Redirect {
    /// There.
    pub to: Target,
    /// The status.
    pub status: StatusCode,
    /// Whether the query goes along.
    pub keep_query: bool,
}

/// Which path answers for another.
#[derive(Debug)]
pub struct Rewrite {
    /// This one.
    pub to: Target,
    /// Whether the query goes along.
    pub keep_query: bool,
}

/// Reads all of it; `None` when any was wrong, which the reader remembers.
pub fn read(reader: &mut Reader<'_>) -> Option<Arc<Edge>> {
    let path_policy = path_policy(reader);
    // What is wrong with paths is said under some policy, whatever is wrong with the policy.
    let policy = path_policy.unwrap_or_default();
    let access = access(reader, policy);
    let csrf = csrf(reader, policy);
    let cors = cors(reader, policy);
    let security = security(reader);
    let headers = reader.rows("headers", |row| header_rule(row, policy));
    let rate_limits = reader.rows("rate_limits", |row| rate_rule(row, policy));
    let buckets = buckets(reader);
    let compression = compression(reader);
    let redirects = redirects(reader, policy);
    let rewrites = rewrites(reader, policy);
    let route_limits = route_limits(reader, policy);
    Some(Arc::new(Edge {
        access: access?,
        csrf: csrf?,
        cors: cors?,
        security: security?,
        headers: headers?,
        rate_limits: rate_limits?,
        buckets: buckets?,
        compression: compression?,
        redirects: redirects?,
        rewrites: rewrites?,
        route_limits: route_limits?,
        path_policy: path_policy?,
    }))
}

fn path_policy(reader: &mut Reader<'_>) -> Option<Policy> {
    let case = reader.parsed("path_case", |text| match text {
        "insensitive" => Some(CasePolicy::Insensitive),
        "sensitive" => Some(CasePolicy::Sensitive),
        _ => None,
    });
    let trailing_slash = reader.parsed("path_trailing_slash", |text| match text {
        "ignore" => Some(TrailingSlash::Ignore),
        "strict" => Some(TrailingSlash::Strict),
        _ => None,
    });
    Some(Policy { case: case?, trailing_slash: trailing_slash? })
}

/// A tree that holds one path.
fn single(pattern: Pattern, policy: Policy) -> Tree<()> {
    tree_of(policy, [(pattern, ())]).0
}

/// The tree of these, and the positions of those that conflict with an earlier one.
fn tree_of<T>(policy: Policy, rows: impl IntoIterator<Item = (Pattern, T)>) -> (Tree<T>, Vec<Clash>) {
    let mut builder = TreeBuilder::new(policy);
    let mut clashes = Vec::new();
    for (row, (pattern, value)) in rows.into_iter().enumerate() {
        if let Err(conflict) = builder.insert(pattern, value) {
            clashes.push(Clash { row: row + 1, text: conflict.to_string() });
        }
    }
    (builder.build(), clashes)
}

/// Two rows between which a path cannot choose.
struct Clash {
    row: usize,
    text: String,
}

/// The tree of a list of tables, or the rows that are ambiguous.
fn unambiguous<T>(
    reader: &mut Reader<'_>,
    name: &'static str,
    field: &str,
    policy: Policy,
    rows: Vec<(Pattern, T)>,
) -> Option<Tree<T>> {
    let (tree, clashes) = tree_of(policy, rows);
    let fine = clashes.is_empty();
    for Clash { row, text } in clashes {
        let allowed = "paths of which one is more specific wherever two match".to_owned();
        let remedy = "remove one of the two rows, or make one's path more specific".to_owned();
        reader.refuse_row(name, field, row, text, allowed, remedy);
    }
    fine.then_some(tree)
}

fn path(row: &mut Row<'_>, field: &'static str) -> Option<Pattern> {
    row.checked(field, Pattern::parse)
}

fn access(reader: &mut Reader<'_>, policy: Policy) -> Option<Access> {
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

fn csrf(reader: &mut Reader<'_>, policy: Policy) -> Option<Csrf> {
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

fn cors(reader: &mut Reader<'_>, policy: Policy) -> Option<Tree<Cors>> {
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

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn security(reader: &mut Reader<'_>) -> Option<Security> {
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

fn header_rule(row: &mut Row<'_>, policy: Policy) -> Option<HeaderRule> {
    let pattern = path(row, "path");
    let (set, add) = (row.pairs("set", header), row.pairs("add", header));
    let remove = row.list("remove", value::header_name);
    let (set, add, remove) = (set?, add?, remove?);
    if set.is_empty() && add.is_empty() && remove.is_empty() {
        let remedy = "say what to do with which field, or remove the row";
        return row.refuse("set", "nothing".into(), "one of set, add and remove".into(), remedy.into());
    }
    Some(HeaderRule { path: single(pattern?, policy), set, add, remove })
}

/// Fields that say how a message is framed are not the configuration's to write.
fn header(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    let name = value::header_name(name)?;
    let framing = ["content-length", "transfer-encoding", "connection", "content-encoding", "upgrade"];
    let value = HeaderValue::from_str(value).ok()?;
    (!framing.contains(&name.as_str())).then_some((name, value))
}

fn rate_rule(row: &mut Row<'_>, policy: Policy) -> Option<RateRule> {
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

fn route_limits(reader: &mut Reader<'_>, policy: Policy) -> Option<Tree<RouteLimit>> {
    let rows = reader.rows("route_limits", |row| {
        let pattern = path(row, "path");
        let max_concurrent = row.optional("max_concurrent", |text| {
            text.parse::<usize>().ok().filter(|count| (1..=100_000).contains(count))
        });
        let within = |text: &str, least: Duration, most: Duration| {
            value::duration(text).filter(|time| (least..=most).contains(time))
        };
        let timeout = row.optional("timeout", |text| within(text, Duration::from_millis(100), DAY));
        let queue_wait =
            row.optional("queue_wait", |text| within(text, Duration::ZERO, Duration::from_secs(60)));
        let running = Arc::default();
        let (max_concurrent, timeout, queue_wait) = (max_concurrent?, timeout?, queue_wait?);
        Some((pattern?, RouteLimit { max_concurrent, timeout, queue_wait, running }))
    })?;
    unambiguous(reader, "route_limits", "path", policy, rows)
}

fn rate_key(text: &str) -> Option<RateKey> {
    match text.split_once(':') {
        None => (text == "ip").then_some(RateKey::Ip),
        Some(("header", name)) => value::header_name(name).map(RateKey::Header),
        Some(("cookie", name)) => value::header_name(name).map(|_| RateKey::Cookie(name.to_owned())),
        Some(_) => None,
    }
}

fn buckets(reader: &mut Reader<'_>) -> Option<Buckets> {
    let most = reader.count("rate_limit_keys");
    let redis = match reader.is_given("rate_limit_redis") {
        true => reader.parsed("rate_limit_redis", value::redis_url).map(Some),
        false => Some(None),
    };
    let redis_timeout = reader.time("rate_limit_redis_timeout");
    Some(Buckets { most: most?, redis: redis?, redis_timeout: redis_timeout? })
}

fn compression(reader: &mut Reader<'_>) -> Option<Compression> {
    let mode = reader.parsed("compression", |text| match text {
        "on" => Some(CompressionMode::On),
        "static" => Some(CompressionMode::Static),
        "off" => Some(CompressionMode::Off),
        _ => None,
    });
    let min_bytes = reader.size("compression_min_size");
    Some(Compression { mode: mode?, min_bytes: min_bytes? })
}

fn redirects(reader: &mut Reader<'_>, policy: Policy) -> Option<Tree<Redirect>> {
    let rows = reader.rows("redirects", |row| {
        let from = path(row, "from");
        let status = row.parsed("status", |text| {
            let status = text.parse().ok().filter(|status| [301, 302, 303, 307, 308].contains(status))?;
            StatusCode::from_u16(status).ok()
        });
        let keep_query = row.flag("keep_query");
        let from = from?;
        let to = row.checked("to", |text| Target::parse(text, &from))?;
        Some((from, Redirect { to, status: status?, keep_query: keep_query? }))
    })?;
    let ways: Vec<_> = rows.iter().map(|(from, redirect)| (from, redirect.to.own_path())).collect();
    let fine = refuse_loops(reader, "redirects", &ways);
    let tree = unambiguous(reader, "redirects", "from", policy, rows);
    tree.filter(|_| fine)
}

fn rewrites(reader: &mut Reader<'_>, policy: Policy) -> Option<Tree<Rewrite>> {
    let rows = reader.rows("rewrites", |row| {
        let from = path(row, "from");
        let keep_query = row.flag("keep_query");
        let from = from?;
        let to = row.checked("to", |text| Target::parse(text, &from))?;
        if to.own_path().is_none() {
            let remedy = "use [[redirects]] to lead to another site";
            return row.refuse(
                "to",
                "a URL of another site".into(),
                "a path of this site".into(),
                remedy.into(),
            );
        }
        Some((from, Rewrite { to, keep_query: keep_query? }))
    })?;
    let ways: Vec<_> = rows.iter().map(|(from, rewrite)| (from, rewrite.to.own_path())).collect();
    let fine = refuse_loops(reader, "rewrites", &ways);
    let tree = unambiguous(reader, "rewrites", "from", policy, rows);
    tree.filter(|_| fine)
}

/// A row's path and its target on this site.
type Way<'a> = (&'a Pattern, Option<&'a Pattern>);

/// Says which rows may lead back to themselves: the paths of each are followed through all rows that take them.
fn refuse_loops(reader: &mut Reader<'_>, name: &'static str, ways: &[Way<'_>]) -> bool {
    let loops = Loops::of(ways);
    let mut fine = true;
    let mut told = HashSet::new();
    for start in 0..ways.len() {
        let Some(way) = loops.way_back(start) else { continue };
        fine = false;
        // Each loop is told once, at its first row.
        if way.iter().any(|row| told.contains(row)) {
            continue;
        }
        told.extend(way.iter().copied());
        let steps = way.iter().map(|row| format!("{} -> row {}", ways[*row].0, row + 1));
        let given = format!("{} -> {}", steps.collect::<Vec<_>>().join(" -> "), ways[start].0);
        let allowed = "rows whose targets do not lead back".to_owned();
        let remedy = "make from more specific, or to a path that no row takes".to_owned();
        reader.refuse_row(name, "to", start + 1, format!("a loop: {given}"), allowed, remedy);
    }
    fine
}

/// The most different sets of paths with which one row is tried again while a loop is looked for.
const MAX_VISITS: usize = 8;

/// Rows, by what their paths begin with: thousands of redirects are not tried in pairs.
struct Loops<'a> {
    ways: &'a [Way<'a>],
    by_first: HashMap<String, Vec<usize>>,
    /// Those whose paths may begin with anything.
    open: Vec<usize>,
}

impl<'a> Loops<'a> {
    fn of(ways: &'a [Way<'a>]) -> Self {
        let mut loops = Self { ways, by_first: HashMap::new(), open: Vec::new() };
        for (row, (from, _)) in ways.iter().enumerate() {
            match first_literal(from) {
                Some(first) => loops.by_first.entry(first).or_default().push(row),
                None => loops.open.push(row),
            }
        }
        loops
    }

    /// The rows that may take paths which begin so.
    fn takers(&self, first: Option<&str>) -> Vec<usize> {
        match first {
            Some(first) => {
                self.by_first.get(first).into_iter().flatten().chain(&self.open).copied().collect()
            }
            None => (0..self.ways.len()).collect(),
        }
    }

    /// The rows on a shortest way from `start` back to it.
    fn way_back(&self, start: usize) -> Option<Vec<usize>> {
        let (from, to) = self.ways[start];
        let to = to?;
        let left = Paths::of(from).into_iter().flat_map(|paths| paths.through(from, to));
        let mut queue: VecDeque<(Paths, Vec<usize>)> = left.map(|paths| (paths, vec![start])).collect();
        let mut visits: HashMap<usize, HashSet<Paths>> = HashMap::new();
        while let Some((paths, way)) = queue.pop_front() {
            for row in self.takers(paths.first_literal().as_deref()) {
                let (from, to) = self.ways[row];
                // A target on another site is an end; that it takes paths of this row is no loop.
                let Some(to) = to else { continue };
                for next in paths.through(from, to) {
                    if row == start {
                        return Some(way);
                    }
                    let seen = visits.entry(row).or_default();
                    if seen.len() < MAX_VISITS && seen.insert(next.clone()) {
                        queue.push_back((next, way.iter().copied().chain([row]).collect()));
                    }
                }
            }
        }
        None
    }
}

fn first_literal(pattern: &Pattern) -> Option<String> {
    match pattern.segments().first() {
        Some(Segment::Literal(text)) => Some(text.to_ascii_lowercase()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::{Sources, load};

    fn edge(toml: &str) -> Result<Arc<Edge>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        let basics = "app = \"dist\"\nrenderer_bin = \"/bin/sh\"\nfn_worker_bin = \"/bin/sh\"\n";
        std::fs::write(file.path(), format!("{basics}{toml}")).unwrap();
        let sources = Sources::gather(&BTreeMap::new(), &BTreeMap::new(), file.path().to_str());
        load(&sources).map(|settings| settings.edge).map_err(|problems| problems.to_string())
    }

    fn redirects(rows: &[(&str, &str)]) -> Result<Arc<Edge>, String> {
        let row = |(from, to): &(&str, &str)| format!("[[redirects]]\nfrom = {from:?}\nto = {to:?}\n");
        edge(&rows.iter().map(row).collect::<String>())
    }

    #[test]
    fn defaults_refuse_nobody() {
        let edge = edge("").unwrap();
        assert!(!edge.access.maintenance.is_closed() && edge.access.basic_auth.is_empty());
        assert!(edge.rate_limits.is_empty() && edge.redirects.is_empty());
        assert!(edge.csrf.enabled && !edge.csrf.refuse_unknown);
        assert_eq!(edge.compression.mode, CompressionMode::On);
    }

    #[test]
    fn all_problems_of_all_rows_come_together() {
        let text = edge(
            "csrf_exempt = [\"hooks\"]\nmaintenance_page = \"/nowhere.html\"\n\
             [[redirects]]\nfrom = \"a\"\nto = \"/b\"\nstatus = 200\n\
             [[redirects]]\nfrom = \"/a/$id\"\nto = \"/b/$di\"\nkind = 1\n\
             [[rewrites]]\nfrom = \"/x\"\nto = \"https://example.com/\"\n\
             [[headers]]\nset = { \"a b\" = \"c\" }\n[[headers]]\n\
             [[cors]]\norigins = [\"*\"]\ncredentials = true\n\
             [[basic_auth]]\nusers = [\"ann\"]\n\
             [[rate_limits]]\nlimit = 0\nkey = \"name\"\n",
        )
        .unwrap_err();
        for part in [
            "csrf_exempt",
            "maintenance_page",
            "redirects.from, row 1",
            "redirects.status, row 1",
            "redirects.to, row 2",
            "\"di\" is not one of the pattern's",
            "redirects.kind, row 2",
            "rewrites.to, row 1",
            "headers.set, row 1",
            "headers.set, row 2",
            "cors.origins, row 1",
            "basic_auth.users, row 1",
            "rate_limits.limit, row 1",
            "rate_limits.key, row 1",
        ] {
            assert!(text.contains(part), "{part} is not in:\n{text}");
        }
    }

    #[test]
    fn a_loop_is_refused_with_its_steps() {
        for rows in [
            &[("/a", "/b"), ("/b", "/a")][..],
            &[("/a", "/a")],
            &[("/$", "/app/$")],
            &[("/a", "/b"), ("/b/{-$x}", "/c"), ("/C", "/a")],
            &[("/{-$l}/about", "/about")],
        ] {
            let text = redirects(rows).unwrap_err();
            assert_eq!(text.matches("a loop: ").count(), 1, "{text}");
        }
        assert!(redirects(&[("/a", "/b"), ("/b", "/c")]).is_ok());
        assert!(redirects(&[("/$", "https://example.com/$")]).is_ok());
        // A path that has become /posts/.. is not /blog/.. again, whatever else it is.
        assert!(redirects(&[("/blog/$x", "/posts/$x"), ("/{-$l}/about", "/{-$l}/info")]).is_ok());
        let text = redirects(&[("/a", "/b"), ("/b", "/a")]).unwrap_err();
        assert!(text.contains("/a -> row 1 -> /b -> row 2 -> /a"), "{text}");
    }

    #[test]
    fn rows_between_which_no_path_can_choose_are_refused() {
        let text = redirects(&[("/u/$id", "/x"), ("/u/$name", "/y")]).unwrap_err();
        assert!(text.contains("redirects.from, row 2") && text.contains("match the same paths"), "{text}");
    }

    #[test]
    fn thousands_of_redirects_are_read_in_time() {
        let rows: String = (0..10_000)
            .map(|n| format!("[[redirects]]\nfrom = \"/old-{n}/$x\"\nto = \"/new-{n}/$x\"\n"))
            .collect();
        assert_eq!(edge(&rows).unwrap().redirects.len(), 10_000);
    }
}
