//! What this process has refused to read, counted by reason; the gateway makes metrics of it.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};

use shared::message::control::{Refusal, RefusalCount};

use crate::error::FunctionError;

static COUNTS: [AtomicU64; Refusal::ALL.len()] = [const { AtomicU64::new(0) }; Refusal::ALL.len()];

/// Counts a refusal, and makes the error of it.
pub(crate) fn refuse(refusal: Refusal, message: impl Into<Cow<'static, str>>) -> FunctionError {
    COUNTS[refusal as usize].fetch_add(1, Ordering::Relaxed);
    FunctionError::new(refusal.status(), message)
}

/// What was refused since the last time; empty when nothing was.
pub(crate) fn take() -> Vec<RefusalCount> {
    let counts = Refusal::ALL.iter().zip(&COUNTS);
    let taken = counts
        .map(|(refusal, count)| RefusalCount { refusal: *refusal, count: count.swap(0, Ordering::Relaxed) });
    taken.filter(|taken| taken.count > 0).collect()
}
