//! The suites that run real processes, real apps and real sockets.

#![expect(clippy::unwrap_used, reason = "test support outside of test functions may fail too")]

mod admin;
mod backpressure;
mod bad_input;
mod cancel;
mod config;
mod edge;
mod errors;
mod faults;
mod isolation;
mod load_failures;
mod memory;
mod native;
mod overload;
mod sandbox;
mod serving;
mod shutdown;
mod starting;
mod static_files;
