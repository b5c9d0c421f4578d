//! HTTP/2 towards clients, in front of the same service as HTTP/1.
//!
//! actix-http has HTTP/2 too, on h2 0.3. It knows no limit of streams and fields, ends no request whose client has
//! reset its stream, sends no GOAWAY when the gateway drains, and has no interim responses. So the gateway drives h2 0.4
//! itself; what is above, from the identity layer on, is the same.
//!
//! - [`connection`]: takes requests off a connection until it ends.
//! - [`overseen`]: what h2 answers by itself.
//! - [`stream`]: one request and its response.
//! - [`translate`]: heads between `http` 1 and actix's types. Pure.
//! - [`resets`]: when a client resets too many streams. Pure.
//!
//! What a connection can hold: `max_streams` requests, each with a head of [`Settings::max_header_list`] and
//! [`SEND_BUFFER`] of its response; [`CONNECTION_WINDOW`] of all uploads together.

pub mod connection;
mod overseen;
pub mod resets;
pub mod stream;
pub mod translate;

use std::time::Duration;

use super::connection::pace::Rate;
use super::connection::refusal::Refusals;

/// What clients may upload ahead of its reader on one stream, in bytes.
const STREAM_WINDOW: u32 = 256 * 1024;

/// What clients may upload ahead of all readers of one connection, in bytes.
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// What is held of one response until it can be written, in bytes.
const SEND_BUFFER: usize = 128 * 1024;

/// What every HTTP/2 connection keeps to.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Requests at a time; the client holds back more.
    pub max_streams: u32,
    /// The longest list of header fields, as RFC 9113 section 6.5.2 counts it (32 bytes more for each field). h2 itself
    /// answers a longer one with 431, and one of four times that with the end of the connection.
    pub max_header_list: u32,
    /// How long an idle connection stays open.
    pub idle: Duration,
    /// How fast the client must take each response.
    pub write: Rate,
    /// Counts what is refused.
    pub refusals: Refusals,
}
