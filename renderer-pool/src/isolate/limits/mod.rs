//! What an isolate may hold, and when it asks for its replacement.
//!
//! - [`heap`]: V8's heap is nearly full.
//! - [`buffers`]: the memory of `ArrayBuffer`s, which lies outside of it.
//! - [`retirement`]: which of these, or of the jobs that were run, makes the isolate retire. Pure.

pub mod buffers;
pub mod heap;
pub mod retirement;
