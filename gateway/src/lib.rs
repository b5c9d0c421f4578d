//! The gateway: the process on the edge. It takes HTTP, serves static files and hands the rest to isolates.
//!
//! From the outside inwards:
//!
//! - [`cli`]: the command line, as raw text.
//! - [`config`]: one table of keys; flags, environment and file become [`config::Settings`], or all their errors.
//! - [`app`]: the directory that `vite build` wrote, checked before anything starts.
//! - [`server`]: the assembly. Listeners, pool, admin, public server, drain; the middleware order is drawn there.
//! - [`middleware`]: request id, access log and metrics, panic barrier, limits.
//! - [`router`]: path, static files, native functions, bundle.
//! - [`hooks`]: the user's own middleware and routes; [`program`] builds a gateway with them.
//! - [`admission`]: permits and the queue in front of the isolates. Pure.
//! - [`pool`]: child processes, their links, and the dispatcher of each gateway thread.
//! - [`scheduling`]: whom the kernel lets run first.
//! - [`error`]: one table from cause to status.
//! - [`metrics`]: names, units and labels.
//! - [`admin`]: metrics, health and status on a port of their own.

pub mod admin;
pub mod admission;
pub mod app;
pub mod cli;
pub mod config;
pub mod error;
pub mod hooks;
pub mod metrics;
pub mod middleware;
pub mod pool;
pub mod program;
pub mod router;
pub mod scheduling;
pub mod server;

pub use program::Gateway;
