//! Takes certificates over when their files change. New ones that are not right leave the old ones in use, and are looked at
//! again until they are: one may only begin to be valid, or get its key a moment later.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::config::settings::CertificateFiles;
use crate::metrics::Metrics;

use super::Shown;
use super::certificate::{Certificate, CertificateError};

/// What tells one state of a file from another: its number, its length, and when content or rights changed.
type FileState = Option<(u64, u64, (i64, i64))>;

/// The states of a chain and its key.
type State = [FileState; 2];

/// Looks at the files of certificates.
#[derive(Debug)]
pub struct Watcher {
    shown: Shown,
    watched: Vec<Watched>,
    metrics: Metrics,
}

/// One certificate, which is taken over without regard to the others.
#[derive(Debug)]
struct Watched {
    files: CertificateFiles,
    /// What is shown was read from files in this state.
    taken: State,
    /// Why what is there now cannot be shown, as it was told.
    told: Option<(State, String)>,
}

impl Watcher {
    /// Watches the files that `shown` was read from.
    pub fn new(shown: Shown, files: Vec<CertificateFiles>, metrics: Metrics) -> Self {
        let watch = |files: CertificateFiles| Watched { taken: state(&files), files, told: None };
        let watcher = Self { shown, watched: files.into_iter().map(watch).collect(), metrics };
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

    /// Takes changed files over. What came of those that have changed since they were looked at last.
    fn look(&mut self) -> Vec<Result<(), CertificateError>> {
        let mut outcomes = Vec::new();
        for (number, watched) in self.watched.iter_mut().enumerate() {
            let Some(outcome) = watched.look() else { continue };
            let label = if outcome.is_ok() { "taken" } else { "failed" };
            self.metrics.tls_reloads.with_label_values(&[label]).inc();
            let chain = watched.files.chain.display();
            outcomes.push(outcome.map(|certificate| {
                tracing::info!(%chain, "a changed certificate was taken over");
                self.shown.replace(number, certificate);
            }));
            if let Some(Err(error)) = outcomes.last() {
                let cause = std::error::Error::source(error).map(tracing::field::display);
                tracing::error!(%error, cause, "a changed certificate is not right; the old one stays in use");
            }
        }
        if outcomes.iter().any(Result::is_ok) {
            self.tell_expiry();
        }
        outcomes
    }

    fn tell_expiry(&self) {
        for (number, certificate) in self.shown.certificates.load().iter().enumerate() {
            let expires = certificate.expires.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let gauge = self.metrics.tls_certificate_expiry.with_label_values(&[&number.to_string()]);
            gauge.set(i64::try_from(expires.as_secs()).unwrap_or(i64::MAX));
        }
    }
}

impl Watched {
    /// What is there now, if it is not what is shown, and what is wrong with it was not told yet.
    fn look(&mut self) -> Option<Result<Certificate, CertificateError>> {
        let now = state(&self.files);
        if now == self.taken {
            self.told = None;
            return None;
        }
        match Certificate::read(&self.files, SystemTime::now()) {
            Ok(certificate) => {
                (self.taken, self.told) = (now, None);
                Some(Ok(certificate))
            }
            Err(error) => {
                let told = Some((now, error.to_string()));
                let is_known = self.told == told;
                self.told = told;
                (!is_known).then_some(Err(error))
            }
        }
    }
}

fn state(files: &CertificateFiles) -> State {
    let of = |path: &Path| {
        let metadata = path.metadata().ok()?;
        // The time of any change: rights that were given later count too.
        Some((metadata.ino(), metadata.len(), (metadata.ctime(), metadata.ctime_nsec())))
    };
    [of(&files.chain), of(&files.key)]
}

#[cfg(test)]
mod tests {
    use super::super::certificate::tests::written;
    use super::*;

    #[test]
    fn changed_files_are_taken_over_and_wrong_ones_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let files: Vec<_> =
            ["shop.example", "blog.example"].map(|name| written(dir.path(), name, (2020, 2120))).into();
        let metrics = Metrics::new().unwrap();
        let shown = Shown::read(&files).unwrap();
        let mut watcher = Watcher::new(shown.clone(), files.clone(), metrics.clone());
        let serial = |number: usize| shown.certificates.load()[number].key.cert[0].clone();
        let first = serial(0);
        assert!(watcher.look().is_empty());

        written(dir.path(), "shop.example", (2020, 2121));
        assert!(matches!(watcher.look()[..], [Ok(())]));
        let second = serial(0);
        assert_ne!(first, second);

        std::fs::write(&files[0].key, "no key").unwrap();
        assert!(matches!(watcher.look()[..], [Err(CertificateError::NoKey { .. })]));
        assert!(watcher.look().is_empty(), "a failure is told once");
        assert_eq!(serial(0), second, "the old one stays");
        let other = serial(1);
        written(dir.path(), "blog.example", (2020, 2121));
        assert!(matches!(watcher.look()[..], [Ok(())]), "one that is not right holds no other up");
        assert_ne!(serial(1), other);

        for (years, wrong) in [((2010, 2011), "expired"), ((2110, 2111), "is not valid before")] {
            written(dir.path(), "shop.example", years);
            let told = watcher.look();
            assert!(matches!(&told[..], [Err(error)] if error.to_string().contains(wrong)), "{told:?}");
        }
        std::fs::remove_file(&files[0].chain).unwrap();
        assert!(matches!(watcher.look()[..], [Err(CertificateError::Unreadable { .. })]));
        assert_eq!(serial(0), second);
        written(dir.path(), "shop.example", (2020, 2122));
        assert!(matches!(watcher.look()[..], [Ok(())]));
        let count = |outcome| metrics.tls_reloads.with_label_values(&[outcome]).get();
        assert_eq!((count("taken"), count("failed")), (3, 4));
    }

    #[test]
    fn what_is_right_only_later_is_taken_over_then() {
        let dir = tempfile::tempdir().unwrap();
        let files = vec![written(dir.path(), "shop.example", (2020, 2120))];
        let shown = Shown::read(&files).unwrap();
        let mut watcher = Watcher::new(shown, files.clone(), Metrics::new().unwrap());
        let [chain, key] = ["chain", "key"].map(|name| dir.path().join(name));
        written(dir.path(), "shop.example", (2020, 2121));
        std::fs::rename(&files[0].key, &key).unwrap();
        std::fs::rename(&files[0].chain, &chain).unwrap();
        assert!(matches!(watcher.look()[..], [Err(CertificateError::Unreadable { .. })]));
        std::fs::rename(&chain, &files[0].chain).unwrap();
        assert!(matches!(watcher.look()[..], [Err(CertificateError::Unreadable { .. })]));
        std::fs::rename(&key, &files[0].key).unwrap();
        assert!(matches!(watcher.look()[..], [Ok(())]));
    }
}
