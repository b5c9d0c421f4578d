//! Where the library may be, in order.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::process::Command;

use crate::error::Failure;
use crate::v8::archive::Archive;
use crate::v8::local_config::Written;
use crate::v8::{V8Failure, V8Version, VARIABLE, cache};
use crate::workspace::Workspace;

/// Who named the place where the library was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The user, by `RUSTY_V8_ARCHIVE`.
    Environment,
    /// The user's cache.
    Cache,
    /// The directory beside the checkout.
    Beside,
}

impl Origin {
    /// The user named this very file, and answers for what cannot be checked.
    pub fn is_the_users(self) -> bool {
        self == Self::Environment
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Environment => VARIABLE,
            Self::Cache => "cache",
            Self::Beside => "beside the checkout",
        })
    }
}

/// The places to look at.
#[derive(Debug, Default)]
pub struct Places {
    /// What the user's own environment names.
    pub environment: Option<OsString>,
    /// The user's cache for the wanted version; `None` for a user without a home.
    pub cache: Option<PathBuf>,
    /// Beside the checkout, and beside the checkout that it was cloned from.
    pub beside: Vec<PathBuf>,
}

impl Places {
    /// This machine's, for the wanted version.
    pub fn of_this_machine(workspace: &Workspace, wanted: &V8Version, written: Option<&Written>) -> Self {
        let checkouts = [Some(workspace.root.clone()), clone_of(workspace)];
        let parents = checkouts.iter().flatten().filter_map(|checkout| checkout.parent());
        Self {
            environment: users_variable(env::var_os(VARIABLE), written),
            cache: cache::directory(wanted),
            beside: parents.map(|parent| parent.join("shared/v8")).collect(),
        }
    }
}

/// What the search ended with.
#[derive(Debug)]
pub enum Found {
    /// A library on this machine.
    Archive {
        /// The library.
        archive: Archive,
        /// Who named it.
        origin: Origin,
    },
    /// An address, which the v8 crate downloads from.
    Address(String),
}

/// The library in the first place that has one; `None` when there is none on this machine.
///
/// # Errors
///
/// When the user's variable names a file that is not there, or a place cannot be read.
pub fn first(places: &Places, host: &str) -> Result<Option<Found>, Failure> {
    if let Some(value) = &places.environment {
        if let Some(address) = value.to_str().filter(|value| is_address(value)) {
            return Ok(Some(Found::Address(address.to_owned())));
        }
        let path = PathBuf::from(value);
        let archive = Archive::at(&path)?.ok_or(V8Failure::Absent { path })?;
        return Ok(Some(Found::Archive { archive, origin: Origin::Environment }));
    }
    let cache = places.cache.iter().map(|directory| (directory, Origin::Cache));
    let beside = places.beside.iter().map(|directory| (directory, Origin::Beside));
    for (directory, origin) in cache.chain(beside) {
        if let Some(archive) = Archive::within(directory, host)? {
            return Ok(Some(Found::Archive { archive, origin }));
        }
    }
    Ok(None)
}

/// The variable as the user set it. The outer cargo sets it too, from the file that xtask wrote: that value counts
/// only if it came from the user in the first place.
fn users_variable(value: Option<OsString>, written: Option<&Written>) -> Option<OsString> {
    let value = value.filter(|value| !value.is_empty());
    match (value, written) {
        (Some(value), Some(written)) if value == *written.value => written.is_the_users().then_some(value),
        (None, Some(written)) if written.is_the_users() => Some(OsString::from(&written.value)),
        (value, _) => value,
    }
}

fn is_address(value: &str) -> bool {
    value.starts_with("http://") || value.starts_with("https://")
}

/// The checkout on this machine that this one was cloned from.
fn clone_of(workspace: &Workspace) -> Option<PathBuf> {
    let mut git = Command::new("git");
    git.args(["config", "--get", "remote.origin.url"]).current_dir(&workspace.root);
    // No git, no repository and no remote all mean the same: not a clone.
    let output = git.output().ok().filter(|output| output.status.success())?;
    let address = String::from_utf8(output.stdout).ok()?;
    let path = PathBuf::from(address.trim().trim_start_matches("file://"));
    (path.is_absolute() && path.is_dir()).then_some(path)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::{Found, Origin, Places, first, users_variable};
    use crate::error::Failure;
    use crate::v8::V8Failure;
    use crate::v8::local_config::Written;

    const HOST: &str = "x86_64-unknown-linux-gnu";

    fn library_in(directory: &Path) -> PathBuf {
        let path = directory.join("librusty_v8_simdutf_release_x86_64-unknown-linux-gnu.a.gz");
        fs::create_dir_all(directory).unwrap();
        fs::write(&path, "v8").unwrap();
        path
    }

    fn written(value: &str, origin: Origin) -> Written {
        Written { value: value.to_owned(), origin: Some(origin), checked: None }
    }

    #[test]
    fn the_variable_goes_before_the_cache_and_the_cache_before_what_is_beside() {
        let machine = tempfile::tempdir().unwrap();
        let [named, cache, beside] = ["named", "cache", "beside"].map(|name| machine.path().join(name));
        let mut places = Places {
            environment: Some(library_in(&named).into_os_string()),
            cache: Some(cache.clone()),
            beside: vec![beside.clone()],
        };
        library_in(&cache);
        library_in(&beside);
        let mut found = |change: fn(&mut Places)| {
            change(&mut places);
            match first(&places, HOST).unwrap() {
                Some(Found::Archive { archive, origin }) => Some((archive.path().to_owned(), origin)),
                _ => None,
            }
        };

        let at = |directory: &Path| library_in(directory);
        assert_eq!(found(|_| {}), Some((at(&named), Origin::Environment)));
        assert_eq!(found(|places| places.environment = None), Some((at(&cache), Origin::Cache)));
        assert_eq!(found(|places| places.cache = None), Some((at(&beside), Origin::Beside)));
        assert_eq!(found(|places| places.beside.clear()), None);
    }

    #[test]
    fn a_variable_that_names_nothing_is_not_passed_over() {
        let places =
            Places { environment: Some(OsString::from("/nonexistent/v8.a.gz")), ..Places::default() };
        assert!(matches!(first(&places, HOST), Err(Failure::V8(V8Failure::Absent { .. }))));
    }

    #[test]
    fn an_address_is_left_to_the_v8_crate() {
        let address = "https://mirror.example/v8.a.gz";
        let places = Places { environment: Some(OsString::from(address)), ..Places::default() };
        assert!(matches!(first(&places, HOST), Ok(Some(Found::Address(found))) if found == address));
    }

    #[test]
    fn what_the_outer_cargo_set_is_not_the_users() {
        let set = |value: &str| Some(OsString::from(value));
        let cached = written("/cache/v8.a", Origin::Cache);
        let own = written("/own/v8.a", Origin::Environment);
        let by_hand = Written { origin: None, ..written("/own/v8.a", Origin::Environment) };

        assert_eq!(users_variable(set("/cache/v8.a"), Some(&cached)), None);
        assert_eq!(users_variable(set("/other/v8.a"), Some(&cached)), set("/other/v8.a"));
        assert_eq!(users_variable(set("/own/v8.a"), Some(&own)), set("/own/v8.a"));
        assert_eq!(users_variable(None, Some(&own)), set("/own/v8.a"));
        assert_eq!(users_variable(set("/own/v8.a"), Some(&by_hand)), set("/own/v8.a"));
        assert_eq!(users_variable(set(""), None), None);
        assert_eq!(users_variable(set("/x"), None), set("/x"));
    }
}
