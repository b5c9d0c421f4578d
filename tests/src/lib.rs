//! Starts whole clusters of real processes and talks to them.
//!
//! ```no_run
//! # async fn example() {
//! use tests::{App, Cluster};
//!
//! let cluster = Cluster::of(App::ThreadsReact).renderers(2).start().await;
//! cluster.kill_renderer(0).await;
//! cluster.wait_until_ready().await;
//! assert_eq!(cluster.get("/").await.status, 200);
//! cluster.stop().await;
//! # }
//! ```
//!
//! - [`app`]: what a cluster serves: a built app of `tests/apps`, or a small bundle written for one test.
//! - [`builder`]: a cluster to be started.
//! - [`cluster`]: a running one.
//! - [`gateway`]: the gateway process itself.
//! - [`certificate`]: certificates that clients of a test believe.
//! - [`children`]: the child processes, as `/status` tells of them.
//! - [`exit`]: a gateway that was meant to end, and what it said.
//! - [`http`]: whole answers, and a raw connection for what no client library would send.
//! - [`http2`]: a client of HTTP/2 that shows what libraries hide.
//! - [`load`]: many requests at a time.
//! - [`logs`]: what the processes wrote, as it comes.
//! - [`metrics`]: the admin port's numbers.
//! - [`nats`]: NATS servers of the test's own, machines to run workers on, and such workers.
//! - `older_kernel`: a kernel that lacks what this one has.
//! - [`process`]: what the kernel knows of a process.
//! - [`redis`]: a Redis server of the test's own.
//! - [`services`]: PostgreSQL and Redis, each test with its own.
//! - [`values`]: functions that take and give every kind of value.
//! - [`wait`]: bounded waiting for something to become true.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a harness fails its test in the shortest way")]

pub mod app;
pub mod builder;
pub mod certificate;
pub mod children;
pub mod cluster;
pub mod exit;
pub mod gateway;
pub mod http;
pub mod http2;
pub mod load;
pub mod logs;
pub mod metrics;
pub mod nats;
pub mod nats_identity;
mod older_kernel;
pub mod process;
pub mod redis;
pub mod services;
pub mod values;
pub mod wait;

pub use app::{App, Bundle};
pub use cluster::Cluster;
pub use gateway::Gateway;
