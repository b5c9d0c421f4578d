//! Seccomp: which system calls the process may make.
//!
//! Two filters, both of which must agree. The first knows what a renderer is made of (V8, Rust's and C's libraries,
//! an event loop) and answers anything else as a kernel does that does not have it (`ENOSYS`), so that libraries
//! take their other way. The second refuses what is dangerous (`EPERM`), also among the arguments of what the first
//! lets through. Nothing kills the process: a package that tries what it may not do fails alone, and the other
//! requests of its process are answered.
//!
//! Calls that depend on no argument cost nothing: since Linux 5.11 the kernel remembers the answer.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

use super::Needs;

/// What a renderer is made of.
const USED: &[c_long] = &[
    // Memory.
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mincore,
    libc::SYS_mlock,
    libc::SYS_mlock2,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_msync,
    libc::SYS_munlock,
    libc::SYS_munmap,
    libc::SYS_pkey_alloc,
    libc::SYS_pkey_free,
    libc::SYS_pkey_mprotect,
    // Files.
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_copy_file_range,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fadvise64,
    libc::SYS_fallocate,
    libc::SYS_fchdir,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_fcntl,
    libc::SYS_fdatasync,
    libc::SYS_flock,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_inotify_add_watch,
    libc::SYS_inotify_init1,
    libc::SYS_inotify_rm_watch,
    libc::SYS_ioctl,
    libc::SYS_linkat,
    libc::SYS_lseek,
    libc::SYS_mkdirat,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_pipe2,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_preadv2,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_pwritev2,
    libc::SYS_read,
    libc::SYS_readlinkat,
    libc::SYS_readv,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_sendfile,
    libc::SYS_statfs,
    libc::SYS_statx,
    libc::SYS_symlinkat,
    libc::SYS_sync_file_range,
    libc::SYS_truncate,
    libc::SYS_umask,
    libc::SYS_unlinkat,
    libc::SYS_utimensat,
    libc::SYS_write,
    libc::SYS_writev,
    // Events.
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_signalfd4,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_gettime,
    libc::SYS_timerfd_settime,
    // Sockets.
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_listen,
    libc::SYS_recvfrom,
    libc::SYS_recvmmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendmmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
    libc::SYS_socket,
    libc::SYS_socketpair,
    // Threads and signals.
    libc::SYS_clone,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_get_robust_list,
    libc::SYS_kill,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigpending,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigsuspend,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_getparam,
    libc::SYS_sched_get_priority_max,
    libc::SYS_sched_get_priority_min,
    libc::SYS_sched_getscheduler,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_sigaltstack,
    libc::SYS_tgkill,
    libc::SYS_wait4,
    libc::SYS_waitid,
    // What it is, and what time it is.
    libc::SYS_capget,
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_getcpu,
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getgroups,
    libc::SYS_getitimer,
    libc::SYS_getpgid,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getpriority,
    libc::SYS_getrandom,
    libc::SYS_getresgid,
    libc::SYS_getresuid,
    libc::SYS_getrusage,
    libc::SYS_getsid,
    libc::SYS_gettid,
    libc::SYS_gettimeofday,
    libc::SYS_getuid,
    libc::SYS_nanosleep,
    libc::SYS_prctl,
    libc::SYS_prlimit64,
    // Filters come on top of each other: another one can but refuse more.
    libc::SYS_seccomp,
    libc::SYS_setitimer,
    libc::SYS_sysinfo,
    libc::SYS_timer_create,
    libc::SYS_timer_delete,
    libc::SYS_timer_getoverrun,
    libc::SYS_timer_gettime,
    libc::SYS_timer_settime,
    libc::SYS_times,
    libc::SYS_uname,
];

/// The same under the names that only this architecture still has.
#[cfg(target_arch = "x86_64")]
const USED_HERE: &[c_long] = &[
    libc::SYS_access,
    libc::SYS_alarm,
    libc::SYS_arch_prctl,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_creat,
    libc::SYS_dup2,
    libc::SYS_epoll_create,
    libc::SYS_epoll_wait,
    libc::SYS_eventfd,
    libc::SYS_futimesat,
    libc::SYS_getdents,
    libc::SYS_getpgrp,
    libc::SYS_getrlimit,
    libc::SYS_inotify_init,
    libc::SYS_lchown,
    libc::SYS_link,
    libc::SYS_lstat,
    libc::SYS_mkdir,
    libc::SYS_open,
    libc::SYS_pause,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_rmdir,
    libc::SYS_select,
    libc::SYS_stat,
    libc::SYS_symlink,
    libc::SYS_time,
    libc::SYS_unlink,
    libc::SYS_utime,
    libc::SYS_utimes,
];
#[cfg(not(target_arch = "x86_64"))]
const USED_HERE: &[c_long] = &[];

/// What nobody may do here, whatever the arguments.
const DANGEROUS: &[c_long] = &[
    // Programs and other processes.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_send_signal,
    libc::SYS_process_madvise,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_setpgid,
    libc::SYS_setpriority,
    libc::SYS_setsid,
    libc::SYS_tkill,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_setattr,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setscheduler,
    // File systems and namespaces.
    libc::SYS_chroot,
    libc::SYS_fanotify_init,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_mknodat,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_pivot_root,
    libc::SYS_quotactl,
    libc::SYS_setns,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_umount2,
    libc::SYS_unshare,
    // The kernel.
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_adjtimex,
    libc::SYS_bpf,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_finit_module,
    libc::SYS_init_module,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_memfd_create,
    libc::SYS_memfd_secret,
    libc::SYS_perf_event_open,
    libc::SYS_personality,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_settimeofday,
    libc::SYS_syslog,
    libc::SYS_userfaultfd,
    libc::SYS_vhangup,
    // Other users.
    libc::SYS_capset,
    libc::SYS_setfsgid,
    libc::SYS_setfsuid,
    libc::SYS_setgid,
    libc::SYS_setgroups,
    libc::SYS_setregid,
    libc::SYS_setresgid,
    libc::SYS_setresuid,
    libc::SYS_setreuid,
    libc::SYS_setuid,
];

/// The same under the names that only this architecture still has.
#[cfg(target_arch = "x86_64")]
const DANGEROUS_HERE: &[c_long] = &[
    libc::SYS_fork,
    libc::SYS_ioperm,
    libc::SYS_iopl,
    libc::SYS_kexec_file_load,
    libc::SYS_mknod,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
    libc::SYS_ustat,
    libc::SYS_vfork,
];
#[cfg(not(target_arch = "x86_64"))]
const DANGEROUS_HERE: &[c_long] = &[];

/// What descriptors are asked: their size, their mode, whether they are terminals. Not: to type into one.
const IOCTLS: &[u64] =
    &[libc::TCGETS, libc::TIOCGWINSZ, libc::FIONREAD, libc::FIONBIO, libc::FIOCLEX, libc::FIONCLEX];

/// What libraries set of their own thread and memory.
const PRCTLS: &[i32] = &[
    libc::PR_SET_NAME,
    libc::PR_GET_NAME,
    libc::PR_SET_VMA,
    libc::PR_GET_DUMPABLE,
    libc::PR_SET_NO_NEW_PRIVS,
    libc::PR_GET_NO_NEW_PRIVS,
    libc::PR_GET_SECCOMP,
    libc::PR_SET_SECCOMP,
    libc::PR_CAPBSET_READ,
    libc::PR_SET_TIMERSLACK,
    libc::PR_GET_TIMERSLACK,
    libc::PR_SET_THP_DISABLE,
    libc::PR_GET_THP_DISABLE,
];

/// `fcntl`'s ways to have the kernel signal another process.
const SIGNALLING_FCNTLS: &[i32] = &[libc::F_SETOWN, F_SETSIG, F_SETOWN_EX];

/// `linux/fcntl.h`.
const F_SETSIG: i32 = 10;
const F_SETOWN_EX: i32 = 15;

/// The part of a socket's type that is no flag; `SOCK_TYPE_MASK` of `linux/net.h`.
const SOCKET_TYPE: u64 = 0xf;

/// Restricts the calling thread.
///
/// # Errors
/// Why the kernel does not do that.
pub fn restrict(needs: &Needs) -> Result<(), String> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| error.to_string())?;
    let used = USED.iter().chain(USED_HERE).map(|call| (*call, Vec::new())).collect();
    let unknown = SeccompAction::Errno(errno(libc::ENOSYS));
    let refused = SeccompAction::Errno(errno(libc::EPERM));
    let filters = [
        SeccompFilter::new(used, unknown, SeccompAction::Allow, arch),
        SeccompFilter::new(refusals(needs)?, SeccompAction::Allow, refused, arch),
    ];
    // Where both refuse, the one that was installed last says how.
    for filter in filters {
        let program: BpfProgram =
            filter.and_then(TryInto::try_into).map_err(|error| format!("a filter is wrong: {error}"))?;
        seccompiler::apply_filter(&program).map_err(|error| error.to_string())?;
    }
    Ok(())
}

type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

/// What the second filter refuses.
fn refusals(needs: &Needs) -> Result<Rules, String> {
    let mut rules: Rules = DANGEROUS.iter().chain(DANGEROUS_HERE).map(|call| (*call, Vec::new())).collect();
    let own = u64::from(std::process::id());
    let mut refuse = |call, conditions: Vec<Condition>| -> Result<(), String> {
        let conditions = conditions.into_iter().collect::<Result<Vec<_>, _>>();
        let rule = conditions.and_then(SeccompRule::new).map_err(|error| error.to_string())?;
        rules.entry(call).or_default().push(rule);
        Ok(())
    };
    // A thread, not a process.
    refuse(libc::SYS_clone, vec![argument(0, SeccompCmpOp::MaskedEq(flag(libc::CLONE_THREAD)), 0)])?;
    refuse(libc::SYS_kill, vec![argument(0, SeccompCmpOp::Ne, own)])?;
    refuse(libc::SYS_tgkill, vec![argument(0, SeccompCmpOp::Ne, own)])?;
    let other_process = vec![argument(0, SeccompCmpOp::Ne, 0), argument(0, SeccompCmpOp::Ne, own)];
    refuse(libc::SYS_prlimit64, other_process)?;
    refuse(libc::SYS_ioctl, none_of(1, IOCTLS.iter().copied()))?;
    refuse(libc::SYS_prctl, none_of(0, PRCTLS.iter().map(|option| flag(*option))))?;
    for command in SIGNALLING_FCNTLS {
        refuse(libc::SYS_fcntl, vec![argument(1, SeccompCmpOp::Eq, flag(*command))])?;
    }
    for (domain, socket_type) in refused_types() {
        let is_type = argument(1, SeccompCmpOp::MaskedEq(SOCKET_TYPE), socket_type);
        refuse(libc::SYS_socket, vec![argument(0, SeccompCmpOp::Eq, domain), is_type])?;
    }
    let netlink = argument(0, SeccompCmpOp::Eq, flag(libc::AF_NETLINK));
    refuse(libc::SYS_socket, vec![netlink, argument(2, SeccompCmpOp::Ne, flag(libc::NETLINK_ROUTE))])?;
    let domains = socket_domains(needs);
    if domains.is_empty() {
        // Without conditions, and instead of those above: whatever the arguments.
        rules.insert(libc::SYS_socket, Vec::new());
    } else {
        refuse(libc::SYS_socket, none_of(0, domains.into_iter()))?;
    }
    Ok(rules)
}

/// The kinds of sockets that there may be. The list of the machine's addresses comes over netlink:
/// `os.networkInterfaces()` reads it, and `getaddrinfo` does without it.
fn socket_domains(needs: &Needs) -> Vec<u64> {
    let mut domains = Vec::new();
    if needs.network {
        domains.extend([libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK].map(flag));
    }
    if needs.unix_sockets {
        domains.push(flag(libc::AF_UNIX));
    }
    domains
}

/// Sockets that make packets of their own.
fn refused_types() -> impl Iterator<Item = (u64, u64)> {
    let types = [libc::SOCK_RAW, libc::SOCK_RDM];
    [libc::AF_INET, libc::AF_INET6]
        .into_iter()
        .flat_map(move |domain| types.map(|kind| (flag(domain), flag(kind))))
}

/// Conditions that hold together; the first that cannot be written is the error.
type Condition = Result<SeccompCondition, seccompiler::BackendError>;

/// All that a call uses of these arguments has 32 bits; the kernel ignores the others.
fn argument(index: u8, operator: SeccompCmpOp, value: u64) -> Condition {
    SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, value)
}

fn none_of(index: u8, values: impl Iterator<Item = u64>) -> Vec<Condition> {
    values.map(|value| argument(index, SeccompCmpOp::Ne, value)).collect()
}

/// The bits of a constant of C.
fn flag(value: i32) -> u64 {
    u64::from(value.cast_unsigned())
}

fn errno(value: i32) -> u32 {
    value.cast_unsigned()
}
