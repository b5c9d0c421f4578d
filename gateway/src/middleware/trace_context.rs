//! Trace context: which trace a request belongs to (W3C Trace Context, level 1; of level 2 the random flag).
//!
//! ```text
//! traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
//!              version  trace id                   parent id        flags
//! tracestate:  vendor=value, other=value
//! ```
//!
//! Pure. What is not as the recommendation says starts a new trace, and its `tracestate` is dropped; a `tracestate` that is
//! wrong is dropped alone. Each request is a span of its own: its id goes to the app as the parent's, and stands in the
//! access log.

use std::cell::Cell;
use std::hash::{BuildHasher, Hasher, RandomState};

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

use super::hex::digits;

/// Names the trace, and the span of whoever asks.
pub const TRACEPARENT: HeaderName = HeaderName::from_static(TRACEPARENT_NAME);

/// The same as text.
pub const TRACEPARENT_NAME: &str = "traceparent";

/// What tracing systems on the way have to say.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Names the trace to a client that asked for none; of the recommendation's level 3, a draft.
pub const TRACERESPONSE: HeaderName = HeaderName::from_static("traceresponse");

/// The version that is written.
const VERSION: &str = "00";

/// How long that is, in bytes; later versions may be longer.
const LENGTH: usize = 55;

/// A value of `traceparent`.
pub type TraceParent = [u8; LENGTH];

/// The sampled flag.
const SAMPLED: u8 = 1;

/// The random flag: the right half of the trace's id is random. Other flags are not known, and cleared.
const RANDOM: u8 = 2;

/// The most members of a `tracestate`.
const MOST_MEMBERS: usize = 32;

/// Whose word is taken on the trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraceTrust {
    /// That of trusted proxies.
    Trusted,
    /// That of all.
    Any,
    /// Nobody's, and no traces are started: the fields pass as they came.
    Off,
}

/// How traces come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceSettings {
    /// Whose word is taken.
    pub trust: TraceTrust,
    /// How many of a hundred new traces are marked as sampled.
    pub sampled_percent: u8,
    /// Whether responses name their trace.
    pub in_response: bool,
}

/// The trace of one request, and its span in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// Its left and its right half: a number of 16 bytes would align all that holds it.
    id: [u64; 2],
    /// The span of whoever asks; `None` where the trace begins here.
    parent: Option<u64>,
    span: u64,
    flags: u8,
    keeps_state: bool,
}

impl Trace {
    /// The trace of a request with these fields, of a peer that is `trusted`; `None` where there are to be no traces.
    pub fn of(settings: TraceSettings, headers: &HeaderMap, trusted: bool) -> Option<Self> {
        let believed = match settings.trust {
            TraceTrust::Off => return None,
            TraceTrust::Trusted => trusted,
            TraceTrust::Any => true,
        };
        let given = if believed { given(headers) } else { None };
        Some(given.unwrap_or_else(|| Self::begun(settings.sampled_percent)))
    }

    /// A new trace.
    fn begun(sampled_percent: u8) -> Self {
        let (left, right) = (random(), random());
        // The right half decides, as samplers downstream do it; a bijection scatters it already.
        let is_sampled = right % 100 < u64::from(sampled_percent);
        let flags = RANDOM | if is_sampled { SAMPLED } else { 0 };
        let id = if left == 0 { [0, right.max(1)] } else { [left, right] };
        Self { id, parent: None, span: random().max(1), flags, keeps_state: false }
    }

    /// The id of the trace, 32 hexadecimal digits.
    pub fn id(&self) -> Hex<u128> {
        let [left, right] = self.id.map(u128::from);
        Hex(left << 64 | right)
    }

    /// The id of the request's own span, 16 hexadecimal digits.
    pub fn span(&self) -> Hex<u64> {
        Hex(self.span)
    }

    /// The id of the span that the request was made in, where it is known.
    pub fn parent(&self) -> Option<Hex<u64>> {
        self.parent.map(Hex)
    }

    /// Whether somebody upstream may have recorded the trace, or this gateway wants it recorded.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The value of `traceparent` for those that this request goes on to.
    pub fn traceparent(&self) -> TraceParent {
        let mut text = [b'-'; LENGTH];
        text[..2].copy_from_slice(VERSION.as_bytes());
        let [left, right] = self.id.map(digits);
        text[3..19].copy_from_slice(&left);
        text[19..35].copy_from_slice(&right);
        text[36..52].copy_from_slice(&digits(self.span));
        text[53..].copy_from_slice(&digits(u64::from(self.flags))[14..]);
        text
    }

    /// The same as the value of a field.
    pub fn to_header(&self) -> HeaderValue {
        // Digits and dashes are a value.
        HeaderValue::from_bytes(&self.traceparent()).unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    /// Whether this field of the request, its name in lower case, does not go on: the trace takes its place.
    pub fn replaces(&self, name: &str) -> bool {
        name == TRACEPARENT_NAME || (!self.keeps_state && name == TRACESTATE.as_str())
    }
}

/// A number as hexadecimal digits, as many as it has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hex<T>(T);

impl std::fmt::Display for Hex<u128> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl std::fmt::Display for Hex<u64> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The left and the right half of an id.
fn halves(id: u128) -> [u64; 2] {
    let [left, right] = [&id.to_be_bytes()[..8], &id.to_be_bytes()[8..]]
        .map(|half| half.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)));
    [left, right]
}

/// The trace that the fields name, continued.
fn given(headers: &HeaderMap) -> Option<Trace> {
    let mut fields = headers.get_all(&TRACEPARENT);
    let (field, second) = (fields.next()?, fields.next());
    if second.is_some() {
        return None;
    }
    let (id, parent, flags) = parse(field.as_bytes().trim_ascii())?;
    let keeps_state = is_state(headers.get_all(&TRACESTATE).map(HeaderValue::as_bytes));
    Some(Trace {
        id: halves(id),
        parent: Some(parent),
        span: random().max(1),
        flags: flags & (SAMPLED | RANDOM),
        keeps_state,
    })
}

/// Reads a `traceparent` (section 3.2); of a version that is not known what version 00 has of it (section 3.2.2.1).
fn parse(text: &[u8]) -> Option<(u128, u64, u8)> {
    let (head, rest) = text.split_at_checked(LENGTH)?;
    let dashes = [2, 35, 52];
    if dashes.iter().any(|at| head[*at] != b'-') {
        return None;
    }
    let version = hex(&head[..2])?;
    let is_longer_allowed = version != 0 && rest.first() == Some(&b'-');
    if version == 0xff || !(rest.is_empty() || is_longer_allowed) {
        return None;
    }
    let (id, parent, flags) = (hex(&head[3..35])?, hex(&head[36..52])?, hex(&head[53..])?);
    let (parent, flags) = (u64::try_from(parent).ok()?, u8::try_from(flags).ok()?);
    (id != 0 && parent != 0).then_some((id, parent, flags))
}

/// Lower-case digits alone (section 3.2.2): `from_str_radix` takes others, and signs.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0u128, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some((number << 4) | u128::from(value))
    })
}

/// Whether these fields together are a `tracestate` (section 3.3): members of a key and a value, no key twice, empty ones
/// between commas allowed.
fn is_state<'a>(fields: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut keys: Vec<&[u8]> = Vec::new();
    for member in fields.flat_map(|field| field.split(|byte| *byte == b',')) {
        // Optional white space around a member is spaces and tabs.
        let member = member.trim_ascii();
        if member.is_empty() {
            continue;
        }
        let Some(at) = member.iter().position(|byte| *byte == b'=') else { return false };
        let (key, value) = (&member[..at], &member[at + 1..]);
        if !is_key(key) || !is_value(value) || keys.contains(&key) || keys.len() == MOST_MEMBERS {
            return false;
        }
        keys.push(key);
    }
    true
}

/// `simple-key`, or `tenant-id@system-id` (section 3.3.1.3.1).
fn is_key(key: &[u8]) -> bool {
    let rest = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/".contains(byte);
    let part = |part: &[u8], most: usize, may_be_digit: bool| {
        let first = part.first();
        (1..=most).contains(&part.len())
            && first.is_some_and(|byte| byte.is_ascii_lowercase() || (may_be_digit && byte.is_ascii_digit()))
            && part.iter().all(rest)
    };
    match key.iter().position(|byte| *byte == b'@') {
        None => part(key, 256, false),
        Some(at) => part(&key[..at], 241, true) && part(&key[at + 1..], 14, false),
    }
}

/// 1 to 256 printable characters but `,` and `=`; the last one is no space (section 3.3.1.3.2). Spaces at the end are gone
/// with the white space around the member.
fn is_value(value: &[u8]) -> bool {
    (1..=256).contains(&value.len()) && value.iter().all(|byte| (b' '..=b'~').contains(byte) && *byte != b'=')
}

/// Numbers that nobody foresees without trying, and that no thread repeats: enough for names that need not be secret.
fn random() -> u64 {
    thread_local! {
        static STATE: Cell<u64> = Cell::new(RandomState::new().build_hasher().finish());
    }
    // SplitMix64: a counter through a bijection.
    let count = STATE.with(|state| {
        state.set(state.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        state.get()
    });
    let mut x = count;
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests;
