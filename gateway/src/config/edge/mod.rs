//! What the edge does with requests and responses before the app sees them, and after.

mod access;
mod compression;
mod fields;
mod loops;
mod origins;
mod paths;
mod rates;
mod redirects;
mod routes;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use shared::route::{Policy, Tree};

pub use access::{Access, BasicAuth, Maintenance, User};
pub use compression::{Compression, CompressionMode};
pub use fields::{HeaderRule, Security};
pub use origins::{Cors, Csrf};
pub use rates::{Buckets, RateKey, RateRule};
pub use redirects::{Redirect, Rewrite};
pub use routes::RouteLimit;

use super::read::Reader;

/// The longest time that a row may name.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

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

/// Reads all of it; `None` when any was wrong, which the reader remembers.
pub fn read(reader: &mut Reader<'_>) -> Option<Arc<Edge>> {
    let path_policy = paths::path_policy(reader);
    // What is wrong with paths is said under some policy, whatever is wrong with the policy.
    let policy = path_policy.unwrap_or_default();
    let access = access::access(reader, policy);
    let csrf = origins::csrf(reader, policy);
    let cors = origins::cors(reader, policy);
    let security = fields::security(reader);
    let headers = reader.rows("headers", |row| fields::header_rule(row, policy));
    let rate_limits = reader.rows("rate_limits", |row| rates::rate_rule(row, policy));
    let buckets = rates::buckets(reader);
    let compression = compression::compression(reader);
    let redirects = redirects::redirects(reader, policy);
    let rewrites = redirects::rewrites(reader, policy);
    let route_limits = routes::route_limits(reader, policy);
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
