//! What a worker says of itself: once at its start, when a gateway asks, and in short each second.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// One message on the subject of announcements, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Announcement {
    /// A worker takes calls.
    Here(Member),
    /// It still does.
    Beat {
        /// Its name.
        instance: String,
    },
    /// It takes no more.
    Leaving {
        /// Its name.
        instance: String,
    },
}

/// A worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name, made at its start.
    pub instance: String,
    /// Its machine and process, for the log.
    pub place: String,
    /// Its functions.
    pub functions: Vec<Offer>,
    /// Its routes.
    pub routes: Vec<RouteOffer>,
}

/// A function that a worker runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Its name.
    pub name: String,
    /// `GET` or `POST`.
    pub method: String,
    /// Whether a call may be made again when its worker is lost.
    pub idempotent: bool,
    /// Where it was registered, for the log.
    pub registered_at: String,
}

/// A route that a worker answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteOffer {
    /// Its path in TanStack's syntax.
    pub pattern: String,
    /// Where it was registered, for the log.
    pub registered_at: String,
}

impl Announcement {
    /// As it travels.
    pub fn encode(&self) -> Bytes {
        // Strings and lists of them always serialise.
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    /// Reads what [`Announcement::encode`] wrote.
    ///
    /// # Errors
    /// When it is of another version.
    pub fn decode(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}
