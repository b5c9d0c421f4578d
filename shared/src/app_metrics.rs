//! The metrics that an app registers for itself, as an isolate reports them: everything since its start.

use serde::{Deserialize, Serialize};

/// What a metric measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppMetricKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations in buckets.
    Histogram,
}

/// One label set of a metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppSeries {
    /// The labels' values, in the order of [`AppFamily::labels`].
    pub labels: Vec<String>,
    /// A counter's or gauge's value, a histogram's sum.
    pub value: f64,
    /// A histogram's observations by bucket, one more than there are bounds; empty otherwise.
    pub counts: Vec<u64>,
}

/// One metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppFamily {
    /// Its name, without the prefix `app_`.
    pub name: String,
    /// What it says.
    pub help: String,
    /// What it measures.
    pub kind: AppMetricKind,
    /// The names of its labels.
    pub labels: Vec<String>,
    /// A histogram's upper bounds, ascending, without infinity; empty otherwise.
    pub buckets: Vec<f64>,
    /// Its label sets.
    pub series: Vec<AppSeries>,
}

/// All of an app's metrics in one isolate.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AppMetrics {
    /// The metrics.
    pub families: Vec<AppFamily>,
    /// Observations that found no label set of their own, since there were too many.
    pub overflowed: u64,
}
