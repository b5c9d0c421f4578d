//! Many requests at a time.

use std::ops::Range;

use futures_util::{StreamExt, stream};

/// Runs `request` for each number, `concurrency` at a time, and collects what comes of them, in no order.
pub async fn each<T, F>(numbers: Range<usize>, concurrency: usize, request: impl Fn(usize) -> F) -> Vec<T>
where
    F: Future<Output = T>,
{
    stream::iter(numbers).map(request).buffer_unordered(concurrency).collect().await
}
