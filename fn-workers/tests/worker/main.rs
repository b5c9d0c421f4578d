//! The process as its gateway sees it: real processes, real sockets, the wire.

#![expect(clippy::unwrap_used, clippy::panic, reason = "test support outside of test functions may fail too")]

mod answers;
mod direct;
mod faults;
mod fixture;
mod forms;
mod gateway;
mod isolate;
mod life;
mod outward;
#[path = "../javascript/peer.rs"]
mod peer;
mod routes;
mod sessions;
mod values;
