//! What two Isopod processes must agree on, and nothing else.
//!
//! From the bytes upwards:
//!
//! - [`frame`]: length-prefixed frames out of a byte stream, and back. Pure.
//! - [`wire`]: the reader and writer for the binary payloads. Pure.
//! - [`head`]: the heads of requests and responses.
//! - [`message`]: what each direction of each link may say.
//! - [`ids`]: jobs and calls by their ids.
//! - [`window`]: how many body bytes may be under way.
//! - [`pieces`]: what has come of a body and is not read yet. Pure.
//! - [`link`]: a [`link::Channel`] over a Unix socket, its directions in its type.
//! - [`local`]: the same between two tasks of one thread, in memory.
//! - [`inherited`]: how a child finds the sockets that its gateway made for it.
//! - [`egress`]: where an app may connect to.
//! - [`app_metrics`]: what an app counts for itself.
//! - [`setup`]: what a child is told before it starts to work.
//! - [`route`]: paths in TanStack Router's syntax, and which of many a request matches. Pure.
//! - [`logging`]: one format of log lines for all processes.

pub mod app_metrics;
pub mod egress;
pub mod frame;
pub mod head;
pub mod ids;
pub mod inherited;
pub mod link;
pub mod local;
pub mod logging;
pub mod message;
pub mod pieces;
mod room;
pub mod route;
pub mod setup;
pub mod window;
pub mod wire;
