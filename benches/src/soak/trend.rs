//! The slope of the line through samples, by least squares. Pure.

use super::sample::Sample;

/// How much `figure` grows in ten minutes; 0 for fewer than two samples.
#[expect(clippy::cast_precision_loss, reason = "there are few samples")]
pub fn per_ten_minutes(samples: &[Sample], figure: impl Fn(&Sample) -> f64) -> f64 {
    let count = samples.len() as f64;
    let mean = |of: &dyn Fn(&Sample) -> f64| samples.iter().map(of).sum::<f64>() / count;
    let (time, value) = (mean(&|sample| sample.seconds), mean(&figure));
    let (mut together, mut alone) = (0.0, 0.0);
    for sample in samples {
        let apart = sample.seconds - time;
        together += apart * (figure(sample) - value);
        alone += apart * apart;
    }
    if alone > 0.0 { together / alone * 600.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::super::outcome::Failures;
    use super::*;

    fn sample(seconds: f64, heap_used: f64) -> Sample {
        Sample {
            seconds,
            heap_used,
            renderer_resident: 0.0,
            gateway_resident: 0.0,
            external: 0.0,
            answers: 0,
            failures: Failures::default(),
            p50_millis: 0.0,
            p90_millis: 0.0,
            p99_millis: 0.0,
            p999_millis: 0.0,
        }
    }

    #[test]
    fn a_line_has_its_slope_and_noise_has_none() {
        let line: Vec<_> = (0..100).map(|n| sample(f64::from(n) * 10.0, 50.0 + f64::from(n))).collect();
        assert!((per_ten_minutes(&line, |sample| sample.heap_used) - 60.0).abs() < 1e-9);
        let noise: Vec<_> = (0..100).map(|n| sample(f64::from(n), f64::from(n % 2))).collect();
        assert!(per_ten_minutes(&noise, |sample| sample.heap_used).abs() < 1.0);
        assert_eq!(per_ten_minutes(&[], |sample| sample.heap_used).to_bits(), 0.0_f64.to_bits());
    }
}
