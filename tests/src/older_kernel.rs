//! A kernel that lacks what this one has.

use std::collections::BTreeMap;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use tokio::process::Command;

/// Lets the command and its children be answered as by a kernel without landlock.
///
/// # Panics
/// When the kernel has no filters for system calls.
pub(crate) fn hide_landlock(command: &mut Command) {
    let unknown = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
    let calls = BTreeMap::from([(libc::SYS_landlock_create_ruleset, Vec::new())]);
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(calls, SeccompAction::Allow, unknown, arch).unwrap();
    let program: BpfProgram = filter.try_into().unwrap();
    let install = move || seccompiler::apply_filter(&program).map_err(std::io::Error::other);
    // SAFETY: between fork and exec it makes two system calls, on a program that was made before, and allocates
    // only when they fail, in a process that ends then.
    unsafe { command.pre_exec(install) };
}
