//! SHA-256 of files and of trees of files.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::Failure;
use crate::files;

/// The hexadecimal SHA-256 of a file.
///
/// # Errors
///
/// When it cannot be read.
pub fn of_file(path: &Path) -> Result<String, Failure> {
    let mut hash = Sha256::new();
    let mut file = File::open(path).map_err(Failure::file("open", path))?;
    let mut block = vec![0; 256 * 1024];
    loop {
        match file.read(&mut block).map_err(Failure::file("read", path))? {
            0 => return Ok(hex(hash)),
            length => hash.update(&block[..length]),
        }
    }
}

/// The hexadecimal SHA-256 of names and contents of files and of all files below directories, whatever their order
/// on disk. What does not exist counts as absent; entries for which `skip` holds do not count.
///
/// # Errors
///
/// When one cannot be read.
pub fn of_trees(roots: &[PathBuf], skip: &dyn Fn(&Path) -> bool) -> Result<String, Failure> {
    let mut hash = Sha256::new();
    for root in roots {
        add(&mut hash, root, root, skip)?;
    }
    Ok(hex(hash))
}

fn add(hash: &mut Sha256, root: &Path, path: &Path, skip: &dyn Fn(&Path) -> bool) -> Result<(), Failure> {
    let about = match fs::symlink_metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            add_field(hash, b"absent");
            return Ok(());
        }
        Err(error) => return Err(Failure::file("read", path)(error)),
    };
    if about.is_dir() {
        for entry in files::children(path)?.iter().filter(|entry| !skip(entry)) {
            add(hash, root, entry, skip)?;
        }
        return Ok(());
    }
    let name = path.strip_prefix(root).unwrap_or(path);
    add_field(hash, name.as_os_str().as_encoded_bytes());
    if about.is_symlink() {
        let target = fs::read_link(path).map_err(Failure::file("read", path))?;
        add_field(hash, target.as_os_str().as_encoded_bytes());
    } else {
        add_field(hash, &fs::read(path).map_err(Failure::file("read", path))?);
    }
    Ok(())
}

/// The length goes first, so that no two lists of fields have the same bytes.
fn add_field(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}

fn hex(hash: Sha256) -> String {
    format!("{:x}", hash.finalize())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{of_file, of_trees};

    fn all(_: &Path) -> bool {
        false
    }

    #[test]
    fn a_file_has_the_checksum_that_sha256sum_prints() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("abc");
        fs::write(&file, "abc").unwrap();
        assert_eq!(
            of_file(&file).unwrap(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_tree_changes_with_contents_and_names_and_not_with_what_is_skipped() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let digest = |skip: &dyn Fn(&Path) -> bool| of_trees(&[root.to_owned()], skip).unwrap();
        fs::create_dir(root.join("src")).unwrap();
        fs::write(root.join("src/a"), "1").unwrap();
        let first = digest(&all);

        fs::write(root.join("src/a"), "2").unwrap();
        let changed = digest(&all);
        assert_ne!(first, changed);

        fs::rename(root.join("src/a"), root.join("src/b")).unwrap();
        assert_ne!(changed, digest(&all));

        fs::rename(root.join("src/b"), root.join("src/a")).unwrap();
        fs::create_dir(root.join("dist")).unwrap();
        fs::write(root.join("dist/out"), "x").unwrap();
        assert_eq!(changed, digest(&|path| path.ends_with("dist")));
    }

    #[test]
    fn a_tree_that_is_not_there_differs_from_an_empty_one() {
        let directory = tempfile::tempdir().unwrap();
        let absent = of_trees(&[directory.path().join("none")], &all).unwrap();
        assert_ne!(absent, of_trees(&[directory.path().to_owned()], &all).unwrap());
    }
}
