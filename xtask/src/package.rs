//! The npm package `@isopod/app`: part of it is compiled, and apps cannot be built before.

use std::path::Path;

use crate::apps::is_made_by_builds;
use crate::digest;
use crate::error::Failure;
use crate::npm;
use crate::progress;
use crate::run;
use crate::workspace::Workspace;

/// Holds the digest of what the build was made of.
const STAMP: &str = "dist/.isopod-built";

const NAME: &str = "@isopod/app";

/// Installs what the package is built with, and builds it, each if what it is made of changed.
///
/// # Errors
///
/// When npm fails.
pub fn build(workspace: &Workspace) -> Result<(), Failure> {
    let directory = workspace.app_package();
    npm::install(NAME, &directory)?;
    let digest = sources(&directory)?;
    let stamp = directory.join(STAMP);
    if npm::is_current(&stamp, &digest) {
        progress::say(&format!("{NAME}: up to date"));
        return Ok(());
    }
    run::quietly(&format!("{NAME}: npm run build"), npm::command(&directory, &["run", "build"]))?;
    npm::write_stamp(&stamp, &digest)
}

fn sources(directory: &Path) -> Result<String, Failure> {
    digest::of_trees(&[directory.to_owned()], &is_made_by_builds)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::sources;

    #[test]
    fn the_package_is_built_again_for_its_sources_and_not_for_what_builds_write() {
        let directory = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let path = directory.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("src/pipeline/index.ts", "1");
        let before = sources(directory.path()).unwrap();
        write("dist/pipeline/index.js", "1");
        write("node_modules/seroval/index.js", "1");
        assert_eq!(before, sources(directory.path()).unwrap());
        write("src/pipeline/index.ts", "2");
        assert_ne!(before, sources(directory.path()).unwrap());
    }
}
