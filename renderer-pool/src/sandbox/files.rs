//! Landlock: which files the process may open, which programs it may run (none), which ports it may use, and that it
//! signals nobody else.
//!
//! Rules name files and directories, not paths: what is replaced by a file of the same name is another file. The
//! directories below take that in; single files such as `/etc/hosts` must be edited in place.

use std::os::fd::IntoRawFd;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, LandlockStatus, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope,
};

use super::Needs;

/// The newest version whose rights are asked for; older kernels enforce what they know of them.
const NEWEST: ABI = ABI::V6;

/// What the system's libraries read: names and certificates of others, time zones, their own further parts. What
/// is not there is left out.
const SYSTEM_FILES: &[&str] = &[
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/ssl/certs",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/openssl.cnf",
    "/etc/pki/tls/certs",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/ca-trust",
    "/etc/ca-certificates",
    "/etc/ld.so.cache",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/usr/share/zoneinfo",
    "/usr/share/icu",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/dev/urandom",
    "/dev/random",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
];

/// Files that the kernel makes up: it may forget them, and make another one of the same name, unless somebody
/// holds them.
const KERNEL_FILES: &[&str] = &[
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/uptime",
    "/proc/version",
    "/proc/sys/kernel/random",
    "/proc/sys/net/core/somaxconn",
    "/proc/sys/vm/overcommit_memory",
];

/// The file behind `/etc/resolv.conf` is rewritten by a service whose directory is its own.
const RESOLVER: &str = "/etc/resolv.conf";

/// Restricts the calling thread; returns the version of landlock that does it.
///
/// # Errors
/// Why the kernel does not do that.
pub fn restrict(needs: &Needs) -> Result<u32, String> {
    let readable = AccessFs::ReadFile | AccessFs::ReadDir;
    let writable = AccessFs::from_all(NEWEST) & !AccessFs::Execute;
    let device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev;
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(NEWEST)))
        // One ruleset for all: a second one that knows nothing of files would refuse every rename.
        .and_then(|ruleset| needs.ports.handled(ruleset))
        .and_then(Ruleset::create)
        .and_then(|ruleset| needs.ports.allowed(ruleset))
        .map_err(|error| error.to_string())?;
    let system = SYSTEM_FILES.iter().map(PathBuf::from).chain(resolver_directory());
    let readable_files = system.chain(needs.readable.iter().cloned()).map(|path| (path, readable, false));
    let kernel_files = KERNEL_FILES.iter().map(|path| (PathBuf::from(path), readable, true));
    let writable_files = needs.writable.iter().map(|path| (path.clone(), writable, false));
    let null = std::iter::once((PathBuf::from("/dev/null"), device, true));
    for (path, access, hold) in readable_files.chain(kernel_files).chain(writable_files).chain(null) {
        let Some(access) = access_to(&path, access) else { continue };
        let Ok(file) = PathFd::new(&path) else { continue };
        ruleset = ruleset.add_rule(PathBeneath::new(file, access)).map_err(|error| error.to_string())?;
        if hold {
            keep(&path);
        }
    }
    let status = ruleset.restrict_self().map_err(|error| error.to_string())?;
    match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, LandlockStatus::NotEnabled) => Err("turned off at boot (lsm=)".into()),
        (RulesetStatus::NotEnforced, _) => {
            Err("this kernel does not have it (Linux 5.13 and later do)".into())
        }
        (_, LandlockStatus::Available { effective_abi, kernel_abi }) => {
            Ok(kernel_abi.and_then(|abi| u32::try_from(abi).ok()).unwrap_or(effective_abi as u32))
        }
        (_, status) => Err(format!("{status:?}")),
    }
}

/// The rights that make sense for what is at `path`; `None` where nothing is.
fn access_to(path: &Path, access: BitFlags<AccessFs>) -> Option<BitFlags<AccessFs>> {
    let is_directory = path.metadata().ok()?.is_dir();
    Some(if is_directory { access } else { access & AccessFs::from_file(NEWEST) })
}

/// Where `/etc/resolv.conf` leads, if that is a directory of its service's own.
fn resolver_directory() -> Option<PathBuf> {
    let file = Path::new(RESOLVER).canonicalize().ok()?;
    let directory = file.parent()?;
    (directory != Path::new("/etc") && directory.starts_with("/run")).then(|| directory.to_owned())
}

/// Holds a file open as long as the process lives.
fn keep(path: &Path) {
    use std::os::unix::fs::OpenOptionsExt;
    let opened =
        std::fs::OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_CLOEXEC).open(path);
    if let Ok(file) = opened {
        let _ = file.into_raw_fd();
    }
}
