//! The admin port's numbers, read from Prometheus' text format.

use std::collections::BTreeMap;

/// One reading of all metrics.
#[derive(Debug, Clone)]
pub struct Metrics {
    samples: Vec<Sample>,
}

#[derive(Debug, Clone)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Metrics {
    /// Reads the text of `/metrics`.
    ///
    /// # Panics
    /// When a line is no sample.
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self { samples: lines.map(parse_sample).collect() }
    }

    /// The sum over all samples of this name that have these labels; 0 when there is none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let wanted = |sample: &&Sample| {
            sample.name == name
                && labels
                    .iter()
                    .all(|(label, value)| sample.labels.get(*label).is_some_and(|own| own == value))
        };
        self.samples.iter().filter(wanted).map(|sample| sample.value).sum()
    }

    /// Whether there is a sample of this name.
    pub fn has(&self, name: &str) -> bool {
        self.samples.iter().any(|sample| sample.name == name)
    }

    /// Isolates in this state.
    pub fn isolates(&self, state: &str) -> f64 {
        self.sum("isopod_isolates", &[("state", state)])
    }

    /// Jobs that isolates run now.
    pub fn jobs_in_flight(&self) -> f64 {
        self.sum("isopod_jobs_in_flight", &[])
    }
}

fn parse_sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, labels.trim_end_matches('}')),
        None => (series, ""),
    };
    // No label of ours holds a comma or a quote: they come from enums.
    let labels = labels.split(',').filter_map(|label| label.split_once('='));
    let labels = labels.map(|(label, value)| (label.into(), value.trim_matches('"').into())).collect();
    let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
    Sample { name: name.into(), labels, value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_summed_by_label() {
        let metrics = Metrics::parse(
            "# HELP x y\n# TYPE x counter\nx{a=\"1\",b=\"2\"} 3\nx{a=\"1\",b=\"3\"} 4\nx{a=\"2\"} 5\ny 0.5\n",
        );
        assert_eq!(metrics.sum("x", &[("a", "1")]), 7.0);
        assert_eq!(metrics.sum("x", &[]), 12.0);
        assert_eq!(metrics.sum("y", &[]), 0.5);
        assert_eq!(metrics.sum("z", &[]), 0.0);
        assert!(metrics.has("y") && !metrics.has("z"));
    }
}
