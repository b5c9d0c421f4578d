//! What a key is. Flags, environment variables, `config/gateway.toml` and all messages follow from the
//! [`table`](super::table) of them.

use std::fmt;
use std::time::Duration;

use super::value;

/// What values a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An IP address with a port.
    Address,
    /// An IP address with a port, or a Unix socket.
    Listen,
    /// A whole number within bounds.
    Count {
        /// The least.
        min: usize,
        /// The most.
        max: usize,
    },
    /// A time within bounds.
    Time {
        /// The shortest.
        min: Duration,
        /// The longest.
        max: Duration,
    },
    /// A number of bytes within bounds.
    Size {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// A file or directory.
    Path,
    /// A directory, or the word `off`.
    DirectoryOrOff,
    /// Files or directories; several.
    Paths,
    /// Where the app may connect to; several.
    EgressRules,
    /// The path below which static files live.
    BasePath,
    /// The path and query of a request.
    RequestPath,
    /// Yes or no.
    Switch,
    /// Flags of V8; several.
    V8Flags,
    /// Names of environment variables; several.
    EnvPatterns,
    /// Networks; several.
    Networks,
    /// Origins of other sites; several.
    Origins,
    /// Paths in TanStack's syntax; several.
    Patterns,
    /// Where a Redis server is.
    RedisUrl,
    /// Where NATS servers are; several.
    NatsServers,
    /// What subjects of NATS begin with.
    SubjectPrefix,
    /// Any text but none.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Which log lines are written.
    LogFilter,
}

impl Kind {
    /// Whether the key takes several values.
    pub fn is_many(self) -> bool {
        matches!(
            self,
            Self::EnvPatterns
                | Self::Networks
                | Self::Origins
                | Self::Patterns
                | Self::Paths
                | Self::EgressRules
                | Self::V8Flags
                | Self::NatsServers
        )
    }

    /// How help names a value.
    pub fn placeholder(self) -> &'static str {
        match self {
            Self::Address | Self::Listen => "ADDR",
            Self::Count { .. } => "N",
            Self::Time { .. } => "TIME",
            Self::Size { .. } => "SIZE",
            Self::Path | Self::Paths | Self::BasePath | Self::RequestPath => "PATH",
            Self::DirectoryOrOff => "DIR",
            Self::Switch => "BOOL",
            Self::V8Flags => "FLAG",
            Self::EgressRules => "RULE",
            Self::EnvPatterns => "NAME",
            Self::Networks => "CIDR",
            Self::Origins => "ORIGIN",
            Self::Patterns => "PATTERN",
            Self::RedisUrl | Self::NatsServers => "URL",
            Self::SubjectPrefix | Self::Text => "TEXT",
            Self::Choice(_) => "WORD",
            Self::LogFilter => "FILTER",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => f.write_str("an IP address with a port, such as 127.0.0.1:3000 or [::]:3000"),
            Self::Listen => f.write_str(
                "an IP address with a port, such as 127.0.0.1:3000 or [::]:3000, or unix:/PATH for a Unix socket",
            ),
            Self::Count { min, max } => write!(f, "a whole number from {min} to {max}"),
            Self::Time { min, max } => {
                let (min, max) = (value::show_duration(*min), value::show_duration(*max));
                write!(f, "a time from {min} to {max}, with a unit: ms, s, m or h")
            }
            Self::Size { min, max } => {
                let (min, max) = (value::show_bytes(*min), value::show_bytes(*max));
                write!(f, "a size from {min} to {max}, with a unit: B, KiB, MiB or GiB")
            }
            Self::Path => f.write_str("a path"),
            Self::DirectoryOrOff => f.write_str("a directory, or off"),
            Self::Paths => f.write_str("paths"),
            Self::EgressRules => f.write_str(
                "all, none, or hosts (db.test, *.test), addresses and networks, each with :PORT if only that is meant",
            ),
            Self::BasePath => {
                f.write_str("a path such as / or /shop/en, its segments of letters, digits, - . _ or ~")
            }
            Self::RequestPath => {
                f.write_str("the path of a page, from its first slash on, such as / or /shop?warm=1")
            }
            Self::Switch => f.write_str("true or false"),
            Self::V8Flags => f.write_str("flags such as --max-lazy, each beginning with --"),
            Self::EnvPatterns => f.write_str("names of environment variables; a * may end a name"),
            Self::Networks => f.write_str("networks such as 10.0.0.0/8 or fd00::/8, or single addresses"),
            Self::Origins => f.write_str("origins such as https://example.com or http://localhost:3000"),
            Self::Patterns => f.write_str("paths in TanStack's syntax such as /hooks/$ or /api/$id/notify"),
            Self::RedisUrl => {
                f.write_str("a URL such as redis://127.0.0.1:6379, rediss://redis.test:6379 (TLS) or redis+unix:///run/redis.sock")
            }
            Self::NatsServers => f.write_str("URLs such as nats://127.0.0.1:4222 or tls://nats.test:4222"),
            Self::SubjectPrefix => f.write_str("letters, digits, - and _, with dots between them, at most 64"),
            Self::Text => f.write_str("a text"),
            Self::Choice(words) => write!(f, "one of: {}", words.join(", ")),
            Self::LogFilter => f.write_str("an EnvFilter directive list, such as info or warn,access=info"),
        }
    }
}

/// The value of a key that nobody set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// This text.
    Text(&'static str),
    /// As many as the machine has cores, and at most so many.
    Cores {
        /// The most.
        most: usize,
    },
    /// No value; the text says what that means.
    Unset(&'static str),
}

impl Fallback {
    /// The text of the default on this machine, if there is one.
    pub fn text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.to_owned()),
            Self::Cores { most } => Some(cores().min(most).to_string()),
            Self::Unset(_) => None,
        }
    }
}

impl fmt::Display for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Cores { most: usize::MAX } => f.write_str("the number of cores"),
            Self::Cores { most } => write!(f, "the number of cores, at most {most}"),
            Self::Unset(meaning) => f.write_str(meaning),
        }
    }
}

/// The cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name in the file; flag and variable follow from it.
    pub name: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// Its value when nobody sets it.
    pub fallback: Fallback,
    /// What it does, in one or two sentences.
    pub doc: &'static str,
}

impl Key {
    /// The flag, without its dashes.
    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    /// The environment variable.
    pub fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.name.to_ascii_uppercase())
    }
}

/// What the environment variables begin with.
pub const VARIABLE_PREFIX: &str = "ISOPOD_";
