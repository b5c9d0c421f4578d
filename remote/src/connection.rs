//! The shell around NATS's client: how a connection is opened, what is known of its state, and how packets leave.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{
    Client, ConnectErrorKind, ConnectOptions, Event, Message, ServerAddr, StatusCode, Subscriber,
};
use bytes::Bytes;
use futures_util::{Sink, StreamExt};
use tokio::sync::watch;

use crate::Packet;
use crate::envelope::MIN_PAYLOAD_BYTES;

/// The pause before the first attempt to connect again; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long one attempt may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How often an idle connection is looked at; two missed answers end it.
const PING_INTERVAL: Duration = Duration::from_secs(5);

/// Messages that wait for a subscriber; the server's client drops more, which the calls' numbers find out.
const SUBSCRIPTION_CAPACITY: usize = 8192;

/// Where NATS is, and how this side shows who it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// The servers of one cluster, such as `nats://127.0.0.1:4222` or `tls://nats.test:4222`.
    pub servers: Vec<String>,
    /// A file with a JWT and its seed, as `nsc` writes it.
    pub credentials: Option<PathBuf>,
    /// A file with the seed of an nkey.
    pub nkey: Option<PathBuf>,
    /// A user's name; its password lies in `password`.
    pub user: Option<String>,
    /// A file with the password.
    pub password: Option<PathBuf>,
    /// A file with a token.
    pub token: Option<PathBuf>,
    /// Whether a server without TLS is refused.
    pub tls: bool,
    /// A file with the certificates that the server's may be signed by; the system's when there is none.
    pub ca: Option<PathBuf>,
    /// A file with this side's certificate.
    pub cert: Option<PathBuf>,
    /// A file with its key.
    pub key: Option<PathBuf>,
}

/// Something in [`Access`] that cannot be. The field is named as in the configuration, without `nats_`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessProblem {
    /// The field.
    pub field: &'static str,
    /// What was given.
    pub given: String,
    /// What is allowed.
    pub allowed: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

/// Whether a text says where a server is.
pub fn is_server(text: &str) -> bool {
    text.parse::<ServerAddr>().is_ok_and(|address| !address.host().is_empty())
}

impl Access {
    /// What is wrong, all at once.
    pub fn problems(&self) -> Vec<AccessProblem> {
        let mut problems = Vec::new();
        let ways = [
            ("credentials", self.credentials.is_some()),
            ("nkey", self.nkey.is_some()),
            ("user", self.user.is_some()),
            ("token", self.token.is_some()),
        ];
        let given: Vec<_> = ways.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect();
        if let [_, second, ..] = given[..] {
            problems.push(AccessProblem {
                field: second,
                given: given.join(" and "),
                allowed: "one way to show who this is",
                remedy: "leave the others out",
            });
        }
        let pairs = [
            ("user", self.user.is_some(), "password", self.password.is_some()),
            ("cert", self.cert.is_some(), "key", self.key.is_some()),
        ];
        for (first, has_first, second, has_second) in pairs {
            if has_first != has_second {
                let (field, given) = if has_first { (first, first) } else { (second, second) };
                problems.push(AccessProblem {
                    field,
                    given: format!("{given} alone"),
                    allowed: "both or none of user and password, and of cert and key",
                    remedy: "give the other too",
                });
            }
        }
        let files = [
            ("credentials", &self.credentials),
            ("nkey", &self.nkey),
            ("password", &self.password),
            ("token", &self.token),
            ("ca", &self.ca),
            ("cert", &self.cert),
            ("key", &self.key),
        ];
        for (field, file) in files {
            if let Some(path) = file
                && let Err(error) = std::fs::File::open(path)
            {
                problems.push(AccessProblem {
                    field,
                    given: format!("{} ({error})", path.display()),
                    allowed: "a file that this process may read",
                    remedy: "correct the path or the file's rights",
                });
            }
        }
        problems
    }

    fn options(&self) -> Result<ConnectOptions, ConnectError> {
        let mut options = ConnectOptions::new();
        let read = |path: &PathBuf| {
            let text = std::fs::read_to_string(path);
            text.map(|text| text.trim().to_owned())
                .map_err(|source| ConnectError::File { path: path.clone(), source })
        };
        if let Some(path) = &self.credentials {
            let unusable = |source| ConnectError::File { path: path.clone(), source };
            // Its reader wants the last line to end.
            options = options.credentials(&format!("{}\n", read(path)?)).map_err(unusable)?;
        }
        if let Some(path) = &self.nkey {
            options = options.nkey(read(path)?);
        }
        if let (Some(user), Some(path)) = (&self.user, &self.password) {
            options = options.user_and_password(user.clone(), read(path)?);
        }
        if let Some(path) = &self.token {
            options = options.token(read(path)?);
        }
        if let Some(ca) = &self.ca {
            options = options.add_root_certificates(ca.clone());
        }
        if let (Some(cert), Some(key)) = (&self.cert, &self.key) {
            options = options.add_client_certificate(cert.clone(), key.clone());
        }
        Ok(options.require_tls(self.tls))
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A file of the credentials cannot be used.
    #[error("{} cannot be used", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The server does not accept who this is.
    #[error("the NATS server refuses this side's credentials")]
    Refused(#[source] async_nats::ConnectError),
    /// TLS does not come about.
    #[error("there is no TLS with the NATS server")]
    Tls(#[source] async_nats::ConnectError),
    /// The connection's task has ended.
    #[error("the connection to NATS cannot be used")]
    Other(#[source] async_nats::ConnectError),
    /// A subscription is not possible.
    #[error("a NATS subject cannot be subscribed to")]
    Subscribe(#[from] async_nats::SubscribeError),
}

/// What is known of a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Status {
    /// Whether it is up.
    pub connected: bool,
    /// How often it was lost.
    pub losses: u64,
    /// How often messages were dropped because this side did not take them.
    pub slow: u64,
}

/// A connection, and its state.
#[derive(Debug, Clone)]
pub struct Connection {
    /// NATS's own client.
    pub client: Client,
    /// The state; changes wake.
    pub status: watch::Receiver<Status>,
}

/// Opens a connection that comes back by itself, after pauses that double, as often as it must.
///
/// Servers that cannot be reached are waited for. With `must_be_let_in`, a first attempt is waited for, and one that a
/// server refuses is an error.
///
/// # Errors
/// [`ConnectError`].
pub async fn connect(access: &Access, name: &str, must_be_let_in: bool) -> Result<Connection, ConnectError> {
    // Fails where the process has one already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    if must_be_let_in {
        let first = access.options()?.connection_timeout(CONNECT_TIMEOUT).connect(&access.servers).await;
        match first.map_err(|error| (error.kind(), error)) {
            Err((ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication, error)) => {
                return Err(ConnectError::Refused(error));
            }
            Err((kind, error)) if kind == ConnectErrorKind::Tls || is_of_tls(&error) => {
                return Err(ConnectError::Tls(error));
            }
            Err((_, error)) => tracing::warn!(%error, "NATS cannot be reached yet"),
            Ok(_) => {}
        }
    }
    let (sender, status) = watch::channel(Status::default());
    let sender = Arc::new(sender);
    let is_silent = Arc::new(AtomicBool::new(false));
    let options = access
        .options()?
        .name(name)
        .retry_on_initial_connect()
        .max_reconnects(None)
        .connection_timeout(CONNECT_TIMEOUT)
        .ping_interval(PING_INTERVAL)
        .subscription_capacity(SUBSCRIPTION_CAPACITY)
        .reconnect_delay_callback(pause)
        .event_callback(move |event| {
            note(&sender, &is_silent, &event);
            std::future::ready(())
        });
    let client = options.connect(&access.servers).await.map_err(ConnectError::Other)?;
    Ok(Connection { client, status })
}

/// A handshake that fails is one more failure of input and output to the client.
fn is_of_tls(error: &async_nats::ConnectError) -> bool {
    let io = std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    io.and_then(std::io::Error::get_ref).is_some_and(|inner| inner.is::<rustls::Error>())
}

fn pause(attempt: usize) -> Duration {
    let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or(u32::MAX).min(10);
    let pause = (FIRST_PAUSE * 2u32.pow(doublings)).min(LONGEST_PAUSE);
    // Those who lost one server do not all come back at once.
    pause.mul_f64(0.5 + rand::random::<f64>() / 2.0)
}

/// Failed attempts are told once for each time without a connection.
fn note(status: &watch::Sender<Status>, is_silent: &AtomicBool, event: &Event) {
    match event {
        Event::Connected => {
            is_silent.store(false, Ordering::Relaxed);
            tracing::info!("connected to NATS");
            status.send_modify(|status| status.connected = true);
        }
        Event::Disconnected | Event::Closed => {
            tracing::warn!(
                "the connection to NATS is lost: calls to other machines are refused until it is back"
            );
            status.send_modify(|status| {
                status.losses += 1;
                status.connected = false;
            });
        }
        Event::SlowConsumer(_) => {
            tracing::warn!("messages from NATS were dropped: this process did not take them in time");
            status.send_modify(|status| status.slow += 1);
        }
        Event::ServerError(_) | Event::ClientError(_) => {
            if !is_silent.swap(true, Ordering::Relaxed) {
                tracing::warn!(%event, "NATS cannot be reached, or refuses something");
            }
        }
        Event::LameDuckMode | Event::Draining => tracing::info!(%event, "the NATS server is ending"),
    }
}

impl Connection {
    /// Whether it is up now.
    pub fn is_up(&self) -> bool {
        self.client.connection_state() == State::Connected && self.status.borrow().connected
    }

    /// The most bytes that one message may carry, once connected.
    pub fn max_payload(&self) -> usize {
        let told = self.client.max_payload();
        if self.is_up() && told < MIN_PAYLOAD_BYTES {
            tracing::warn!(
                told,
                least = MIN_PAYLOAD_BYTES,
                "the NATS server's max_payload is too small: raise it"
            );
        }
        told
    }

    /// Messages of a subject.
    ///
    /// # Errors
    /// [`ConnectError::Subscribe`] when the subject is none.
    pub async fn subscribe(&self, subject: String) -> Result<Inbox, ConnectError> {
        Ok(Inbox(self.client.subscribe(subject).await?))
    }

    /// Messages of a subject of which each goes to one member of the group.
    ///
    /// # Errors
    /// [`ConnectError::Subscribe`] when the subject is none.
    pub async fn share(&self, subject: String, group: String) -> Result<Inbox, ConnectError> {
        Ok(Inbox(self.client.queue_subscribe(subject, group).await?))
    }

    /// Publishes a message of no call.
    pub async fn say(&self, subject: String, payload: Bytes) {
        if let Err(error) = self.client.publish(subject, payload).await {
            tracing::warn!(%error, "a message cannot be published");
        }
    }
}

/// Messages that come.
#[derive(Debug)]
pub struct Inbox(Subscriber);

/// One of them.
#[derive(Debug)]
pub enum Incoming {
    /// A message.
    Message {
        /// Where it came.
        subject: String,
        /// Where its answer goes; empty when none may come.
        reply: String,
        /// What it says.
        payload: Bytes,
    },
    /// Nobody listened where the message went whose answers come here.
    NobodyThere {
        /// Where the answer came.
        subject: String,
    },
}

impl From<Message> for Incoming {
    fn from(message: Message) -> Self {
        let subject = message.subject.to_string();
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            return Self::NobodyThere { subject };
        }
        let reply = message.reply.map(|reply| reply.to_string()).unwrap_or_default();
        Self::Message { subject, reply, payload: message.payload }
    }
}

impl Inbox {
    /// The next message; `None` when there will be none.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Incoming>> {
        self.0.poll_next_unpin(cx).map(|message| message.map(Incoming::from))
    }

    /// The next message; `None` when there will be none.
    pub async fn next(&mut self) -> Option<Incoming> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Lets no more come; what has come is still to be taken.
    pub async fn close(&mut self) {
        // The client has ended, and with it the subscription.
        let _ = self.0.drain().await;
    }
}

/// Where packets leave, in order.
#[derive(Debug)]
pub struct Outbox {
    client: Client,
    waiting: Option<Packet>,
}

impl Outbox {
    /// An outbox of its own on a connection.
    pub fn new(connection: &Connection) -> Self {
        Self { client: connection.client.clone(), waiting: None }
    }

    /// Forgets what waits.
    pub fn clear(&mut self) {
        self.waiting = None;
    }

    /// Publishes what `next` gives until it gives no more. Pending when the client takes no more.
    pub fn poll_publish(
        &mut self,
        cx: &mut Context<'_>,
        mut next: impl FnMut() -> Option<Packet>,
    ) -> Poll<()> {
        loop {
            if self.waiting.is_none() {
                self.waiting = next();
            }
            if self.waiting.is_none() {
                return Poll::Ready(());
            }
            let ready = ready!(Pin::new(&mut self.client).poll_ready(cx));
            let Some(Packet { subject, reply, payload }) = self.waiting.take() else {
                return Poll::Ready(());
            };
            let message = async_nats::message::OutboundMessage {
                subject: subject.into(),
                reply: reply.map(Into::into),
                payload,
                headers: None,
            };
            if let Err(error) = ready.and_then(|()| Pin::new(&mut self.client).start_send(message)) {
                // The hole in its call's numbers is noticed where it should have come.
                tracing::warn!(%error, "a message to NATS is lost");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        for (attempt, most) in [(1, FIRST_PAUSE), (2, FIRST_PAUSE * 2), (50, LONGEST_PAUSE)] {
            let pause = pause(attempt);
            assert!(pause <= most && pause >= most / 2, "{pause:?}");
        }
    }

    #[test]
    fn all_that_cannot_be_is_told_at_once() {
        let access = Access {
            nkey: Some("/nowhere/seed".into()),
            user: Some("ann".into()),
            key: Some("/dev/null".into()),
            ..Access::default()
        };
        let fields: Vec<_> = access.problems().iter().map(|problem| problem.field).collect();
        assert_eq!(fields, ["user", "user", "key", "nkey"]);
        assert!(Access::default().problems().is_empty());
    }
}
