//! Takes certificates over when their files change. New ones that are not right leave the old ones in use.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::config::settings::CertificateFiles;
use crate::metrics::Metrics;

use super::Shown;
use super::certificate::{Certificate, CertificateError};

/// What tells one state of the files from another.
type Fingerprint = Vec<Option<(u64, u64, SystemTime)>>;

/// Looks at the files of certificates.
#[derive(Debug)]
pub struct Watcher {
    shown: Shown,
    files: Vec<CertificateFiles>,
    seen: Fingerprint,
    metrics: Metrics,
}

impl Watcher {
    /// Watches the files that `shown` was read from.
    pub fn new(shown: Shown, files: Vec<CertificateFiles>, metrics: Metrics) -> Self {
        let watcher = Self { shown, seen: fingerprint(&files), files, metrics };
        watcher.tell_expiry();
        watcher
    }

    /// Looks again and again; never returns. Not at all when `every` is zero.
    pub async fn run(mut self, every: Duration) {
        if every.is_zero() {
            return;
        }
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look();
        }
    }

    /// Takes changed files over. Says what came of it; `None` when nothing has changed.
    fn look(&mut self) -> Option<Result<(), CertificateError>> {
        let now = fingerprint(&self.files);
        if now == self.seen {
            return None;
        }
        self.seen = now;
        let read = Certificate::read_all(&self.files);
        let outcome = if read.is_ok() { "taken" } else { "failed" };
        self.metrics.tls_reloads.with_label_values(&[outcome]).inc();
        Some(match read {
            Ok(certificates) => {
                tracing::info!(certificates = certificates.len(), "changed certificates were taken over");
                self.shown.replace(certificates);
                self.tell_expiry();
                Ok(())
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(tracing::field::display);
                tracing::error!(%error, cause, "changed certificates are not right; the old ones stay in use");
                Err(error)
            }
        })
    }

    fn tell_expiry(&self) {
        for (number, certificate) in self.shown.certificates.load().iter().enumerate() {
            let expires = certificate.expires.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let gauge = self.metrics.tls_certificate_expiry.with_label_values(&[&number.to_string()]);
            gauge.set(i64::try_from(expires.as_secs()).unwrap_or(i64::MAX));
        }
    }
}

fn fingerprint(files: &[CertificateFiles]) -> Fingerprint {
    let of = |path: &Path| {
        let metadata = path.metadata().ok()?;
        Some((metadata.ino(), metadata.len(), metadata.modified().ok()?))
    };
    files.iter().flat_map(|files| [of(&files.chain), of(&files.key)]).collect()
}

#[cfg(test)]
mod tests {
    use super::super::certificate::tests::written;
    use super::*;

    #[test]
    fn changed_files_are_taken_over_and_wrong_ones_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let files = vec![written(dir.path(), "shop.example", (2020, 2120))];
        let metrics = Metrics::new().unwrap();
        let shown = Shown::read(&files).unwrap();
        let mut watcher = Watcher::new(shown.clone(), files.clone(), metrics.clone());
        let serial = || shown.certificates.load()[0].key.cert[0].clone();
        let first = serial();
        assert!(watcher.look().is_none());

        written(dir.path(), "shop.example", (2020, 2121));
        assert!(matches!(watcher.look(), Some(Ok(()))));
        let second = serial();
        assert_ne!(first, second);

        std::fs::write(&files[0].key, "no key").unwrap();
        assert!(matches!(watcher.look(), Some(Err(CertificateError::NoKey { .. }))));
        assert!(watcher.look().is_none(), "a failure is told once");
        assert_eq!(serial(), second, "the old one stays");
        let count = |outcome| metrics.tls_reloads.with_label_values(&[outcome]).get();
        assert_eq!((count("taken"), count("failed")), (1, 1));
    }
}
