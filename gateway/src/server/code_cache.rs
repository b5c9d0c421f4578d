//! Where renderers keep compiled code: found and made before they start.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use shared::setup::CodeCacheSetup;

use crate::config::settings::CodeCache;

/// Where the usual caches are, strongest first: systemd's `CacheDirectory=`, the XDG base directories, a home.
const USUAL: &[(&str, &str)] =
    &[("CACHE_DIRECTORY", "isopod"), ("XDG_CACHE_HOME", "isopod"), ("HOME", ".cache/isopod")];

/// The directory, made if it was not there; `None` when nothing is kept. Where the usual one cannot be made, the
/// gateway runs without it: a container's file system is often read-only.
///
/// # Errors
/// When a directory that was asked for is not there and cannot be made.
pub fn prepare(
    wanted: &CodeCache,
    max_bytes: u64,
    environment: &BTreeMap<String, String>,
) -> Result<Option<CodeCacheSetup>, (PathBuf, io::Error)> {
    let made = |directory: PathBuf| {
        make(&directory)
            .map(|directory| CodeCacheSetup { directory, max_bytes })
            .map_err(|error| (directory, error))
    };
    match wanted {
        CodeCache::Off => Ok(None),
        CodeCache::At(directory) => made(directory.clone()).map(Some),
        CodeCache::Usual => Ok(usual(environment).and_then(|directory| match made(directory) {
            Ok(setup) => Some(setup),
            Err((directory, error)) => {
                let directory = directory.display().to_string();
                tracing::info!(directory, "compiled code is not kept, renderers start slower: {error}");
                None
            }
        })),
    }
}

fn usual(environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    USUAL.iter().find_map(|(variable, below)| {
        // systemd separates several by colons; the first is as good as any.
        let root = environment.get(*variable)?.split(':').next()?;
        Path::new(root).is_absolute().then(|| Path::new(root).join(below))
    })
}

fn make(directory: &Path) -> io::Result<PathBuf> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    directory.canonicalize()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_usual_place_is_the_services_then_the_users() {
        let all = [("CACHE_DIRECTORY", "/var/cache/a:/b"), ("XDG_CACHE_HOME", "/x"), ("HOME", "/home/a")];
        let expected = ["/var/cache/a/isopod", "/x/isopod", "/home/a/.cache/isopod"];
        for (first, expected) in expected.iter().enumerate() {
            assert_eq!(usual(&environment(&all[first..])), Some(PathBuf::from(expected)));
        }
        assert_eq!(usual(&environment(&[("HOME", "relative")])), None);
        assert_eq!(usual(&environment(&[])), None);
    }

    #[test]
    fn the_directory_is_made_for_this_user_alone() {
        let root = tempfile::tempdir().unwrap();
        let wanted = root.path().join("a/b");
        let setup = prepare(&CodeCache::At(wanted.clone()), 7, &environment(&[])).unwrap().unwrap();
        assert_eq!(setup, CodeCacheSetup { directory: wanted.canonicalize().unwrap(), max_bytes: 7 });
        assert_eq!(wanted.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn only_a_directory_that_was_asked_for_must_be_there() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let inside = file.path().to_str().unwrap();
        prepare(&CodeCache::At(inside.into()), 7, &environment(&[])).unwrap_err();
        assert_eq!(prepare(&CodeCache::Usual, 7, &environment(&[("HOME", inside)])).unwrap(), None);
        assert_eq!(prepare(&CodeCache::Off, 7, &environment(&[("HOME", "/home/a")])).unwrap(), None);
    }
}
