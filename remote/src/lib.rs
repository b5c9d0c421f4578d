//! Native calls across machines, over NATS.
//!
//! ```text
//! gateway thread                     nats-server                       fn worker
//!   Caller        P.fn.NAME  ----------> queue group -----------------> Answerer   the call opens
//!   (pure)        P.to.INBOX.ID <-------------------------------------- (pure)     accepted by INSTANCE
//!                 P.at.INSTANCE ------------------------------------->             body, credit, cancel
//!                 P.to.INBOX.ID <--------------------------------------            head, body, end
//!                 P.at.INSTANCE <----- ping, pong: which calls live ->
//!   Directory     P.announce <----------------------------------------- who is there, with which functions
//! ```
//!
//! Inside travel the very frames of the links on one machine ([`shared::message`]), with their windows, so that a
//! stream is bounded here as it is there. Around them, an [`envelope`] numbers the messages of each call: NATS
//! delivers a message once or not at all, and a hole must be noticed. Nothing is sent twice, so nothing runs twice;
//! a call whose worker is lost ends, and whoever made it decides whether it may be made again.
//!
//! [`caller`], [`answerer`] and [`directory`] are pure: messages and a clock in, messages out. [`connection`] is the
//! shell around NATS's client.

pub mod announcement;
pub mod answerer;
pub mod caller;
pub mod connection;
pub mod directory;
pub mod envelope;
#[cfg(test)]
mod simulation;
pub mod subject;

use bytes::Bytes;

/// A message to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// To whom.
    pub subject: String,
    /// Where the answer goes, if one may come.
    pub reply: Option<String>,
    /// An [`envelope`], or an [`announcement`].
    pub payload: Bytes,
}
