//! The suites that run real processes, real apps and real sockets.

#![expect(clippy::unwrap_used, reason = "test support outside of test functions may fail too")]

mod access;
mod admin;
mod background;
mod backpressure;
mod bad_input;
mod cancel;
mod config;
mod edge;
mod errors;
mod faults;
mod isolation;
mod limits;
mod load_failures;
mod memory;
mod native;
mod overload;
mod packages;
mod sandbox;
mod serving;
mod shutdown;
mod source_maps;
mod starting;
mod static_files;
