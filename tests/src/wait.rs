//! Bounded waiting for something to become true.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// How long anything may take here before its test has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How long to wait between two looks at what cannot announce its change.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Waits for `future`.
///
/// # Panics
/// When it takes longer than [`PATIENCE`].
pub async fn within_patience<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

/// Looks again and again until `look` finds something.
///
/// # Panics
/// When it has not within [`PATIENCE`].
pub async fn eventually<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    eventually_within(PATIENCE, what, look).await
}

/// As [`eventually`], with a time of its own.
///
/// # Panics
/// When nothing was found in time.
pub async fn eventually_within<T>(time: Duration, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + time;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within {time:?}");
        sleep(LOOK_AGAIN).await;
    }
}

/// Looks until two looks, a while apart, see the same: for what stops moving and does not say so.
///
/// # Panics
/// When it still moves after [`PATIENCE`].
pub async fn settled<T: PartialEq>(what: &str, mut look: impl AsyncFnMut() -> T) -> T {
    const A_WHILE: Duration = Duration::from_millis(500);
    let mut before = look().await;
    let deadline = Instant::now() + PATIENCE;
    loop {
        sleep(A_WHILE).await;
        let now = look().await;
        if now == before {
            return now;
        }
        assert!(Instant::now() < deadline, "{what}: still moves after {PATIENCE:?}");
        before = now;
    }
}
