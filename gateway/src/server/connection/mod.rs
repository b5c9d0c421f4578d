//! A client's connection, guarded against clients that are slow on purpose.
//!
//! ```text
//!   actix-http | http2     requests and responses
//!   Guarded                deadlines, rates, the limit of a head, refusals, early hints
//!   Transport              TLS, or nothing
//!   ClientSocket           TCP or a Unix socket, with a polite end
//! ```
//!
//! - [`guarded`]: deadlines and the limit of a head around the stream that actix-http reads and writes.
//! - [`drain`]: the news that the gateway drains, for one thread.
//! - [`head`]: how long a head is, while it comes. Pure.
//! - [`interim`]: what is sent before a response.
//! - [`pace`]: whether a client moves bytes fast enough. Pure.
//! - [`refusal`]: the answers to what never becomes a request.
//! - [`peers`]: how many connections an address has.
//! - [`transport`]: TLS or none.
//! - [`socket`]: the stream below, which notices a client that went away behind bytes that nobody reads, and
//!   which ends so that the client gets the last answer.

pub mod drain;
pub mod guarded;
pub mod head;
pub mod interim;
pub mod pace;
pub mod peers;
pub mod refusal;
pub mod socket;
pub mod transport;

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use actix_web::HttpMessage;
use actix_web::dev::ServiceRequest;
use ipnet::IpNet;
use prometheus::{IntCounterVec, IntGauge};
use tokio::time::Instant;

use super::http2;
use pace::Rate;
use peers::Peers;
use refusal::Refusals;

/// How long a client may take for what.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For a request's head, and for the first one to begin.
    pub head: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// How fast it must take the bytes of responses.
    pub write: Rate,
}

/// What a connection must keep to, and where it is counted when it does not.
#[derive(Debug, Clone)]
pub struct Rules {
    /// How long the client may take.
    pub patience: Patience,
    /// The longest head, in bytes.
    pub head_limit: usize,
    /// Counts what is refused here.
    pub refusals: Refusals,
}

/// What every connection of the gateway passes.
#[derive(Debug)]
pub struct Entrance {
    /// What each must keep to.
    pub rules: Rc<Rules>,
    /// What those that speak HTTP/2 keep to.
    pub http2: Rc<http2::Settings>,
    /// Whether HTTP/2 is spoken without TLS.
    pub h2c: bool,
    /// How many an address has.
    pub peers: Peers,
    /// Networks whose connections are not counted: they bring those of many.
    pub exempt: Vec<IpNet>,
    /// Counts those that are open.
    pub connections: IntGauge,
    /// Counts TLS handshakes by outcome.
    pub tls_handshakes: IntCounterVec,
}

impl Entrance {
    /// Whether connections from this address are not counted.
    pub fn is_exempt(&self, peer: IpAddr) -> bool {
        self.exempt.iter().any(|network| network.contains(&peer))
    }
}

/// What a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.0 or HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// What the layers of one connection share.
#[derive(Debug)]
pub struct ConnectionState {
    protocol: Protocol,
    is_secure: bool,
    client: Option<IpAddr>,
    opened: Instant,
    answering: Cell<usize>,
    answered: Cell<bool>,
    /// Requests so far: a new one is where a new head begins.
    requests: Cell<u64>,
    /// What comes next may be the rest of a body that nobody wanted.
    follows_body: Cell<bool>,
    /// The head of the response to the newest request has been made.
    responds: Cell<bool>,
    /// The body of the request that ends now is none: no stream of bytes that its framing allows.
    body_broken: Cell<bool>,
    /// That request is still to be answered so.
    owes_refusal: Cell<bool>,
    /// The client has ended its side.
    has_ended: Cell<bool>,
    cut: Cell<bool>,
    idle_since: Cell<Instant>,
    head_since: Cell<Option<Instant>>,
    /// When the last bytes of a head came, while it is not taken for a request.
    head_came: Cell<Option<Instant>>,
    /// Everything that was written so far has left, and nothing is being answered.
    is_quiet: Cell<bool>,
    /// It was so when the request began that is being answered.
    began_quiet: Cell<bool>,
    /// What is to be written ahead of the response.
    ahead: RefCell<Vec<u8>>,
}

impl ConnectionState {
    /// A connection that has just been opened by a client at this address.
    pub fn new(protocol: Protocol, is_secure: bool, client: Option<IpAddr>) -> Self {
        let now = Instant::now();
        Self {
            protocol,
            is_secure,
            client,
            opened: now,
            answering: Cell::new(0),
            answered: Cell::new(false),
            requests: Cell::new(0),
            follows_body: Cell::new(false),
            responds: Cell::new(false),
            body_broken: Cell::new(false),
            owes_refusal: Cell::new(false),
            has_ended: Cell::new(false),
            cut: Cell::new(false),
            idle_since: Cell::new(now),
            head_since: Cell::new(None),
            head_came: Cell::new(None),
            is_quiet: Cell::new(true),
            began_quiet: Cell::new(false),
            ahead: RefCell::default(),
        }
    }

    /// The connection that a request came over.
    pub fn of(request: &ServiceRequest) -> Option<Rc<Self>> {
        request.conn_data::<Rc<Self>>().cloned().or_else(|| request.extensions().get::<Rc<Self>>().cloned())
    }

    /// Whether the connection is encrypted.
    pub fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// A request's head is complete; a body may follow. Returns when that was.
    pub fn begin(&self, has_body: bool) -> Instant {
        self.answering.set(self.answering.get() + 1);
        self.requests.set(self.requests.get() + 1);
        self.follows_body.set(has_body);
        self.responds.set(false);
        self.body_broken.set(false);
        self.head_since.set(None);
        self.began_quiet.set(self.is_quiet.replace(false));
        // Of several heads that came together only the first was waited for; HTTP/2 reads its frames itself.
        self.head_came.take().unwrap_or_else(Instant::now)
    }

    /// The head of a response has been made.
    pub fn respond(&self) {
        self.responds.set(true);
    }

    /// Whether the request that ends now ends because its body is none.
    pub fn is_body_broken(&self) -> bool {
        self.body_broken.get()
    }

    /// Notes that the request that ends now, or no longer, ends because its body is none.
    pub fn set_body_broken(&self, is_broken: bool) {
        self.body_broken.set(is_broken);
    }

    /// actix-http ends the connection, and with it what is being answered. It does so for two reasons: the client has
    /// ended its side, or the body of that request is none. As long as nothing of its response has been made, the
    /// guarded connection then owes an answer.
    pub fn give_up(&self) {
        let is_broken = self.protocol == Protocol::Http1
            && self.is_answering()
            && self.follows_body.get()
            && !self.has_ended.get();
        if is_broken && !self.body_broken.replace(true) {
            self.owes_refusal.set(!self.responds.get());
        }
    }

    /// A response is complete, or nobody waits for it, as of now.
    pub fn end(&self, now: Instant) {
        self.answering.set(self.answering.get().saturating_sub(1));
        self.answered.set(true);
        self.idle_since.set(now);
        self.head_since.set(None);
        self.ahead.borrow_mut().clear();
    }

    /// The response breaks off, and only an abrupt end of the connection can tell the client so.
    pub fn cut(&self) {
        self.cut.set(true);
    }

    /// Writes an interim response of HTTP/1.1 ahead of the response that is being made. Says whether that can be: not
    /// when a body follows the head, as 100 (Continue) may be half written, nor while an earlier response of a
    /// pipelining client has not left.
    pub fn write_ahead(&self, interim: &[u8]) -> bool {
        let can = self.protocol == Protocol::Http1
            && self.answering.get() == 1
            && self.began_quiet.get()
            && !self.follows_body.get();
        if can {
            self.ahead.borrow_mut().extend_from_slice(interim);
        }
        can
    }

    /// When the connection has had nothing to do since; `None` while it has.
    pub fn idle_since(&self) -> Option<Instant> {
        (!self.is_answering()).then(|| self.idle_since.get())
    }

    /// Whether a request came over it.
    pub fn was_used(&self) -> bool {
        self.requests.get() > 0
    }

    fn is_cut(&self) -> bool {
        self.cut.get()
    }

    fn is_answering(&self) -> bool {
        self.answering.get() > 0
    }

    fn received(&self) {
        if self.is_answering() {
            return;
        }
        let now = Instant::now();
        if self.head_since.get().is_none() {
            self.head_since.set(Some(now));
        }
        if self.protocol == Protocol::Http1 {
            self.head_came.set(Some(now));
        }
    }

    /// All that was written has left.
    fn flushed(&self) {
        if !self.is_answering() {
            self.is_quiet.set(true);
        }
    }

    /// Whether what is written now belongs to no request.
    fn is_unasked(&self) -> bool {
        self.protocol == Protocol::Http1 && self.is_quiet.get() && !self.is_answering()
    }

    /// Whether what comes now is certainly a head.
    fn awaits_head(&self) -> bool {
        self.protocol == Protocol::Http1 && !self.is_answering() && !self.follows_body.get()
    }

    fn is_within_head(&self) -> bool {
        self.protocol == Protocol::Http1 && self.head_since.get().is_some()
    }

    /// When patience with reading ends, as things are now.
    ///
    /// HTTP/1: heads, idle connections, and an upload that goes on after its answer. HTTP/2: the first request alone is
    /// timed here; idle connections get a GOAWAY.
    fn deadline(&self, patience: Patience) -> Option<Instant> {
        if self.is_answering() {
            return None;
        }
        if !self.answered.get() {
            return Some(self.head_since.get().unwrap_or(self.opened) + patience.head);
        }
        if self.protocol == Protocol::Http2 {
            return None;
        }
        let idle = self.idle_since.get() + patience.idle;
        Some(self.head_since.get().map_or(idle, |since| since + patience.head))
    }
}
