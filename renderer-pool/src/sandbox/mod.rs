//! Locks the process in before it loads the app: what the kernel enforces where JavaScript's own permissions
//! ([`crate::isolate::node::permissions`]) have failed.
//!
//! | layer | what it refuses |
//! |---|---|
//! | [`privileges`] | rights that the process does not need, and those that a program could gain |
//! | [`landlock`](files) | files beyond the app, its packages and what the system's libraries read; signals to others |
//! | [`ports`] (landlock) | listening and connecting on ports that the egress rules leave out |
//! | [`syscalls`] (seccomp) | programs, tracing, other processes, kernel interfaces, sockets that nothing needs |
//!
//! Rules hold for the thread that makes them and for threads that it starts: [`enter`] is called while the process
//! has one thread, before V8 starts its own.

mod files;
pub mod ports;
mod privileges;
mod syscalls;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use shared::message::control::{Layers, SetupRefusal};
use shared::setup::SandboxMode;

use ports::Ports;

/// What the process is still to be able to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Files and directories that it reads, beside the system's.
    pub readable: Vec<PathBuf>,
    /// Directories in which it writes as well.
    pub writable: Vec<PathBuf>,
    /// Whether it talks over the network.
    pub network: bool,
    /// Which ports, then.
    pub ports: Ports,
    /// Whether it connects to Unix sockets in the file system.
    pub unix_sockets: bool,
}

/// Locks the calling thread, and all that it starts from now on, in for good.
///
/// # Errors
/// [`SetupRefusal::Sandbox`] when the sandbox is required and a layer of it is missing. What could be locked is
/// locked then.
pub fn enter(mode: SandboxMode, needs: &Needs) -> Result<Layers, SetupRefusal> {
    if mode == SandboxMode::Off {
        return Ok(Layers::default());
    }
    let mut problems = Vec::new();
    let mut layer = |name: &str, entered: Result<(), String>| match entered {
        Ok(()) => true,
        Err(problem) => {
            problems.push(format!("{name}: {problem}"));
            false
        }
    };
    let no_new_privs = layer("no_new_privs", privileges::gain_none());
    let landlock = files::restrict(needs);
    let landlock_abi = *landlock.as_ref().unwrap_or(&0);
    layer("landlock", landlock.map(drop));
    let capabilities = layer("capabilities", privileges::give_up());
    // Last: the layers before it take system calls that it refuses.
    let seccomp = layer("seccomp", syscalls::restrict(needs));
    if mode == SandboxMode::Required && !problems.is_empty() {
        return Err(SetupRefusal::Sandbox(problems));
    }
    Ok(Layers { no_new_privs, capabilities, seccomp, landlock_abi, problems })
}
