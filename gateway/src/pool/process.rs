//! How a child process is made: socket pairs, arguments, a closed environment, and its end tied to ours.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::prctl::{set_no_new_privs, set_pdeathsig};
use nix::sys::signal::Signal;
use nix::sys::socket::{setsockopt, sockopt};
use nix::unistd::{Pid, getpid, getppid};
use shared::inherited::ChildArgs;
use shared::link::Channel;
use shared::logging::LogFormat;
use shared::message::{FromChild, ToChild};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use crate::scheduling::set_slice;

/// Variables that a child gets from our own environment, beside those that the config names: what decides about
/// its clock and its own diagnostics.
const INHERITED_VARIABLES: [&str; 2] = ["TZ", "RUST_BACKTRACE"];

/// The most bytes that a link's socket is to hold in each direction. What an isolate answers in one turn of its loop, a
/// page each for dozens of requests, leaves in one piece then: otherwise the rest of it waits for the gateway, whose
/// responses are sent in two parts. The kernel counts about twice of it, and stays at its own `net.core.wmem_max`.
const LINK_BUFFER_BYTES: usize = 512 * 1024;

/// What to start.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub program: &'a Path,
    /// Isolates, or 1 for an fn worker.
    pub lanes: usize,
    /// Gateway threads: links of each lane.
    pub threads: usize,
    /// The time slice of its threads, if not the kernel's own.
    pub slice: Option<Duration>,
    /// Whether what it starts is kept from gaining rights.
    pub no_new_privs: bool,
    /// Variables that the config names for this child.
    pub env: &'a BTreeMap<String, String>,
    pub log_filter: &'a str,
    pub log_format: LogFormat,
}

/// A process that has been started, and our ends of its links.
#[derive(Debug)]
pub(super) struct Spawned {
    pub child: Child,
    pub pid: u32,
    pub control: Channel<ToChild, FromChild>,
    /// For each lane its links, one for each gateway thread.
    pub links: Vec<Vec<StdUnixStream>>,
}

/// Starts a child. Call it on a thread that lives as long as this process: the child is killed when that thread
/// ends.
///
/// # Errors
/// When the program cannot be run, or when descriptors or processes are used up.
pub(super) fn spawn(plan: &Plan<'_>) -> io::Result<Spawned> {
    let mut theirs = Vec::new();
    let mut pair = |is_link: bool| -> io::Result<(StdUnixStream, RawFd)> {
        // Both ends close on exec, so that no other child inherits them.
        let (ours, end) = StdUnixStream::pair()?;
        if is_link {
            setsockopt(&ours, sockopt::SndBuf, &LINK_BUFFER_BYTES)?;
            setsockopt(&end, sockopt::SndBuf, &LINK_BUFFER_BYTES)?;
        }
        let fd = end.as_raw_fd();
        theirs.push(OwnedFd::from(end));
        Ok((ours, fd))
    };
    let (control, control_fd) = pair(false)?;
    let mut links = Vec::with_capacity(plan.lanes);
    let mut link_fds = Vec::with_capacity(plan.lanes);
    for _ in 0..plan.lanes {
        let lane = (0..plan.threads).map(|_| pair(true)).collect::<io::Result<Vec<_>>>()?;
        let (ours, fds): (Vec<_>, Vec<_>) = lane.into_iter().unzip();
        links.push(ours);
        link_fds.push(fds);
    }
    let args = ChildArgs {
        control: control_fd,
        links: link_fds,
        log_filter: plan.log_filter.to_owned(),
        log_format: plan.log_format,
    };
    control.set_nonblocking(true)?;
    let control = Channel::new(UnixStream::from_std(control)?);
    let child = command(plan, &args, theirs)?.spawn()?;
    let pid = child.id().ok_or_else(|| io::Error::other("the child has no process id"))?;
    Ok(Spawned { child, pid, control, links })
}

/// The command; it owns the child's ends, which close here when it is dropped.
fn command(plan: &Plan<'_>, args: &ChildArgs, theirs: Vec<OwnedFd>) -> io::Result<Command> {
    let inherited = INHERITED_VARIABLES.iter().filter_map(|name| Some((*name, std::env::var_os(name)?)));
    let named = plan.env.iter().map(|(name, value)| (name.as_str(), OsString::from(value)));
    let mut command = Command::new(plan.program);
    command
        .args(args.to_args())
        .env_clear()
        .envs(inherited)
        .envs(named)
        .stdin(Stdio::null())
        // What is printed belongs to the log; our own standard output has the one line with the addresses.
        .stdout(io::stderr().as_fd().try_clone_to_owned()?)
        // A terminal's Ctrl-C reaches the gateway alone, which drains before it ends its children.
        .process_group(0)
        .kill_on_drop(true);
    let (parent, no_new_privs, slice) = (getpid(), plan.no_new_privs, plan.slice);
    // SAFETY: the closure runs between fork and exec in a process with this one thread; it only makes system
    // calls that are async-signal-safe, on values that were made before the fork, and allocates nothing.
    unsafe { command.pre_exec(move || prepare_child(parent, no_new_privs, slice, &theirs)) };
    Ok(command)
}

/// In the child, before exec: tie its life to the gateway's, take what it cannot need, let the gateway run first, and let
/// it keep its own descriptors.
fn prepare_child(
    parent: Pid,
    no_new_privs: bool,
    slice: Option<Duration>,
    descriptors: &[OwnedFd],
) -> io::Result<()> {
    set_pdeathsig(Signal::SIGKILL)?;
    // The gateway may have died before the line above; its death would go unnoticed.
    if getppid() != parent {
        return Err(Errno::ESRCH.into());
    }
    if no_new_privs {
        set_no_new_privs()?;
    }
    // The gateway has told whether the kernel lets it.
    let _ = set_slice(slice);
    for descriptor in descriptors {
        keep_over_exec(descriptor.as_fd())?;
    }
    Ok(())
}

fn keep_over_exec(descriptor: BorrowedFd<'_>) -> io::Result<()> {
    fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::empty()))?;
    Ok(())
}
