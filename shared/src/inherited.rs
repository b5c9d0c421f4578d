//! How a child finds the sockets that its gateway made for it: by the file descriptors named in its arguments.
//!
//! ```text
//! renderer-pool --control 3 --links 4,5 --links 6,7 --log-filter info --log-format json
//!                         |          |          |
//!                         |          |          isolate 1: one link for each gateway thread
//!                         |          isolate 0
//!                         the supervisor's link
//! ```

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream as StdUnixStream;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use tokio::net::UnixStream;

use crate::logging::LogFormat;

/// A child's arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildArgs {
    /// The supervisor's link.
    pub control: RawFd,
    /// For each isolate (or for the one worker) its links, one for each gateway thread.
    pub links: Vec<Vec<RawFd>>,
    /// Which log lines are written, in the syntax of `tracing-subscriber`'s `EnvFilter`.
    pub log_filter: String,
    /// How they are written.
    pub log_format: LogFormat,
}

/// The arguments are not what a gateway writes.
#[derive(Debug, thiserror::Error)]
pub enum ChildArgsError {
    /// Somebody started the binary by hand, or the builds differ.
    #[error("`{argument}` is not understood: this program is started by `gateway`, not by hand")]
    Argument {
        /// The argument.
        argument: String,
    },
    /// An argument is missing.
    #[error("`{name}` is missing: this program is started by `gateway`, not by hand")]
    Missing {
        /// Which.
        name: &'static str,
    },
}

impl ChildArgs {
    /// The arguments as the gateway passes them.
    pub fn to_args(&self) -> Vec<String> {
        let mut args = vec!["--control".into(), self.control.to_string()];
        for links in &self.links {
            let links: Vec<_> = links.iter().map(ToString::to_string).collect();
            args.extend(["--links".into(), links.join(",")]);
        }
        args.extend(["--log-filter".into(), self.log_filter.clone()]);
        args.extend(["--log-format".into(), self.log_format.to_string()]);
        args
    }

    /// Reads what [`ChildArgs::to_args`] wrote.
    ///
    /// # Errors
    /// [`ChildArgsError`] for anything else.
    pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Self, ChildArgsError> {
        let mut args = args.into_iter();
        let (mut control, mut links) = (None, Vec::new());
        let (mut log_filter, mut log_format) = (None, None);
        while let Some(name) = args.next() {
            let value = args.next().unwrap_or_default();
            let bad = || ChildArgsError::Argument { argument: format!("{name} {value}") };
            let fd = |text: &str| text.parse::<RawFd>().ok().filter(|fd| *fd > 2).ok_or_else(bad);
            match name.as_str() {
                "--control" => control = Some(fd(&value)?),
                "--links" => links.push(value.split(',').map(fd).collect::<Result<Vec<_>, _>>()?),
                "--log-filter" => log_filter = Some(value),
                "--log-format" => log_format = Some(value.parse().map_err(|_| bad())?),
                _ => return Err(bad()),
            }
        }
        let missing = |name| ChildArgsError::Missing { name };
        if links.is_empty() {
            return Err(missing("--links"));
        }
        Ok(Self {
            control: control.ok_or_else(|| missing("--control"))?,
            links,
            log_filter: log_filter.ok_or_else(|| missing("--log-filter"))?,
            log_format: log_format.ok_or_else(|| missing("--log-format"))?,
        })
    }
}

/// Takes an inherited socket over; it will not be inherited further.
///
/// Must run on a thread with a tokio runtime, and once for each descriptor.
///
/// # Errors
/// When the descriptor is not open or not a socket.
pub fn take_socket(fd: RawFd) -> io::Result<UnixStream> {
    // SAFETY: the gateway opened this descriptor for this process alone, and each is taken once; a wrong number
    // fails in `fcntl` below, before anything is read or written.
    let owned = unsafe { OwnedFd::from_raw_fd(fd) };
    fcntl(&owned, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    let stream = StdUnixStream::from(owned);
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_survive_the_way() {
        let args = ChildArgs {
            control: 3,
            links: vec![vec![4, 5], vec![6, 7]],
            log_filter: "info,shared=debug".into(),
            log_format: LogFormat::Json,
        };
        assert_eq!(ChildArgs::parse(args.to_args()).unwrap(), args);
    }

    #[test]
    fn a_start_by_hand_is_told_so() {
        for args in [&[][..], &["--help"], &["--control", "x"], &["--control", "1", "--links", "4"]] {
            let error = ChildArgs::parse(args.iter().map(ToString::to_string)).unwrap_err();
            assert!(error.to_string().contains("started by `gateway`"), "{error}");
        }
    }
}
