//! A client's connection, guarded against clients that are slow on purpose.
//!
//! - [`guarded`]: deadlines and the limit of a head around the stream that actix-http reads and writes.
//! - [`head`]: how long a head is, while it comes. Pure.
//! - [`socket`]: the TCP stream below, which notices a client that went away behind bytes that nobody reads, and
//!   which ends so that the client gets the last answer.

pub mod guarded;
pub mod head;
pub mod socket;

use std::cell::Cell;
use std::time::Duration;

use prometheus::IntCounter;
use tokio::time::Instant;

/// How long a client may take for what.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For a request's head.
    pub head: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// Until it takes the next bytes of a response.
    pub write: Duration,
}

/// What a connection must keep to, and where it is counted when it does not.
#[derive(Debug, Clone)]
pub struct Rules {
    /// How long the client may take.
    pub patience: Patience,
    /// The longest head, in bytes.
    pub head_limit: usize,
    /// Counts heads beyond it.
    pub head_too_large: IntCounter,
    /// Counts heads that took too long.
    pub head_slow: IntCounter,
}

/// What the layers of one connection share.
#[derive(Debug)]
pub struct ConnectionState {
    answering: Cell<usize>,
    answered: Cell<bool>,
    /// What comes next may be the rest of a body that nobody wanted.
    follows_body: Cell<bool>,
    cut: Cell<bool>,
    idle_since: Cell<Instant>,
    head_since: Cell<Option<Instant>>,
}

impl Default for ConnectionState {
    fn default() -> Self {
        Self {
            answering: Cell::new(0),
            answered: Cell::new(false),
            follows_body: Cell::new(false),
            cut: Cell::new(false),
            idle_since: Cell::new(Instant::now()),
            head_since: Cell::new(None),
        }
    }
}

impl ConnectionState {
    /// A request's head is complete; a body may follow.
    pub fn begin(&self, has_body: bool) {
        self.answering.set(self.answering.get() + 1);
        self.follows_body.set(has_body);
        self.head_since.set(None);
    }

    /// A response is complete, or nobody waits for it.
    pub fn end(&self) {
        self.answering.set(self.answering.get().saturating_sub(1));
        self.answered.set(true);
        self.idle_since.set(Instant::now());
        self.head_since.set(None);
    }

    /// The response breaks off, and only an abrupt end of the connection can tell the client so.
    pub fn cut(&self) {
        self.cut.set(true);
    }

    fn is_cut(&self) -> bool {
        self.cut.get()
    }

    fn is_answering(&self) -> bool {
        self.answering.get() > 0
    }

    fn received(&self) {
        if !self.is_answering() && self.answered.get() && self.head_since.get().is_none() {
            self.head_since.set(Some(Instant::now()));
        }
    }

    /// Whether what comes now is certainly a head.
    fn awaits_head(&self) -> bool {
        !self.is_answering() && !self.follows_body.get()
    }

    fn is_within_head(&self) -> bool {
        self.head_since.get().is_some()
    }

    /// When patience with reading ends, as things are now.
    ///
    /// actix-http times the head of a connection's first request, and idle connections. What it leaves open is
    /// closed here: the heads of later requests, and an upload that goes on after its answer.
    fn deadline(&self, patience: Patience) -> Option<Instant> {
        if self.is_answering() || !self.answered.get() {
            return None;
        }
        // The second on top leaves the idle ones to actix-http.
        let idle = self.idle_since.get() + patience.idle + Duration::from_secs(1);
        Some(self.head_since.get().map_or(idle, |since| since + patience.head))
    }
}
