//! Where the package's files are. Cargo may run a build script that another checkout has compiled, when both share a
//! target directory: the paths that the compiler has put into it lead to that one.

use std::env;
use std::path::{Path, PathBuf};

use deno_core::{Extension, ExtensionFileSource, ExtensionFileSourceCode};

/// The package's directory where this script was compiled.
const COMPILED_IN: &str = env!("CARGO_MANIFEST_DIR");

/// The package's directory of this build.
///
/// # Errors
/// When cargo has not said where it is, or its files are not there.
pub fn directory() -> Result<&'static str, Box<dyn std::error::Error>> {
    let directory = env::var("CARGO_MANIFEST_DIR")
        .map_err(|error| format!("CARGO_MANIFEST_DIR: {error}; this program is run by cargo"))?;
    let boot = Path::new(&directory).join("src/isolate/boot");
    if !boot.is_dir() {
        let boot = boot.display();
        return Err(format!("{boot} is not there; the checkout is incomplete: check it out again").into());
    }
    Ok(String::leak(directory))
}

/// Lets an extension's own files be those of `directory`.
pub fn relocate(extension: &mut Extension, directory: &str) {
    relocate_from(extension, COMPILED_IN, directory);
}

fn relocate_from(extension: &mut Extension, from: &str, to: &str) {
    if from == to {
        return;
    }
    let Extension { js_files, esm_files, lazy_loaded_js_files, lazy_loaded_esm_files, .. } = extension;
    for files in [js_files, esm_files, lazy_loaded_js_files, lazy_loaded_esm_files] {
        for file in files.to_mut() {
            relocate_file(file, from, to);
        }
    }
}

fn relocate_file(file: &mut ExtensionFileSource, from: &str, to: &str) {
    if let ExtensionFileSourceCode::LoadedFromFsDuringSnapshot(path) = &mut file.code
        && let Ok(below) = Path::new(*path).strip_prefix(from)
        && let Ok(moved) = PathBuf::from(to).join(below).into_os_string().into_string()
    {
        *path = String::leak(moved);
    }
}
