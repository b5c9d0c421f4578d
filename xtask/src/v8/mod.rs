//! The V8 static library: found, checked, and made known to cargo.
//!
//! - [`archive`]: one library, its checksum and its version.
//! - [`search`]: the places where it may be, in order.
//! - [`cache`]: the user's copy, shared by all checkouts.
//! - [`local_config`]: `.cargo/v8.local.toml`, which the tracked `.cargo/config.toml` includes.

use std::path::PathBuf;

use thiserror::Error;

use crate::error::Failure;
use crate::progress;
use crate::run;
use crate::workspace::Workspace;

pub use archive::V8Version;
use archive::{Archive, Checksum};
use local_config::LocalConfig;
use search::{Found, Origin, Places};

mod archive;
mod cache;
mod local_config;
mod search;

/// The variable by which the v8 crate takes a library instead of downloading one.
pub const VARIABLE: &str = "RUSTY_V8_ARCHIVE";

/// Why a V8 library is not used.
#[derive(Debug, Error)]
pub enum V8Failure {
    /// The library is not the one that was published.
    #[error("{} is damaged: its SHA-256 is {found}, SHA256SUMS says {expected}", path.display())]
    Checksum {
        /// The library.
        path: PathBuf,
        /// The checksum of what is there.
        found: String,
        /// The checksum that was published.
        expected: String,
    },
    /// Nothing says what the library's checksum should be.
    #[error("{} has no line in a SHA256SUMS beside it", path.display())]
    Unlisted {
        /// The library.
        path: PathBuf,
    },
    /// The library is for another version of the v8 crate.
    #[error("{} is for v8 {found}, Cargo.lock has v8 {wanted}", path.display())]
    OtherVersion {
        /// The library.
        path: PathBuf,
        /// The version that it is for.
        found: V8Version,
        /// The version that is needed.
        wanted: V8Version,
    },
    /// Nothing says which version the library is for.
    #[error("nothing says which v8 version {} is for", path.display())]
    UnknownVersion {
        /// The library.
        path: PathBuf,
        /// The version that is needed.
        wanted: V8Version,
    },
    /// The variable names a file that is not there.
    #[error("{VARIABLE} names {}, which is not there", path.display())]
    Absent {
        /// What the variable says.
        path: PathBuf,
    },
    /// A path cannot be written into a configuration file.
    #[error("{} is not UTF-8, or holds control characters", path.display())]
    Unwritable {
        /// The path.
        path: PathBuf,
    },
    /// Cargo.lock has no v8.
    #[error("Cargo.lock has no package v8")]
    NotLocked,
}

impl V8Failure {
    /// What to do about it.
    pub fn remedy(&self) -> String {
        match self {
            Self::Checksum { path, .. } => format!("delete {} and fetch it again", path.display()),
            Self::Unlisted { path } => format!(
                "put its SHA256SUMS beside it (`sha256sum NAME > SHA256SUMS` if you trust it), or set {VARIABLE}={}",
                path.display()
            ),
            Self::OtherVersion { found, wanted, .. } => format!(
                "set {VARIABLE} to a library for v8 {wanted} and delete .cargo/v8.local.toml, or move this one away so \
                 that the v8 crate downloads its own, or pin deno_core to the version that uses v8 {found}"
            ),
            Self::UnknownVersion { path, wanted } => format!(
                "write {wanted} to a file VERSION beside {} if that is what it is for",
                path.display()
            ),
            Self::Absent { .. } => format!(
                "correct or unset {VARIABLE}, and delete .cargo/v8.local.toml, which keeps its last value"
            ),
            Self::Unwritable { .. } => "move it to a path of plain characters".to_owned(),
            Self::NotLocked => {
                "restore Cargo.lock: `git checkout Cargo.lock`, or `cargo generate-lockfile`".to_owned()
            }
        }
    }
}

/// Finds the library and writes where it is, for this and every later cargo command.
///
/// # Errors
///
/// When a library is found that must not be used, or a file cannot be read or written.
pub fn set_up(workspace: &Workspace) -> Result<(), Failure> {
    let wanted = V8Version::locked(workspace)?;
    let config = LocalConfig::of(workspace);
    let written = config.read()?;
    let places = Places::of_this_machine(workspace, &wanted, written.as_ref());
    let Some(found) = search::first(&places, &host()?)? else {
        config.remove()?;
        progress::say(&format!("V8 {wanted}: none on this machine, the v8 crate downloads its own"));
        return Ok(());
    };
    let found = match found {
        Found::Address(address) => {
            progress::say(&format!("V8 {wanted}: {VARIABLE} is an address, its checksum is not known"));
            return config.write_address(&address);
        }
        Found::Archive { archive, origin } => (archive, origin),
    };
    let (archive, origin) = checked(found, &wanted, written.as_ref(), &places)?;
    config.write(&archive, origin)?;
    progress::say(&format!("V8 {wanted}: {} ({origin})", archive.path().display()));
    Ok(())
}

/// Refuses a wrong library; takes a good one from beside the checkout into the cache.
fn checked(
    (archive, origin): (Archive, Origin),
    wanted: &V8Version,
    written: Option<&local_config::Written>,
    places: &Places,
) -> Result<(Archive, Origin), Failure> {
    archive.require_version(wanted, origin.is_the_users())?;
    // The same file, byte for byte, was hashed when the configuration was written.
    if written.is_some_and(|written| written.describes(&archive)) {
        return Ok((archive, origin));
    }
    let checksum = archive.verify(origin.is_the_users())?;
    match (origin, &places.cache, checksum) {
        (Origin::Beside, Some(cache), Checksum::Verified(checksum)) => {
            cache::keep(&archive, &checksum, wanted, cache)
        }
        _ => Ok((archive, origin)),
    }
}

/// The target triple that this machine's rustc builds for.
fn host() -> Result<String, Failure> {
    let mut rustc = std::process::Command::new("rustc");
    let version = run::output(rustc.arg("-vV"))?;
    version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .ok_or_else(|| Failure::unreadable("the output of `rustc -vV`")("it has no line `host:`"))
}
