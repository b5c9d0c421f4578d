//! What every request passes, one file each. [`crate::server`] draws and sets their order.
//!
//! - [`layers`]: all of them as one service.
//! - [`identity`]: who asks, for what host, under which request id, in which trace ([`trace_context`]). Makes the
//!   [`exchange::Exchange`].
//! - [`observe`]: access log and metrics, from the head to the last byte. [`log_budget`]: not a line for each refusal.
//! - [`panic_barrier`]: a panic answers 500 and hurts no other request.
//! - [`limits`]: head, body, method, host and target.
//! - [`address`], [`hex`]: texts that each page needs, without an allocation.
//! - [`chain`]: around the router, in this order: [`access`], [`csrf`], [`cors`], [`response_headers`],
//!   [`rate_limit`], [`compression`], the user's [hooks](crate::hooks).

pub mod access;
pub mod address;
pub mod chain;
pub mod compression;
pub mod cors;
pub mod csrf;
pub mod exchange;
pub mod forwarded;
pub mod hex;
pub mod host;
pub mod identity;
pub mod layers;
pub mod limits;
pub mod log_budget;
pub mod observe;
pub mod panic_barrier;
pub mod rate_limit;
pub mod response_headers;
pub mod trace_context;
pub mod vary;
