//! The suites that run real processes, real apps and real sockets.

#![expect(clippy::unwrap_used, reason = "test support outside of test functions may fail too")]

mod access;
mod admin;
mod background;
mod backpressure;
mod bad_input;
mod cancel;
mod config;
mod early_hints;
mod edge;
mod embedded;
mod errors;
mod events;
mod faults;
mod http2;
mod isolation;
mod limits;
mod load_failures;
mod memory;
mod native;
mod native_values;
mod overload;
mod packages;
mod pipeline;
mod pipeline_faults;
mod pipeline_solid;
mod protocols;
mod reload;
mod remote;
mod sandbox;
mod serving;
mod shutdown;
mod source_maps;
mod start_entries;
mod starting;
mod static_files;
