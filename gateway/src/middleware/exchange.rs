//! What the gateway knows of one request and its response.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;
use std::rc::Rc;

use actix_web::http::header::HeaderValue;
use shared::head::JobContext;

use super::hex::digits;
use super::trace_context::Trace;
use crate::config::settings::ForwardedStyle;
use crate::error::Cause;
use crate::server::connection::ConnectionState;

/// Which part of the router answers: the `route` label of metrics and log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RouteClass {
    /// Refused before it was routed.
    None,
    /// A static file.
    Static,
    /// A redirect of the configuration.
    Redirect,
    /// A route of the user's own hooks.
    Route,
    /// A native function.
    Native,
    /// The bundle.
    Bundle,
}

impl RouteClass {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::None, Self::Static, Self::Redirect, Self::Route, Self::Native, Self::Bundle];

    /// The label's value.
    pub fn label(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Static => "static",
            Self::Redirect => "redirect",
            Self::Route => "route",
            Self::Native => "native",
            Self::Bundle => "bundle",
        }
    }
}

/// One request, as the layers of the gateway share it.
#[derive(Debug)]
pub struct Exchange {
    /// Names it in logs of all processes.
    pub id: RequestId,
    /// The client: behind trusted proxies the one that they report.
    pub client_ip: IpAddr,
    /// Whether the client's connection is encrypted, as far as known.
    pub is_secure: bool,
    /// The host that the client named, checked; `None` when it named none that is one.
    pub host: Option<HeaderValue>,
    /// The forwarding headers that may be believed: those of a trusted peer.
    pub believed: Option<ForwardedStyle>,
    /// The trace that the request belongs to, unless there are to be none.
    pub trace: Option<Trace>,
    /// The connection that it came over; `None` in tests.
    pub connection: Option<Rc<ConnectionState>>,
    class: Cell<RouteClass>,
    /// Why it is turned away, where that is known without a look at the response.
    cause: Cell<Option<Cause>>,
    /// The pattern of the app's route, by its place in the manifest.
    pattern: Cell<Option<u32>>,
    /// Fields were dropped that only a trusted proxy may send.
    has_forged: Cell<bool>,
    /// What the user's hooks know of the request.
    visit: RefCell<Option<Box<dyn Any>>>,
    /// The same, as the app gets it.
    context: RefCell<Option<JobContext>>,
}

impl Exchange {
    /// An exchange that is not routed yet.
    pub fn new(
        id: RequestId,
        client_ip: IpAddr,
        is_secure: bool,
        host: Option<HeaderValue>,
        believed: Option<ForwardedStyle>,
    ) -> Self {
        Self {
            id,
            client_ip,
            is_secure,
            host,
            believed,
            trace: None,
            connection: None,
            class: Cell::new(RouteClass::None),
            cause: Cell::new(None),
            pattern: Cell::new(None),
            has_forged: Cell::new(false),
            visit: RefCell::default(),
            context: RefCell::default(),
        }
    }

    /// The same in a trace.
    #[must_use]
    pub fn within(self, trace: Option<Trace>) -> Self {
        Self { trace, ..self }
    }

    /// The same over this connection.
    #[must_use]
    pub fn over(self, connection: Option<Rc<ConnectionState>>) -> Self {
        Self { connection, ..self }
    }

    /// Why the request is turned away, if it is.
    pub fn cause(&self) -> Option<Cause> {
        self.cause.get()
    }

    /// Says why the request is turned away.
    pub fn set_cause(&self, cause: Cause) {
        self.cause.set(Some(cause));
    }

    /// Notes that fields were dropped that only a trusted proxy may send.
    pub fn drops_claims(&self) {
        self.has_forged.set(true);
    }

    /// Whether there were such fields.
    pub fn has_forged(&self) -> bool {
        self.has_forged.get()
    }

    /// Which part of the router answers.
    pub fn class(&self) -> RouteClass {
        self.class.get()
    }

    /// Says which part of the router answers.
    pub fn set_class(&self, class: RouteClass) {
        self.class.set(class);
    }

    /// Which of the app's routes answers, by its place in the manifest, as far as known.
    pub fn pattern(&self) -> Option<u32> {
        self.pattern.get()
    }

    /// Says which of the app's routes answers.
    pub fn set_pattern(&self, pattern: Option<u32>) {
        self.pattern.set(pattern);
    }

    /// Keeps what the user's hooks know of the request.
    pub fn keep_visit(&self, context: Box<dyn Any>) {
        self.visit.replace(Some(context));
    }

    /// Takes out what the user's hooks know of the request.
    pub fn take_visit(&self) -> Option<Box<dyn Any>> {
        self.visit.take()
    }

    /// Sets what the app's handler gets as `opts.context`.
    pub fn set_context(&self, context: Option<JobContext>) {
        self.context.replace(context);
    }

    /// What the app's handler gets as `opts.context`. Cheap: the bytes are shared.
    pub fn context(&self) -> Option<JobContext> {
        self.context.borrow().clone()
    }

    /// The scheme of the URL that the client sees.
    pub fn scheme(&self) -> &'static str {
        if self.is_secure { "https" } else { "http" }
    }

    /// The host of the URL that the client sees; empty when it named none.
    pub fn host(&self) -> &str {
        self.host.as_ref().and_then(|host| host.to_str().ok()).unwrap_or_default()
    }
}

const ID_BYTES: usize = 64;

/// The name of a request: 1 to 64 letters, digits, `-`, `_` or `.`. Lies in place, without an allocation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestId {
    bytes: [u8; ID_BYTES],
    length: u8,
}

impl RequestId {
    /// A name given from outside, if it is one.
    pub fn given(text: &[u8]) -> Option<Self> {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        let length = u8::try_from(text.len()).ok()?;
        if !(1..=ID_BYTES).contains(&text.len()) || !text.iter().all(plain) {
            return None;
        }
        let mut bytes = [0; ID_BYTES];
        bytes[..text.len()].copy_from_slice(text);
        Some(Self { bytes, length })
    }

    /// A new name, 32 hexadecimal digits: a random half of this thread, and a half that this thread never repeats.
    pub fn fresh() -> Self {
        thread_local! {
            static HALF: [u8; 16] = digits(random());
            static NEXT: Cell<u64> = Cell::new(random());
        }
        let mut bytes = [0; ID_BYTES];
        let count = NEXT.with(|next| next.replace(next.get().wrapping_add(1)));
        HALF.with(|half| bytes[..16].copy_from_slice(half));
        bytes[16..32].copy_from_slice(&digits(scattered(count)));
        Self { bytes, length: 32 }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The bytes of the text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl std::fmt::Debug for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

fn random() -> u64 {
    // The standard library seeds its hash maps with random keys: enough for names that need not be secret.
    RandomState::new().build_hasher().finish()
}

/// The finaliser of SplitMix64: a bijection, so that distinct inputs stay distinct.
fn scattered(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn fresh_names_are_all_different_on_all_threads() {
        let names =
            |_| std::thread::spawn(|| (0..1000).map(|_| RequestId::fresh().as_str().to_owned()).collect());
        let threads: Vec<_> = (0..4).map(names).collect();
        let names: HashSet<String> =
            threads.into_iter().flat_map(|thread| -> Vec<String> { thread.join().unwrap() }).collect();
        assert_eq!(names.len(), 4000);
        assert!(names.iter().all(|name| name.len() == 32));
    }

    #[test]
    fn a_given_name_is_plain_and_short() {
        assert_eq!(RequestId::given(b"a-B_9.x").unwrap().as_str(), "a-B_9.x");
        for bad in [&b""[..], b"a b", b"a\nb", &[b'a'; 65]] {
            assert!(RequestId::given(bad).is_none());
        }
    }
}
