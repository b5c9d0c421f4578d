//! Sessions in a sealed cookie, the same that `useSession` of h3 and TanStack Start reads and writes: JavaScript
//! and Rust share one session when name and password are the same.
//!
//! ```
//! use fn_workers::{Context, FunctionError, Sessions, State};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Default, Deserialize, Serialize)]
//! struct Visitor { user: Option<u64> }
//!
//! async fn log_in(user: u64, sessions: State<Sessions>, context: Context) -> Result<(), FunctionError> {
//!     let mut session = sessions.open::<Visitor>(&context).await?;
//!     session.data.user = Some(user);
//!     sessions.save(&context, &session).await
//! }
//! ```

mod seal;

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::context::Context;
use crate::cookie::{Cookie, SameSite};
use crate::error::FunctionError;
use seal::{MIN_PASSWORD_CHARS, Password, seal, unseal};

/// Rounds of the derivation, as h3 has them.
const ROUNDS: u32 = 8192;
/// Those of h3 before its second version.
const LEGACY_ROUNDS: u32 = 1;

/// What announces that a cookie's value stands in several (`CHUNKED_COOKIE`), and how long each is.
const CHUNKED: &str = "__chunked__";
const CHUNK_CHARS: usize = 4000;
const MAX_CHUNKS: usize = 100;

/// Seals that were opened are remembered: deriving the keys takes milliseconds.
const REMEMBERED: usize = 4096;

/// How sessions are kept. A [`crate::State`] of the worker.
pub struct Sessions {
    name: String,
    passwords: Vec<Password>,
    max_age: Option<Duration>,
    same_site: SameSite,
    secure: bool,
    domain: Option<String>,
    rounds: u32,
    /// What seals hold, by their hashes.
    opened: Arc<Mutex<HashMap<[u8; 32], Arc<str>>>>,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Session<T> {
    /// Its id.
    pub id: String,
    /// Milliseconds since 1970.
    pub created_at: u64,
    /// What the app keeps in it.
    #[serde(default)]
    pub data: T,
}

/// A password that protects nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a session's password has {given} characters, at least {MIN_PASSWORD_CHARS} are needed: use random ones"
)]
pub struct WeakPassword {
    given: usize,
}

impl Sessions {
    /// Sessions in the cookie `name`, sealed with `password`. The cookie is `HttpOnly`, `Secure` and
    /// `SameSite=Lax`, and ends with the browser's session.
    ///
    /// # Errors
    /// [`WeakPassword`] below 32 characters.
    pub fn new(name: impl Into<String>, password: impl Into<String>) -> Result<Self, WeakPassword> {
        let sessions = Self {
            name: name.into(),
            passwords: Vec::new(),
            max_age: None,
            same_site: SameSite::Lax,
            secure: true,
            domain: None,
            rounds: ROUNDS,
            opened: Arc::default(),
        };
        sessions.accept("", password)
    }

    /// Accepts another password, so that an old one can be replaced: new seals take the first, and an old seal is
    /// replaced when the session is saved. Give it the `id` under which JavaScript knows it, or none.
    ///
    /// # Errors
    /// [`WeakPassword`] below 32 characters.
    pub fn accept(
        mut self,
        id: impl Into<String>,
        password: impl Into<String>,
    ) -> Result<Self, WeakPassword> {
        let (id, secret) = (id.into(), password.into());
        let given = secret.chars().count();
        if given < MIN_PASSWORD_CHARS {
            return Err(WeakPassword { given });
        }
        self.passwords.push(Password { id, secret });
        Ok(self)
    }

    /// How long a session lives after its beginning. Default: as long as the browser's.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// When the cookie goes along with requests that other sites cause. Default `Lax`.
    #[must_use]
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = same_site;
        self
    }

    /// Whether the cookie is sent over HTTPS alone. Default true.
    #[must_use]
    pub fn secure(mut self, secure: bool) -> Self {
        self.secure = secure;
        self
    }

    /// How many rounds a new seal's keys take. Default 8192, as h3 has them. Release candidates of h3 2, on which the
    /// `useSession` of TanStack Start up to 1.169 stands, read seals of one round alone: give either side the other's
    /// number. Seals of one round are read whatever this is. 0 is taken as 1.
    #[must_use]
    pub fn rounds(mut self, rounds: u32) -> Self {
        self.rounds = rounds.max(1);
        self
    }

    /// To which domain and its subdomains the cookie is sent. Default: the host alone.
    #[must_use]
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// The request's session. A cookie that is missing, expired, changed or of an unknown password, or whose data
    /// is of another type, is a new session: nothing is sent until it is saved.
    ///
    /// # Errors
    /// 503 when the pool for blocking work is full.
    pub async fn open<T>(&self, context: &Context) -> Result<Session<T>, FunctionError>
    where
        T: DeserializeOwned + Default,
    {
        let content = match self.sealed(context) {
            Some(sealed) => self.content(context, sealed).await?,
            None => None,
        };
        let session: Option<Session<T>> = content.and_then(|content| serde_json::from_str(&content).ok());
        let now = SystemTime::now();
        Ok(session.filter(|session| self.is_alive(session.created_at, now)).unwrap_or_else(|| Session {
            id: random_id(),
            created_at: millis(now),
            data: T::default(),
        }))
    }

    fn is_alive(&self, created_at: u64, now: SystemTime) -> bool {
        self.max_age.is_none_or(|age| u128::from(millis(now).saturating_sub(created_at)) <= age.as_millis())
    }

    /// The cookie's value, put together where it stands in several.
    fn sealed(&self, context: &Context) -> Option<String> {
        let first = context.cookie(&self.name)?;
        let Some(count) = first.strip_prefix(CHUNKED) else { return Some(first) };
        let count: usize = count.parse().ok().filter(|count| *count <= MAX_CHUNKS)?;
        (1..=count).map(|number| context.cookie(&format!("{}.{number}", self.name))).collect()
    }

    async fn content(&self, context: &Context, sealed: String) -> Result<Option<Arc<str>>, FunctionError> {
        let hash: [u8; 32] = Sha256::digest(&sealed).into();
        let known = self.opened.lock().unwrap_or_else(PoisonError::into_inner).get(&hash).cloned();
        if known.is_some() {
            // Whether it has expired is asked of the session itself.
            return Ok(known);
        }
        let (passwords, rounds) = (self.passwords.clone(), [self.rounds, LEGACY_ROUNDS]);
        let opened =
            context.blocking(move || unseal(&sealed, &passwords, &rounds, SystemTime::now())).await?;
        let content: Arc<str> = match opened {
            Ok(content) => content.into(),
            Err(error) => {
                tracing::debug!(%error, "a session's seal is not opened");
                return Ok(None);
            }
        };
        self.remember(hash, &content);
        Ok(Some(content))
    }

    fn remember(&self, hash: [u8; 32], content: &Arc<str>) {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if opened.len() >= REMEMBERED {
            opened.clear();
        }
        opened.insert(hash, Arc::clone(content));
    }

    /// Sends the session with the response.
    ///
    /// # Errors
    /// When the data does not serialise or is too long for cookies; 503 when the pool for blocking work is full.
    pub async fn save<T: Serialize>(
        &self,
        context: &Context,
        session: &Session<T>,
    ) -> Result<(), FunctionError> {
        let content = serde_json::to_string(session)?;
        let Some(password) = self.passwords.first().cloned() else {
            return Err(FunctionError::internal("a session has no password"));
        };
        let (rounds, age, kept) = (self.rounds, self.max_age, content.clone());
        let sealed =
            context.blocking(move || seal(&content, &password, rounds, age, SystemTime::now())).await?;
        let Some(sealed) = sealed else {
            return Err(FunctionError::internal("a session cannot be sealed"));
        };
        self.remember(Sha256::digest(&sealed).into(), &kept.into());
        self.set(context, &sealed)
    }

    fn set(&self, context: &Context, sealed: &str) -> Result<(), FunctionError> {
        // A seal's letters are ASCII, and none of them is encoded.
        let chunks: Vec<&str> = (0..sealed.len().div_ceil(CHUNK_CHARS))
            .map(|chunk| &sealed[chunk * CHUNK_CHARS..sealed.len().min((chunk + 1) * CHUNK_CHARS)])
            .collect();
        if chunks.len() > MAX_CHUNKS {
            return Err(FunctionError::internal("a session is too long for cookies"));
        }
        let chunked = chunks.len() > 1;
        let now = if chunked { chunks.len() } else { 0 };
        self.remove_chunks(context, now)?;
        if !chunked {
            return context.set_cookie(&self.cookie(self.name.clone(), sealed));
        }
        context.set_cookie(&self.cookie(self.name.clone(), &format!("{CHUNKED}{now}")))?;
        for (chunk, number) in chunks.into_iter().zip(1..) {
            context.set_cookie(&self.cookie(format!("{}.{number}", self.name), chunk))?;
        }
        Ok(())
    }

    /// Removes the pieces that the request's cookie has beyond `kept`.
    fn remove_chunks(&self, context: &Context, kept: usize) -> Result<(), FunctionError> {
        let before = context.cookie(&self.name);
        let before = before.as_deref().and_then(|first| first.strip_prefix(CHUNKED)?.parse().ok());
        for number in kept + 1..=before.unwrap_or(0).min(MAX_CHUNKS) {
            let removal = self.cookie(format!("{}.{number}", self.name), "").max_age(Duration::ZERO);
            context.set_cookie(&removal)?;
        }
        Ok(())
    }

    /// Ends the session: the browser removes its cookie.
    ///
    /// # Errors
    /// When the cookie's name is none.
    pub fn clear(&self, context: &Context) -> Result<(), FunctionError> {
        self.remove_chunks(context, 0)?;
        context.set_cookie(&self.cookie(self.name.clone(), "").max_age(Duration::ZERO))
    }

    fn cookie(&self, name: String, value: &str) -> Cookie {
        let cookie = Cookie::new(name, value).same_site(self.same_site).secure(self.secure);
        let cookie = match &self.domain {
            Some(domain) => cookie.domain(domain.clone()),
            None => cookie,
        };
        match self.max_age {
            Some(age) => cookie.max_age(age),
            None => cookie,
        }
    }
}

fn millis(time: SystemTime) -> u64 {
    let millis = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    u64::try_from(millis).unwrap_or(u64::MAX)
}

/// A UUID of version 4 (RFC 9562, section 5.4), as `crypto.randomUUID` makes it.
fn random_id() -> String {
    let mut bytes: [u8; 16] = rand::random();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut id = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            id.push('-');
        }
        // A string takes all that is written to it.
        let _ = write!(id, "{byte:02x}");
    }
    id
}
