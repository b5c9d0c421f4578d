//! All metrics: names, units and labels live in this file and nowhere else.
//!
//! Base units, prefix `isopod_`. Labels have few values: a route class and never a path, a reason from an enum.

use prometheus::proto::MetricFamily;
use prometheus::{
    CounterVec, Encoder, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

/// Seconds; from a static file to a page that waits for slow loaders.
const LATENCY_BUCKETS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Seconds; a queue that is worth waiting in is short.
const WAIT_BUCKETS: &[f64] = &[0.0001, 0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];

/// Seconds; from what the code cache leaves of a phase to an app that compiles for long.
const START_BUCKETS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 5.0];

/// Seconds; from a spare that takes over to a process that starts.
const RECOVERY_BUCKETS: &[f64] = &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The gateway's metrics, registered. Cheap to clone: every field is a handle.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    /// Answered requests by route class, method and status.
    pub requests: IntCounterVec,
    /// Seconds from a request's head to its response's last byte, by route class.
    pub request_seconds: HistogramVec,
    /// Requests that are being answered.
    pub requests_in_flight: IntGauge,
    /// Requests that were refused, by reason.
    pub refusals: IntCounterVec,
    /// Requests that were turned away and got no line in the access log.
    pub access_lines_skipped: IntCounter,
    /// Requests with fields that only a trusted proxy may send, from somebody else.
    pub forged_forwards: IntCounter,
    /// Connections of clients, open now.
    pub connections: IntGauge,
    /// TLS handshakes by outcome: completed, failed, timeout.
    pub tls_handshakes: IntCounterVec,
    /// Certificates that had changed, by outcome: taken, failed.
    pub tls_reloads: IntCounterVec,
    /// Other builds of the app that were to be served, by outcome: done, failed, refused.
    pub reloads: IntCounterVec,
    /// When each certificate expires, in seconds since 1970, by its number in the configuration.
    pub tls_certificate_expiry: IntGaugeVec,
    /// Early hints by how they were sent: interim (103), link (on the response).
    pub early_hints: IntCounterVec,
    /// Seconds that a job waited for a permit.
    pub queue_wait_seconds: Histogram,
    /// Jobs that wait for a permit now.
    pub queued_jobs: IntGauge,
    /// Jobs that all isolates may run at a time, as they are now.
    pub job_limit: IntGauge,
    /// Jobs that isolates run now.
    pub jobs_in_flight: IntGauge,
    /// Those of them that wait for slow clients and take no place of their isolates.
    pub slow_clients: IntGauge,
    /// Jobs that ended without a whole response, by cause.
    pub job_failures: IntCounterVec,
    /// Jobs that were sent to a second isolate because the first was lost.
    pub job_retries: IntCounter,
    /// Isolates by state: starting, standby, ready, draining.
    pub isolates: IntGaugeVec,
    /// Fn workers by state: starting, ready, draining.
    pub fn_workers: IntGaugeVec,
    /// Child processes that were started again, by kind and reason.
    pub restarts: IntCounterVec,
    /// Pieces of code that isolates needed to become ready, by where they came from: cached, compiled.
    pub loaded_code: IntCounterVec,
    /// Seconds that isolates took to start, by phase: create, boot, load, evaluate, warm, keep.
    pub isolate_start_seconds: HistogramVec,
    /// Isolates that were replaced, by reason.
    pub isolate_replacements: IntCounterVec,
    /// Seconds from the loss of an isolate until as many as there should be are ready again.
    pub recovery_seconds: Histogram,
    /// Seconds from the gateway's learning that a client has gone until the app has heard of it.
    pub abort_seconds: Histogram,
    /// Jobs that were told to come to their end by `abort_delay`.
    pub abort_delays: IntCounter,
    /// Native calls by caller and outcome. Names are not a label: they come from outside.
    pub native_calls: IntCounterVec,
    /// What fn workers refused to read, by reason.
    pub native_refusals: IntCounterVec,
    /// Connections to NATS that are up.
    pub nats_connections: IntGauge,
    /// Fn workers of other machines.
    pub nats_workers: IntGauge,
    /// Connections to NATS that were lost.
    pub nats_disconnects: IntCounter,
    /// Messages from NATS were dropped.
    pub nats_slow: IntCounter,
    /// Functions of which two workers said different things.
    pub nats_conflicts: IntCounter,
    /// Calls over NATS that were lost, by `cause`.
    pub nats_lost_calls: IntCounterVec,
    /// Answers of the app's routes by pattern and class of status; patterns come from the build's manifest.
    pub route_requests: IntCounterVec,
    /// Seconds from a request's head to its response's last byte, by the pattern of the app's route.
    pub route_seconds: HistogramVec,
    /// Requests that were counted in memory because Redis was gone.
    pub rate_limit_fallbacks: IntCounter,
    /// Connections to the Redis server that counts rates, one for each gateway thread.
    pub rate_limit_connections: IntGauge,
    /// Native calls that were sent to a second fn worker because the first was lost.
    pub native_retries: IntCounter,
    /// Promises that finished requests handed to `waitUntil` and that are pending, by renderer and isolate.
    pub background_pending: IntGaugeVec,
    /// Promises handed to `waitUntil`, by outcome: finished, failed, refused, timed_out.
    pub background: IntCounterVec,
    /// Observations of the app's own metrics that had too many label sets.
    pub app_metric_overflows: IntCounter,
    /// Bytes on V8's heap, by renderer and isolate.
    pub isolate_heap_bytes: IntGaugeVec,
    /// Bytes outside V8's heap that objects on it hold, by renderer and isolate.
    pub isolate_external_bytes: IntGaugeVec,
    /// Seconds in which isolates had jobs, by state: idle, or busy, which ran or waited for a core. Where the kernel counts it.
    pub isolate_seconds: CounterVec,
    /// Resident bytes of each process, by kind and slot.
    pub process_resident_bytes: IntGaugeVec,
    /// CPU seconds that each process has used, by kind and slot; a gauge, since a slot's process changes.
    pub process_cpu_seconds: GaugeVec,
}

impl Metrics {
    /// Registers every metric in a registry of its own.
    ///
    /// # Errors
    /// Two metrics with one name: a mistake in this file.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let r = &registry;
        Ok(Self {
            requests: counters(r, "requests_total", "Answered requests.", &["route", "method", "status"])?,
            request_seconds: histograms(
                r,
                "request_duration_seconds",
                "From a request's head to its response's last byte.",
                LATENCY_BUCKETS,
                &["route"],
            )?,
            requests_in_flight: registered(
                r,
                IntGauge::new("isopod_requests_in_flight", "Requests being answered.")?,
            )?,
            refusals: counters(r, "refusals_total", "Requests refused.", &["reason"])?,
            forged_forwards: registered(
                r,
                IntCounter::new(
                    "isopod_forged_forwards_total",
                    "Requests whose X-Forwarded-*, Forwarded, X-Real-IP or X-Request-Id was dropped: no trusted proxy sent it.",
                )?,
            )?,
            access_lines_skipped: registered(
                r,
                IntCounter::new(
                    "isopod_access_lines_skipped_total",
                    "Requests that were turned away and got no line in the access log.",
                )?,
            )?,
            connections: registered(
                r,
                IntGauge::new("isopod_connections", "Connections of clients, open now.")?,
            )?,
            tls_handshakes: counters(r, "tls_handshakes_total", "TLS handshakes.", &["outcome"])?,
            tls_reloads: counters(r, "tls_reloads_total", "Certificates that had changed.", &["outcome"])?,
            reloads: counters(r, "reloads_total", "Other builds that were to be served.", &["outcome"])?,
            tls_certificate_expiry: gauges(
                r,
                "tls_certificate_expiry_timestamp_seconds",
                "When each certificate expires.",
                &["certificate"],
            )?,
            early_hints: counters(r, "early_hints_total", "Early hints by how they were sent.", &["how"])?,
            queue_wait_seconds: registered(
                r,
                Histogram::with_opts(
                    HistogramOpts::new("isopod_queue_wait_seconds", "How long jobs waited for a permit.")
                        .buckets(WAIT_BUCKETS.to_vec()),
                )?,
            )?,
            queued_jobs: registered(r, IntGauge::new("isopod_queued_jobs", "Jobs that wait for a permit.")?)?,
            job_limit: registered(r, IntGauge::new("isopod_job_limit", "Jobs that isolates may run.")?)?,
            jobs_in_flight: registered(
                r,
                IntGauge::new("isopod_jobs_in_flight", "Jobs that isolates run.")?,
            )?,
            slow_clients: registered(
                r,
                IntGauge::new("isopod_slow_clients", "Jobs that wait for slow clients, beside the limit.")?,
            )?,
            job_failures: counters(r, "job_failures_total", "Jobs without a whole response.", &["cause"])?,
            job_retries: registered(
                r,
                IntCounter::new("isopod_job_retries_total", "Jobs sent to a second isolate.")?,
            )?,
            isolates: gauges(r, "isolates", "Isolates by state.", &["state"])?,
            fn_workers: gauges(r, "fn_workers", "Fn workers by state.", &["state"])?,
            restarts: counters(r, "restarts_total", "Child processes started again.", &["kind", "reason"])?,
            loaded_code: counters(
                r,
                "loaded_code_total",
                "Pieces of code that isolates needed to become ready; compiled ones were not in the code cache.",
                &["source"],
            )?,
            isolate_start_seconds: histograms(
                r,
                "isolate_start_seconds",
                "The start of isolates by phase, until they have loaded and warmed the app.",
                START_BUCKETS,
                &["phase"],
            )?,
            isolate_replacements: counters(
                r,
                "isolate_replacements_total",
                "Isolates that were replaced.",
                &["reason"],
            )?,
            recovery_seconds: registered(
                r,
                Histogram::with_opts(
                    HistogramOpts::new(
                        "isopod_recovery_seconds",
                        "From the loss of an isolate until as many as there should be are ready again.",
                    )
                    .buckets(RECOVERY_BUCKETS.to_vec()),
                )?,
            )?,
            abort_seconds: registered(
                r,
                Histogram::with_opts(
                    HistogramOpts::new(
                        "isopod_abort_seconds",
                        "From the gateway's learning that a client has gone until the app has heard of it.",
                    )
                    .buckets(WAIT_BUCKETS.to_vec()),
                )?,
            )?,
            abort_delays: registered(
                r,
                IntCounter::new(
                    "isopod_abort_delays_total",
                    "Jobs told to come to their end by abort_delay.",
                )?,
            )?,
            nats_connections: registered(
                r,
                IntGauge::new("isopod_nats_connections", "Connections to NATS that are up.")?,
            )?,
            nats_workers: registered(
                r,
                IntGauge::new("isopod_nats_workers", "Fn workers of other machines.")?,
            )?,
            nats_disconnects: registered(
                r,
                IntCounter::new("isopod_nats_disconnects_total", "Connections to NATS that were lost.")?,
            )?,
            nats_slow: registered(
                r,
                IntCounter::new(
                    "isopod_nats_slow_consumer_total",
                    "Times that messages from NATS were dropped because the gateway did not take them.",
                )?,
            )?,
            nats_conflicts: registered(
                r,
                IntCounter::new(
                    "isopod_nats_conflicts_total",
                    "Functions of which two fn workers said different things.",
                )?,
            )?,
            nats_lost_calls: counters(
                r,
                "nats_lost_calls_total",
                "Calls over NATS that were lost after they were sent.",
                &["cause"],
            )?,
            native_calls: counters(r, "native_calls_total", "Native calls.", &["caller", "outcome"])?,
            native_refusals: counters(
                r,
                "native_refusals_total",
                "Forms and values that fn workers refused to read.",
                &["reason"],
            )?,
            route_requests: counters(
                r,
                "route_requests_total",
                "Answers of the app's routes.",
                &["pattern", "status"],
            )?,
            route_seconds: histograms(
                r,
                "route_duration_seconds",
                "From a request's head to its response's last byte, by the app's route.",
                LATENCY_BUCKETS,
                &["pattern"],
            )?,
            rate_limit_fallbacks: registered(
                r,
                IntCounter::new(
                    "isopod_rate_limit_fallbacks_total",
                    "Requests counted in memory because Redis was gone.",
                )?,
            )?,
            rate_limit_connections: registered(
                r,
                IntGauge::new(
                    "isopod_rate_limit_redis_connections",
                    "Connections to Redis that count rates.",
                )?,
            )?,
            native_retries: registered(
                r,
                IntCounter::new("isopod_native_retries_total", "Native calls sent to a second fn worker.")?,
            )?,
            background_pending: gauges(
                r,
                "background_work_pending",
                "Promises of waitUntil that are pending.",
                &["renderer", "isolate"],
            )?,
            background: counters(r, "background_work_total", "Promises of waitUntil.", &["outcome"])?,
            app_metric_overflows: registered(
                r,
                IntCounter::new(
                    "isopod_app_metric_overflows_total",
                    "Observations of the app's own metrics counted under the label 'other'.",
                )?,
            )?,
            isolate_heap_bytes: gauges(
                r,
                "isolate_heap_bytes",
                "Bytes on V8's heap.",
                &["renderer", "isolate"],
            )?,
            isolate_external_bytes: gauges(
                r,
                "isolate_external_bytes",
                "Bytes outside V8's heap held from it.",
                &["renderer", "isolate"],
            )?,
            isolate_seconds: registered(
                r,
                CounterVec::new(
                    Opts::new(
                        "isopod_isolate_seconds_total",
                        "Time in which isolates had jobs; busy is running or waiting for a core.",
                    ),
                    &["state"],
                )?,
            )?,
            process_resident_bytes: gauges(
                r,
                "process_resident_bytes",
                "Resident bytes of each process.",
                &["kind", "slot"],
            )?,
            process_cpu_seconds: registered(
                r,
                GaugeVec::new(
                    Opts::new("isopod_process_cpu_seconds", "CPU time that each process has used."),
                    &["kind", "slot"],
                )?,
            )?,
            registry,
        })
    }

    /// All metrics in Prometheus' text format, with those of the app behind them.
    ///
    /// # Errors
    /// When a metric cannot be written as text: a mistake in this file.
    pub fn render(&self, app: &[MetricFamily]) -> prometheus::Result<Vec<u8>> {
        let mut text = Vec::with_capacity(16 * 1024);
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        TextEncoder::new().encode(app, &mut text)?;
        Ok(text)
    }
}

fn registered<C: prometheus::core::Collector + Clone + 'static>(
    registry: &Registry,
    metric: C,
) -> prometheus::Result<C> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn counters(r: &Registry, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
    registered(r, IntCounterVec::new(Opts::new(format!("isopod_{name}"), help), labels)?)
}

fn gauges(r: &Registry, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
    registered(r, IntGaugeVec::new(Opts::new(format!("isopod_{name}"), help), labels)?)
}

fn histograms(
    r: &Registry,
    name: &str,
    help: &str,
    buckets: &[f64],
    labels: &[&str],
) -> prometheus::Result<HistogramVec> {
    let opts = HistogramOpts::new(format!("isopod_{name}"), help).buckets(buckets.to_vec());
    registered(r, HistogramVec::new(opts, labels)?)
}
