//! The arguments of a worker that no gateway started, and the environment variables that stand for them.

use std::path::PathBuf;
use std::time::Duration;

use remote::connection::{Access, is_server};
use remote::subject::{DEFAULT_PREFIX, Subjects};
use shared::logging::{LogFormat, check_filter};

use super::limits::{self, ReadLimits};

/// What such a worker is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Args {
    pub(super) access: Access,
    pub(super) subjects: Subjects,
    /// Threads that run functions.
    pub(super) threads: usize,
    /// Calls that wait for each of them.
    pub(super) mailbox: usize,
    /// What forms and values may hold.
    pub(super) limits: ReadLimits,
    /// How long running calls may take to finish after SIGTERM.
    pub(super) drain_timeout: Duration,
    pub(super) log_filter: String,
    pub(super) log_format: LogFormat,
}

/// The most threads, and the most calls that wait for one.
const MAX_THREADS: usize = 256;
const MAX_MAILBOX: usize = 100_000;
const MAX_DRAIN_SECONDS: u64 = 3600;

/// Every option: its name, what it takes, what it does. A variable of the same name in capitals, with ISOPOD_ before it
/// and underscores, stands for it.
const OPTIONS: &[(&str, &str, &str)] = &[
    ("nats", "URL,..", "the servers, such as nats://127.0.0.1:4222 or tls://nats.test:4222"),
    ("nats-prefix", "TEXT", "what all subjects begin with; as at the gateway (isopod)"),
    ("nats-credentials", "FILE", "a JWT and its seed"),
    ("nats-nkey", "FILE", "the seed of an nkey"),
    ("nats-user", "TEXT", "a user's name"),
    ("nats-password", "FILE", "the file with its password"),
    ("nats-token", "FILE", "the file with a token"),
    ("nats-tls", "true|false", "whether a server without TLS is refused (false)"),
    ("nats-ca", "FILE", "the certificates that the server's may be signed by (the system's)"),
    ("nats-cert", "FILE", "this worker's own certificate"),
    ("nats-key", "FILE", "its key"),
    ("threads", "N", "threads that run functions (2)"),
    ("mailbox", "N", "calls that wait for each of them; 503 for more (64)"),
    ("drain-timeout", "SECONDS", "how long running calls may take to finish after SIGTERM (30)"),
    ("log-filter", "FILTER", "which log lines are written (info)"),
    ("log-format", "json|text", "how they are written (text)"),
];

/// All that is wrong with the arguments.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}\n\n{}", .0.join("\n"), usage())]
pub(super) struct ArgsError(pub(super) Vec<String>);

fn options() -> impl Iterator<Item = &'static (&'static str, &'static str, &'static str)> {
    OPTIONS.iter().chain(limits::OPTIONS)
}

fn usage() -> String {
    let mut text = String::from("usage: fn-workers --nats URL [OPTION VALUE]...\n");
    for (name, value, what) in options() {
        let option = format!("--{name} {value}");
        text.push_str(&format!("  {option:<28} {what}\n"));
    }
    text
}

/// What was given for each option.
pub(super) struct Given<'v> {
    flags: Vec<(&'static str, String)>,
    variable: &'v dyn Fn(&str) -> Option<String>,
    problems: Vec<String>,
}

impl Given<'_> {
    fn text(&self, name: &'static str) -> Option<String> {
        let flag = self.flags.iter().rev().find(|(flag, _)| *flag == name).map(|(_, value)| value.clone());
        flag.or_else(|| (self.variable)(&format!("ISOPOD_{}", name.replace('-', "_").to_uppercase())))
    }

    fn path(&self, name: &'static str) -> Option<PathBuf> {
        self.text(name).map(PathBuf::from)
    }

    /// What was given for an option or its default; one that is wrong is noted.
    pub(super) fn parsed<T>(
        &mut self,
        name: &'static str,
        default: &str,
        allowed: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(name).unwrap_or_else(|| default.to_owned());
        let parsed = parse(&text);
        if parsed.is_none() {
            self.problems.push(format!("--{name} is `{text}`: give {allowed}"));
        }
        parsed
    }
}

impl Args {
    /// Reads arguments; `variable` looks up what they do not say.
    pub(super) fn parse(
        args: impl IntoIterator<Item = String>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ArgsError> {
        let mut given = Given { flags: Vec::new(), variable, problems: Vec::new() };
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let (flag, value) = match arg.split_once('=') {
                Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
                None => (arg, None),
            };
            let known = options().map(|(name, ..)| *name).find(|name| flag.strip_prefix("--") == Some(*name));
            match (known, value.or_else(|| known.and_then(|_| args.next()))) {
                (Some(name), Some(value)) => given.flags.push((name, value)),
                (Some(name), None) => given.problems.push(format!("--{name} lacks its value")),
                (None, _) => given.problems.push(format!("`{flag}` is no option")),
            }
        }
        let parsed = read(&mut given);
        match parsed {
            Some(args) if given.problems.is_empty() => Ok(args),
            _ => Err(ArgsError(given.problems)),
        }
    }
}

fn read(given: &mut Given<'_>) -> Option<Args> {
    let servers = given.parsed("nats", "", "one or more URLs with commas between them", |text| {
        let servers: Vec<_> = text.split(',').map(|server| server.trim().to_owned()).collect();
        servers.iter().all(|server| is_server(server)).then_some(servers)
    });
    let tls = given.parsed("nats-tls", "false", "true or false", |text| text.parse().ok());
    let prefix = "letters, digits, - and _, with dots between them";
    let subjects = given.parsed("nats-prefix", DEFAULT_PREFIX, prefix, Subjects::new);
    let count = |most: usize| move |text: &str| text.parse().ok().filter(|count| (1..=most).contains(count));
    let threads = given.parsed("threads", "2", "a number from 1 to 256", count(MAX_THREADS));
    let mailbox = given.parsed("mailbox", "64", "a number from 1 to 100000", count(MAX_MAILBOX));
    let limits = limits::read(given);
    let drain = given.parsed("drain-timeout", "30", "seconds, 3600 at most", |text| {
        text.parse().ok().filter(|seconds| *seconds <= MAX_DRAIN_SECONDS).map(Duration::from_secs)
    });
    let filter = "an EnvFilter directive list, such as info";
    let log_filter =
        given.parsed("log-filter", "info", filter, |text| check_filter(text).ok().map(|()| text.to_owned()));
    let log_format = given.parsed("log-format", "text", "json or text", |text| text.parse().ok());
    let access = Access {
        servers: servers?,
        credentials: given.path("nats-credentials"),
        nkey: given.path("nats-nkey"),
        user: given.text("nats-user"),
        password: given.path("nats-password"),
        token: given.path("nats-token"),
        tls: tls?,
        ca: given.path("nats-ca"),
        cert: given.path("nats-cert"),
        key: given.path("nats-key"),
    };
    for problem in access.problems() {
        let (field, found, allowed) = (problem.field, problem.given, problem.allowed);
        given.problems.push(format!("--nats-{field}: {found}; allowed is {allowed}; {}", problem.remedy));
    }
    Some(Args {
        access,
        subjects: subjects?,
        threads: threads?,
        mailbox: mailbox?,
        limits: limits?,
        drain_timeout: drain?,
        log_filter: log_filter?,
        log_format: log_format?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Args, ArgsError> {
        let variable = |name: &str| (name == "ISOPOD_NATS_PREFIX").then(|| "shop".to_owned());
        Args::parse(args.iter().map(ToString::to_string), &variable)
    }

    #[test]
    fn flags_come_before_variables_and_those_before_defaults() {
        let args = parse(&["--nats", "nats://127.0.0.1:4222, tls://b.test", "--threads=3"]).unwrap();
        assert_eq!(args.access.servers, ["nats://127.0.0.1:4222", "tls://b.test"]);
        assert_eq!((args.threads, args.mailbox, args.subjects.prefix()), (3, 64, "shop"));
        assert_eq!((args.limits.forms, args.limits.values), Default::default());
        let args = parse(&["--nats", "127.0.0.1", "--form-limit=1GiB", "--value-depth", "7"]).unwrap();
        assert_eq!((args.limits.forms.max_bytes, args.limits.values.max_depth), (1 << 30, 7));
        let args = parse(&["--nats", "127.0.0.1", "--nats-prefix", "other"]).unwrap();
        assert_eq!(args.subjects.prefix(), "other");
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let args = ["--nats", "nats://", "--threads", "0", "--no", "--nats-tls", "maybe", "--log-format"];
        let ArgsError(problems) = parse(&args).unwrap_err();
        assert_eq!(problems.len(), 5, "{problems:?}");
        let ArgsError(problems) =
            parse(&["--nats", "a", "--form-memory", "64", "--value-nodes", "1"]).unwrap_err();
        assert_eq!(
            problems,
            ["--form-memory is `64`: give 0B to 64MiB", "--value-nodes is `1`: give 16 to 100000000"]
        );
        let args = ["--nats", "a", "--nats-token", "/nowhere", "--nats-user", "ann"];
        let ArgsError(problems) = parse(&args).unwrap_err();
        assert!(problems.iter().any(|problem| problem.contains("user and token")), "{problems:?}");
        assert!(problems.iter().any(|problem| problem.contains("/nowhere")), "{problems:?}");
    }
}
