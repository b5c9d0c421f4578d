//! The test apps: Vite builds of TanStack Start, made again when what they are made of changes.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::digest;
use crate::error::Failure;
use crate::files;
use crate::npm::{self, Manifest};
use crate::package;
use crate::progress;
use crate::run;
use crate::tools;
use crate::workspace::Workspace;

/// What a build leaves, from the app's directory.
const BUNDLE: &str = "dist/server/server.js";
/// Holds the digest of what the build was made of.
const STAMP: &str = "dist/.isopod-built";

/// One test app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// The name of its directory.
    pub name: String,
    /// Its package, absolute.
    pub directory: PathBuf,
}

impl App {
    /// What `gateway --app` takes.
    pub fn dist(&self) -> PathBuf {
        self.directory.join("dist")
    }

    /// Installs its packages and builds it, each if what it is made of changed.
    ///
    /// # Errors
    ///
    /// When npm fails, or the build leaves no bundle.
    pub fn build(&self, workspace: &Workspace) -> Result<(), Failure> {
        npm::install(&self.name, &self.directory)?;
        let digest = self.digest(workspace)?;
        let stamp = self.directory.join(STAMP);
        if npm::is_current(&stamp, &digest) && self.missing_output().is_none() {
            progress::say(&format!("{}: up to date", self.name));
            return Ok(());
        }
        package::build(workspace)?;
        run::quietly(
            &format!("{}: npm run build", self.name),
            npm::command(&self.directory, &["run", "build"]),
        )?;
        match self.missing_output() {
            None => npm::write_stamp(&stamp, &digest),
            Some(file) => Err(Failure::EmptyBuild { app: self.name.clone(), file }),
        }
    }

    fn missing_output(&self) -> Option<PathBuf> {
        Some(self.directory.join(BUNDLE)).filter(|bundle| !bundle.exists())
    }

    /// Of its sources and lockfile, of what lies beside the apps for all of them, and of the package they import.
    fn digest(&self, workspace: &Workspace) -> Result<String, Failure> {
        let shared = shared_between_apps(&workspace.apps())?;
        let roots: Vec<PathBuf> =
            [self.directory.clone(), workspace.app_package()].into_iter().chain(shared).collect();
        digest::of_trees(&roots, &is_made_by_builds)
    }
}

/// Installs what tests and benches take from npm for all apps, and builds every app whose sources changed, one after
/// the other.
///
/// # Errors
///
/// When a tool is missing or a build fails.
pub fn build_all(workspace: &Workspace) -> Result<(), Failure> {
    tools::require_node()?;
    npm::install("test apps", &workspace.apps())?;
    all(workspace)?.iter().try_for_each(|app| app.build(workspace))
}

/// Every test app, by name.
///
/// # Errors
///
/// When their directory cannot be read.
pub fn all(workspace: &Workspace) -> Result<Vec<App>, Failure> {
    let mut apps = Vec::new();
    for directory in files::children(&workspace.apps())? {
        if is_app(&directory)? {
            let name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
            apps.push(App { name, directory });
        }
    }
    Ok(apps)
}

fn is_app(directory: &Path) -> Result<bool, Failure> {
    Ok(directory.is_dir() && Manifest::of(directory)?.is_some_and(|manifest| manifest.builds_with_vite()))
}

fn shared_between_apps(apps: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut shared = Vec::new();
    for path in files::children(apps)? {
        if !is_made_by_builds(&path) && !is_app(&path)? && !is_crate(&path) {
            shared.push(path);
        }
    }
    Ok(shared)
}

/// A worker's sources: what an app knows of it are the types that lie with the app.
fn is_crate(path: &Path) -> bool {
    path.join("Cargo.toml").exists()
}

/// Whether a path is no source: what npm and builds write.
pub fn is_made_by_builds(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    let directories = ["node_modules", "dist", ".tanstack"];
    directories.iter().any(|directory| name == OsStr::new(directory))
        || name.to_str().is_some_and(|name| name.contains(".gen."))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use tempfile::TempDir;

    use super::{App, all};
    use crate::workspace::Workspace;

    const VITE: &str = r#"{ "scripts": { "build": "vite build" } }"#;

    fn write(root: &Path, file: &str, text: &str) {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn checkout() -> (TempDir, Workspace) {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().to_owned();
        write(&root, "tests/apps/one/package.json", VITE);
        write(&root, "tests/apps/one/src/page.tsx", "1");
        write(&root, "tests/apps/two/package.json", VITE);
        write(&root, "tests/apps/shared-pages/wait.ts", "1");
        write(&root, "tests/apps/package.json", "{}");
        write(&root, "renderer-pool/js/package.json", "{}");
        let workspace = Workspace { target: root.join("target"), root };
        (directory, workspace)
    }

    fn one(workspace: &Workspace) -> App {
        all(workspace).unwrap().swap_remove(0)
    }

    #[test]
    fn apps_are_the_directories_that_vite_builds() {
        let (_directory, workspace) = checkout();
        let names: Vec<String> = all(&workspace).unwrap().into_iter().map(|app| app.name).collect();
        assert_eq!(names, ["one", "two"]);
    }

    #[test]
    fn an_app_is_built_again_when_what_it_is_made_of_changes() {
        let (_directory, workspace) = checkout();
        let app = one(&workspace);
        let mut before = app.digest(&workspace).unwrap();
        let made_of = [
            "tests/apps/one/src/page.tsx",
            "tests/apps/one/package-lock.json",
            "tests/apps/shared-pages/wait.ts",
            "tests/apps/vite-plugin.js",
            "renderer-pool/js/src/native.js",
        ];
        for file in made_of {
            write(&workspace.root, file, "changed");
            let after = app.digest(&workspace).unwrap();
            assert_ne!(before, after, "{file}");
            before = after;
        }
    }

    #[test]
    fn an_app_is_not_built_again_for_what_builds_write_or_for_its_neighbour() {
        let (_directory, workspace) = checkout();
        let app = one(&workspace);
        let before = app.digest(&workspace).unwrap();
        let others = [
            "tests/apps/one/dist/server/server.js",
            "tests/apps/one/node_modules/react/index.js",
            "tests/apps/one/src/routeTree.gen.ts",
            "tests/apps/node_modules/srvx/index.js",
            "tests/apps/two/src/page.tsx",
            "tests/apps/worker/src/main.rs",
        ];
        write(&workspace.root, "tests/apps/worker/Cargo.toml", "");
        for file in others {
            write(&workspace.root, file, "changed");
            assert_eq!(before, app.digest(&workspace).unwrap(), "{file}");
        }
    }

    #[test]
    fn a_build_that_left_nothing_is_noticed() {
        let (_directory, workspace) = checkout();
        let app = one(&workspace);
        assert!(app.missing_output().unwrap().ends_with("server.js"));
        write(&app.directory, "dist/server/server.js", "");
        write(&app.directory, "dist/client/index.css", "");
        assert_eq!(app.missing_output(), None);
    }
}
