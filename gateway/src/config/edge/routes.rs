//! What single routes of the app may take.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use shared::route::{Policy, Tree};

use super::DAY;
use super::paths::{path, unambiguous};
use crate::config::read::Reader;
use crate::config::value;

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

pub(super) fn route_limits(reader: &mut Reader<'_>, policy: Policy) -> Option<Tree<RouteLimit>> {
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
