//! The app's own metrics, added up over all isolates. Pure: reports in, families out.
//!
//! An isolate reports everything since its start. When it has gone, what it counted stays and what it measured goes:
//! counters and histograms never fall, gauges show who lives.

use std::collections::BTreeMap;

use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use shared::app_metrics::{AppFamily, AppMetricKind, AppMetrics, AppSeries};

use super::slot::{ChildId, IsolateId};

/// Before the name of each.
const PREFIX: &str = "app_";

/// The value of every label of what finds no room.
const OTHER: &str = "other";

/// The longest name, help text or label value, in bytes.
const MAX_TEXT: usize = 1024;

/// The most labels of a metric.
const MAX_LABELS: usize = 8;

/// The most bounds of a histogram.
const MAX_BUCKETS: usize = 64;

/// How much an app may register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppMetricLimits {
    /// Metrics.
    pub metrics: usize,
    /// Label sets of each.
    pub series: usize,
}

/// See the module.
#[derive(Debug)]
pub(super) struct AppTotals {
    limits: AppMetricLimits,
    living: BTreeMap<IsolateId, AppMetrics>,
    /// What those that have gone counted.
    gone: Sum,
}

/// What a report did not add to the totals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Lost {
    /// Observations since the last report that went to the label set `other`.
    pub overflowed: u64,
    /// Metrics that are not as they must be, or too many.
    pub refused: u64,
}

impl AppTotals {
    pub fn new(limits: AppMetricLimits) -> Self {
        Self { limits, living: BTreeMap::new(), gone: Sum::default() }
    }

    /// Takes an isolate's report, which replaces the one before.
    pub fn report(&mut self, isolate: IsolateId, mut metrics: AppMetrics) -> Lost {
        let reported = metrics.families.len();
        metrics.families.retain(is_sound);
        // The pipeline's own come in addition to the app's.
        metrics.families.truncate(self.limits.metrics + OWN_METRICS);
        let refused = reported - metrics.families.len();
        let before = self.living.get(&isolate).map_or(0, |before| before.overflowed);
        let overflowed = metrics.overflowed.saturating_sub(before);
        self.living.insert(isolate, metrics);
        Lost { overflowed, refused: u64::try_from(refused).unwrap_or(u64::MAX) }
    }

    /// A process has gone.
    pub fn retire(&mut self, child: ChildId) {
        let gone: Vec<_> = self.living.keys().filter(|isolate| isolate.child() == child).copied().collect();
        for isolate in gone {
            let Some(metrics) = self.living.remove(&isolate) else { continue };
            let counted = metrics.families.iter().filter(|family| family.kind != AppMetricKind::Gauge);
            counted.for_each(|family| self.gone.add(family, self.limits.series));
        }
    }

    /// The totals, as the text format writes them.
    pub fn families(&self) -> Vec<MetricFamily> {
        let mut sum = self.gone.clone();
        for family in self.living.values().flat_map(|metrics| &metrics.families) {
            sum.add(family, self.limits.series);
        }
        sum.families.into_iter().filter(|(_, total)| !total.series.is_empty()).map(family).collect()
    }
}

/// `render_errors_total` and `hook_failures_total`, which `@isopod/app/pipeline` registers by itself.
const OWN_METRICS: usize = 2;

/// Whether a metric can be shown. The pipeline refuses others, but the isolate runs the app's code.
fn is_sound(family: &AppFamily) -> bool {
    let word = |text: &String| {
        let mut letters = text.bytes();
        text.len() <= MAX_TEXT
            && letters.next().is_some_and(|first| first.is_ascii_lowercase())
            && letters.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    let buckets = match family.kind {
        AppMetricKind::Histogram => {
            (1..=MAX_BUCKETS).contains(&family.buckets.len())
                && family.buckets.iter().all(|bound| bound.is_finite())
                && family.buckets.is_sorted()
        }
        AppMetricKind::Counter | AppMetricKind::Gauge => family.buckets.is_empty(),
    };
    let counts = if family.buckets.is_empty() { 0 } else { family.buckets.len() + 1 };
    let series = |series: &AppSeries| {
        series.value.is_finite()
            && series.counts.len() == counts
            && series.labels.len() == family.labels.len()
            && series.labels.iter().all(|value| value.len() <= MAX_TEXT)
    };
    word(&family.name)
        && family.help.len() <= MAX_TEXT
        && family.labels.len() <= MAX_LABELS
        && family.labels.iter().all(|label| word(label) && label != "le")
        && buckets
        && family.series.iter().all(series)
}

#[derive(Debug, Clone, Default)]
struct Sum {
    families: BTreeMap<String, Total>,
}

#[derive(Debug, Clone)]
struct Total {
    help: String,
    kind: AppMetricKind,
    labels: Vec<String>,
    buckets: Vec<f64>,
    series: BTreeMap<Vec<String>, (f64, Vec<u64>)>,
}

impl Sum {
    /// Adds one isolate's metric. Where two builds disagree on what a name means, the first one is shown.
    fn add(&mut self, family: &AppFamily, max_series: usize) {
        let total = self.families.entry(family.name.clone()).or_insert_with(|| Total {
            help: family.help.clone(),
            kind: family.kind,
            labels: family.labels.clone(),
            buckets: family.buckets.clone(),
            series: BTreeMap::new(),
        });
        if total.kind != family.kind || total.labels != family.labels || total.buckets != family.buckets {
            return;
        }
        for series in &family.series {
            let known = total.series.contains_key(&series.labels);
            // One place is kept for what does not fit.
            let fits = known || total.series.len() + 1 < max_series.max(2);
            let labels = if fits || series.labels.is_empty() {
                series.labels.clone()
            } else {
                vec![OTHER.to_owned(); series.labels.len()]
            };
            let (value, counts) =
                total.series.entry(labels).or_insert_with(|| (0.0, vec![0; series.counts.len()]));
            *value += series.value;
            for (sum, count) in counts.iter_mut().zip(&series.counts) {
                *sum = sum.saturating_add(*count);
            }
        }
    }
}

fn family((name, total): (String, Total)) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(format!("{PREFIX}{name}"));
    family.set_help(total.help);
    family.set_field_type(match total.kind {
        AppMetricKind::Counter => MetricType::COUNTER,
        AppMetricKind::Gauge => MetricType::GAUGE,
        AppMetricKind::Histogram => MetricType::HISTOGRAM,
    });
    let metrics = total.series.into_iter().map(|(values, (value, counts))| {
        let labels = total.labels.iter().zip(values).map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name(name.clone());
            pair.set_value(value);
            pair
        });
        let mut metric = Metric::default();
        metric.set_label(labels.collect());
        match total.kind {
            AppMetricKind::Counter => {
                let mut counter = Counter::default();
                counter.set_value(value);
                metric.set_counter(counter);
            }
            AppMetricKind::Gauge => {
                let mut gauge = Gauge::default();
                gauge.set_value(value);
                metric.set_gauge(gauge);
            }
            AppMetricKind::Histogram => metric.set_histogram(histogram(&total.buckets, value, &counts)),
        }
        metric
    });
    family.set_metric(metrics.collect());
    family
}

fn histogram(bounds: &[f64], sum: f64, counts: &[u64]) -> Histogram {
    let mut cumulative = 0_u64;
    let buckets = bounds.iter().zip(counts).map(|(bound, count)| {
        cumulative = cumulative.saturating_add(*count);
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound);
        bucket.set_cumulative_count(cumulative);
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_sum(sum);
    histogram.set_sample_count(counts.iter().fold(0, |all, count| all.saturating_add(*count)));
    histogram
}

#[cfg(test)]
mod tests {
    use prometheus::TextEncoder;

    use super::*;
    use crate::pool::slot::ChildKind;

    const LIMITS: AppMetricLimits = AppMetricLimits { metrics: 4, series: 3 };

    fn isolate(slot: usize, isolate: usize) -> IsolateId {
        IsolateId { slot, generation: 1, isolate }
    }

    fn one(name: &str, kind: AppMetricKind, labels: &[(&str, &str)], value: f64) -> AppFamily {
        AppFamily {
            name: name.into(),
            help: "Help.".into(),
            kind,
            labels: labels.iter().map(|(name, _)| (*name).into()).collect(),
            buckets: vec![],
            series: vec![AppSeries {
                labels: labels.iter().map(|(_, value)| (*value).into()).collect(),
                value,
                counts: vec![],
            }],
        }
    }

    fn report(families: Vec<AppFamily>) -> AppMetrics {
        AppMetrics { families, overflowed: 0 }
    }

    fn text(totals: &AppTotals) -> String {
        TextEncoder::new().encode_to_string(&totals.families()).unwrap()
    }

    #[test]
    fn isolates_are_added_up_and_what_was_counted_stays() {
        let mut totals = AppTotals::new(LIMITS);
        for (slot, hits) in [(0, 3.0), (1, 4.0)] {
            let hits = one("hits_total", AppMetricKind::Counter, &[("kind", "a")], hits);
            let open = one("open", AppMetricKind::Gauge, &[], 1.0);
            assert_eq!(totals.report(isolate(slot, 0), report(vec![hits, open])), Lost::default());
        }
        assert!(text(&totals).contains("app_hits_total{kind=\"a\"} 7\n"), "{}", text(&totals));
        assert!(text(&totals).contains("app_open 2\n"));
        totals.retire(ChildId { kind: ChildKind::Renderer, slot: 0, generation: 1 });
        assert!(text(&totals).contains("app_hits_total{kind=\"a\"} 7\n"));
        assert!(text(&totals).contains("app_open 1\n"));
        let again = one("hits_total", AppMetricKind::Counter, &[("kind", "a")], 1.0);
        totals.report(IsolateId { generation: 2, ..isolate(0, 0) }, report(vec![again]));
        assert!(text(&totals).contains("app_hits_total{kind=\"a\"} 8\n"));
    }

    #[test]
    fn a_histogram_is_cumulative() {
        let mut totals = AppTotals::new(LIMITS);
        for slot in 0..2 {
            let mut seconds = one("seconds", AppMetricKind::Histogram, &[], 2.5);
            seconds.buckets = vec![0.5, 1.0];
            seconds.series[0].counts = vec![1, 2, 3];
            totals.report(isolate(slot, 0), report(vec![seconds]));
        }
        let text = text(&totals);
        for line in [
            "app_seconds_bucket{le=\"0.5\"} 2\n",
            "app_seconds_bucket{le=\"1\"} 6\n",
            "app_seconds_bucket{le=\"+Inf\"} 12\n",
            "app_seconds_sum 5\n",
            "app_seconds_count 12\n",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
    }

    #[test]
    fn label_sets_beyond_the_limit_are_one() {
        let mut totals = AppTotals::new(LIMITS);
        for slot in 0..5 {
            let value = slot.to_string();
            let hits = one("hits_total", AppMetricKind::Counter, &[("slot", &value)], 1.0);
            totals.report(isolate(slot, 0), report(vec![hits]));
        }
        let families = totals.families();
        assert_eq!(families[0].get_metric().len(), LIMITS.series);
        assert!(text(&totals).contains("app_hits_total{slot=\"other\"} 3\n"), "{}", text(&totals));
    }

    #[test]
    fn what_is_no_metric_is_refused() {
        let mut totals = AppTotals::new(LIMITS);
        let sound = || one("a", AppMetricKind::Counter, &[("b", "c")], 1.0);
        let mut bad = vec![
            AppFamily { name: "a b".into(), ..sound() },
            AppFamily { labels: vec!["le".into()], ..sound() },
            AppFamily { buckets: vec![1.0], ..sound() },
            AppFamily { kind: AppMetricKind::Histogram, ..sound() },
            AppFamily { labels: vec![], ..sound() },
        ];
        bad.push(one("a", AppMetricKind::Gauge, &[], f64::NAN));
        let refused = u64::try_from(bad.len()).unwrap();
        assert_eq!(totals.report(isolate(0, 0), report(bad)), Lost { overflowed: 0, refused });
        let many = (0..20).map(|i| one(&format!("m{i}"), AppMetricKind::Counter, &[], 1.0)).collect();
        assert_eq!(totals.report(isolate(0, 0), report(many)).refused, 14);
        assert_eq!(totals.families().len(), 6);
    }

    #[test]
    fn overflow_is_told_as_it_grows() {
        let mut totals = AppTotals::new(LIMITS);
        for (all, new) in [(5, 5), (7, 2), (7, 0)] {
            let metrics = AppMetrics { families: vec![], overflowed: all };
            assert_eq!(totals.report(isolate(0, 0), metrics), Lost { overflowed: new, refused: 0 });
        }
    }
}
