//! npm packages in the checkout: installed when their manifests change.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::digest;
use crate::error::Failure;
use crate::files;
use crate::run;

const MANIFEST: &str = "package.json";
const LOCKFILE: &str = "package-lock.json";
/// Holds the digest of the manifests that were installed.
const STAMP: &str = "node_modules/.isopod-installed";

/// What xtask reads of a `package.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Manifest {
    scripts: BTreeMap<String, String>,
    dependencies: BTreeMap<String, IgnoredAny>,
    dev_dependencies: BTreeMap<String, IgnoredAny>,
}

impl Manifest {
    /// The manifest of a directory; `None` when it has none.
    ///
    /// # Errors
    ///
    /// When it cannot be read or is no manifest.
    pub fn of(directory: &Path) -> Result<Option<Self>, Failure> {
        let path = directory.join(MANIFEST);
        let Some(text) = files::read_if_there(&path)? else { return Ok(None) };
        serde_json::from_str(&text).map(Some).map_err(Failure::unreadable(path.display().to_string()))
    }

    /// `npm run build` calls Vite.
    pub fn builds_with_vite(&self) -> bool {
        self.scripts.get("build").is_some_and(|script| script.contains("vite build"))
    }

    fn needs_installing(&self) -> bool {
        !self.dependencies.is_empty() || !self.dev_dependencies.is_empty()
    }
}

/// Installs a directory's packages, exactly those of its lockfile where it has one, unless they are installed.
/// A directory without a manifest or dependencies needs nothing.
///
/// # Errors
///
/// When npm fails.
pub fn install(name: &str, directory: &Path) -> Result<(), Failure> {
    if !Manifest::of(directory)?.is_some_and(|manifest| manifest.needs_installing()) {
        return Ok(());
    }
    let stamp = directory.join(STAMP);
    if is_current(&stamp, &manifests(directory)?) {
        return Ok(());
    }
    let verb = if directory.join(LOCKFILE).is_file() { "ci" } else { "install" };
    let label = format!("{name}: npm {verb}");
    run::quietly(&label, command(directory, &[verb, "--no-audit", "--no-fund"]))?;
    // `npm install` writes a lockfile where there was none.
    write_stamp(&stamp, &manifests(directory)?)
}

/// `npm` in a directory. Browsers come from the system: Playwright downloads none.
pub fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut npm = Command::new("npm");
    npm.args(arguments).current_dir(directory).env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1");
    npm
}

/// The stamp says that what it stands for was made from this digest.
pub fn is_current(stamp: &Path, digest: &str) -> bool {
    fs::read_to_string(stamp).is_ok_and(|text| text == digest)
}

/// Says of what digest the stamp's directory was made.
///
/// # Errors
///
/// When it cannot be written.
pub fn write_stamp(stamp: &Path, digest: &str) -> Result<(), Failure> {
    files::write(stamp, digest)
}

fn manifests(directory: &Path) -> Result<String, Failure> {
    digest::of_trees(&[directory.join(MANIFEST), directory.join(LOCKFILE)], &|_| false)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Manifest, install};

    fn manifest(text: &str) -> Manifest {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn an_app_is_what_vite_builds() {
        assert!(manifest(r#"{ "scripts": { "build": "tsc && vite build" } }"#).builds_with_vite());
        assert!(!manifest(r#"{ "scripts": { "dev": "vite build" } }"#).builds_with_vite());
        assert!(!manifest("{}").builds_with_vite());
    }

    #[test]
    fn a_package_without_dependencies_needs_no_npm() {
        let directory = tempfile::tempdir().unwrap();
        install("nothing", directory.path()).unwrap();
        fs::write(directory.path().join("package.json"), r#"{ "name": "x", "type": "module" }"#).unwrap();
        install("nothing", directory.path()).unwrap();
        assert!(!directory.path().join("node_modules").exists());
    }

    #[test]
    fn a_broken_manifest_is_named() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("package.json"), "{ not json").unwrap();
        let failure = Manifest::of(directory.path()).unwrap_err();
        assert!(failure.to_string().contains("package.json"), "{failure}");
    }
}
