//! The work of the child processes.

use std::time::Duration;

use shared::setup::BackgroundLimits;

use super::UNLIMITED;
use crate::admission::breaker::BreakerSettings;
use crate::admission::class::Shares;
use crate::config::read::Reader;

/// The work of the child processes.
#[derive(Debug, Clone)]
pub struct Jobs {
    /// How long a request waits for an isolate.
    pub queue_wait: Duration,
    /// Requests that wait at a time.
    pub queue_limit: usize,
    /// How long a gateway thread rests after refusals for want of room.
    pub refusal_pause: Duration,
    /// Requests that one isolate answers at a time.
    pub max_jobs_per_isolate: usize,
    /// How far that number may fall by itself.
    pub min_jobs_per_isolate: usize,
    /// Streams of events that one isolate feeds beside them.
    pub max_event_streams_per_isolate: usize,
    /// Requests that wait for slow clients and count as none of them.
    pub max_slow_clients_per_isolate: usize,
    /// Who gets how much while all classes wait.
    pub shares: Shares,
    /// When a route is given a rest.
    pub breaker: BreakerSettings,
    /// Whether links that pages need are sent before them.
    pub early_hints: bool,
    /// How long the app may take until its response begins.
    pub job_timeout: Duration,
    /// After so long a request's signal aborts; zero never does.
    pub abort_delay: Duration,
    /// So much later the job is closed.
    pub abort_grace: Duration,
    /// How long a native function may take.
    pub native_call_timeout: Duration,
    /// Whether the app is asked to add a `Link` field to its pages.
    pub response_link_header: bool,
    /// What finished requests may leave behind.
    pub background: BackgroundLimits,
}

pub(super) fn jobs(reader: &mut Reader<'_>) -> Option<Jobs> {
    let (queue_wait, queue_limit) = (reader.time("queue_wait"), reader.count("queue_limit"));
    let refusal_pause = reader.time("refusal_pause");
    let max_jobs_per_isolate = reader.count("max_jobs_per_isolate");
    let job_timeout = match reader.is_given("inspect") && !reader.is_given("job_timeout") {
        // A job that stands at a breakpoint is not late.
        true => Some(UNLIMITED),
        false => reader.time("job_timeout"),
    };
    let native_call_timeout = reader.time("native_call_timeout");
    let (background_limit, background_timeout) =
        (reader.count("background_limit"), reader.time("background_timeout"));
    let (min_jobs_per_isolate, max_event_streams_per_isolate) =
        (reader.count("min_jobs_per_isolate"), reader.count("max_event_streams_per_isolate"));
    let max_slow_clients_per_isolate = reader.count("max_slow_clients_per_isolate");
    let shares = ["share_document", "share_server_function", "share_prefetch"].map(|name| reader.count(name));
    let (breaker_failures, breaker_pause) = (reader.count("breaker_failures"), reader.time("breaker_pause"));
    let early_hints = reader.switch("early_hints");
    let response_link_header = reader.switch("response_link_header");
    let (abort_delay, abort_grace) = (reader.time("abort_delay"), reader.time("abort_grace"));
    Some(Jobs {
        queue_wait: queue_wait?,
        queue_limit: queue_limit?,
        refusal_pause: refusal_pause?,
        max_jobs_per_isolate: max_jobs_per_isolate?,
        min_jobs_per_isolate: min_jobs_per_isolate?,
        max_event_streams_per_isolate: max_event_streams_per_isolate?,
        max_slow_clients_per_isolate: max_slow_clients_per_isolate?,
        shares: shares_of(shares)?,
        breaker: BreakerSettings {
            failures: u32::try_from(breaker_failures?).ok()?,
            pause: breaker_pause?,
            ..BreakerSettings::default()
        },
        early_hints: early_hints?,
        job_timeout: job_timeout?,
        abort_delay: abort_delay?,
        abort_grace: abort_grace?,
        native_call_timeout: native_call_timeout?,
        response_link_header: response_link_header?,
        background: BackgroundLimits {
            max_pending: u32::try_from(background_limit?).ok()?,
            limit_ms: u32::try_from(background_timeout?.as_millis()).ok()?,
        },
    })
}

fn shares_of([document, server_function, prefetch]: [Option<usize>; 3]) -> Option<Shares> {
    let share = |count: Option<usize>| u32::try_from(count?).ok();
    Some(Shares::new([share(document)?, share(server_function)?, share(prefetch)?]))
}
