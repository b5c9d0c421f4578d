//! Buckets on a Redis server, for several gateways together.
//!
//! ```text
//!  connecting --> up --a request fails--> gone --pause--> connecting
//! ```
//!
//! A task of each gateway thread keeps the connection; requests wait for an answer, never for a connection. While
//! the server is gone, every request is told so at once, and the caller counts in its own memory.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use prometheus::IntGauge;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError, Script, TlsCertificates};
use sha2::{Digest, Sha256};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::bucket::{Bucket, Standing};
use crate::config::edge::Buckets;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The pause before the next connection.
const PAUSE: Duration = Duration::from_secs(1);

/// [`Bucket::take`] on the server, by its clock, in one step.
const TAKE: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval = tonumber(ARGV[1])
local ahead = tonumber(redis.call('GET', KEYS[1]) or now) - now
if ahead < 0 then ahead = 0 end
local after = ahead + interval
if after > interval * ARGV[2] then return {0, ahead} end
redis.call('SET', KEYS[1], string.format('%.0f', now + after), 'PX', math.ceil(after / 1000))
return {1, after}
";

/// The connection of one gateway thread.
pub struct Remote {
    state: watch::Receiver<State>,
    failed: Rc<Notify>,
    script: Script,
    timeout: Duration,
}

#[derive(Clone)]
enum State {
    Connecting,
    Up(MultiplexedConnection),
    Gone,
}

/// The server does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl Remote {
    /// Connects to the server at `url`, again whenever it is gone, for as long as this value lives. `connected`
    /// counts the connections of all threads. Must be called on a gateway thread.
    ///
    /// # Errors
    /// When the URL is none; the configuration has checked that.
    pub fn new(url: &str, buckets: &Buckets, connected: IntGauge) -> Result<Self, RedisError> {
        let client = client(url, buckets.redis_ca.as_deref())?;
        let (sender, state) = watch::channel(State::Connecting);
        let failed = Rc::new(Notify::new());
        actix_web::rt::spawn(keep(client, sender, Rc::clone(&failed), connected));
        Ok(Self { state, failed, script: Script::new(TAKE), timeout: buckets.redis_timeout })
    }

    /// Takes a token from the bucket of this client under the rule `rule`.
    ///
    /// # Errors
    /// [`Gone`] when the server does not answer in time.
    pub async fn take(&self, rule: &str, client: &[u8], bucket: Bucket) -> Result<Standing, Gone> {
        let answer = timeout(self.timeout, async {
            let mut state = self.state.clone();
            // The first connection is under way when the first requests come.
            let state =
                state.wait_for(|state| !matches!(state, State::Connecting)).await.map_err(|_| Gone)?;
            let State::Up(connection) = &*state else { return Err(Gone) };
            let mut connection = connection.clone();
            drop(state);
            let (interval, burst) = (bucket.interval, bucket.burst);
            let mut script = self.script.key(name(rule, client));
            let answer: Result<(u8, u64), RedisError> =
                script.arg(interval).arg(burst).invoke_async(&mut connection).await;
            answer.map_err(|error| {
                tracing::debug!(%error, "Redis did not count a request");
                self.failed.notify_one();
                Gone
            })
        })
        .await;
        match answer {
            Ok(Ok((allowed, ahead))) => Ok(bucket.standing(allowed == 1, ahead)),
            Ok(Err(gone)) => Err(gone),
            Err(_) => {
                self.failed.notify_one();
                Err(Gone)
            }
        }
    }
}

/// `rediss://` is checked against `authorities` in PEM, or the system's.
fn client(url: &str, authorities: Option<&[u8]>) -> Result<Client, RedisError> {
    // Other crates may bring a second library of ciphers along; then none is the default. One that was chosen stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match authorities {
        None => Client::open(url),
        Some(pem) => {
            let certificates = TlsCertificates { client_tls: None, root_cert: Some(pem.to_vec()) };
            Client::build_with_tls(url, certificates)
        }
    }
}

/// The key of a bucket. Clients' keys are hashed: they may be long, and secret.
fn name(rule: &str, client: &[u8]) -> String {
    let mut digest = Sha256::new();
    digest.update(rule.as_bytes());
    digest.update([0]);
    digest.update(client);
    let hex: String = digest.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("isopod:rate:{hex}")
}

/// Keeps a connection until nobody needs it any more.
async fn keep(client: Client, state: watch::Sender<State>, failed: Rc<Notify>, connected: IntGauge) {
    loop {
        // How long an answer may take is said where it is waited for.
        let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let connecting =
            timeout(CONNECT_TIMEOUT, client.get_multiplexed_async_connection_with_config(&config));
        let connection = tokio::select! {
            connection = connecting => connection,
            () = state.closed() => return,
        };
        match connection {
            Ok(Ok(connection)) => {
                connected.inc();
                tracing::info!("rates are counted on Redis");
                state.send_replace(State::Up(connection));
                tokio::select! {
                    () = failed.notified() => {}
                    () = state.closed() => {}
                }
                connected.dec();
                tracing::warn!("Redis is gone: rates are counted in memory until it is back");
            }
            Ok(Err(error)) => tracing::warn!(%error, "Redis cannot be reached: rates are counted in memory"),
            Err(_) => tracing::warn!("Redis cannot be reached in time: rates are counted in memory"),
        }
        state.send_replace(State::Gone);
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = state.closed() => return,
        }
        // What failed before counts for the connection before.
        while futures_util::FutureExt::now_or_never(failed.notified()).is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_tell_rules_and_clients_apart_and_no_secrets() {
        let names = [name("a", b"b"), name("b", b"a"), name("ab", b""), name("a", b"secret")];
        for (at, one) in names.iter().enumerate() {
            assert_eq!(one.len(), "isopod:rate:".len() + 32);
            assert!(!one.contains("secret") && !names[..at].contains(one));
        }
    }
}
