//! Makes the start-up snapshot: an isolate with the Web's globals defined, so that a new one starts in
//! milliseconds. What the snapshot did not evaluate goes into a table of sources beside it.

#[path = "src/isolate/extension.rs"]
mod extension;
#[path = "src/isolate/extensions.rs"]
mod extensions;
#[path = "src/job/mod.rs"]
#[allow(dead_code, reason = "the build script needs the ops' addresses, not their work")]
mod job;

use std::collections::HashSet;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use deno_core::snapshot::{CreateSnapshotOptions, create_snapshot};
use deno_core::{Extension, ExtensionFileSource};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);
    let sources = lazy_sources(&all_extensions())?;
    let snapshot = create_snapshot(
        CreateSnapshotOptions {
            cargo_manifest_dir: env!("CARGO_MANIFEST_DIR"),
            startup_snapshot: None,
            skip_op_registration: false,
            extensions: all_extensions(),
            extension_transpiler: None,
            with_runtime_cb: None,
        },
        None,
    )?;
    fs::write(out_dir.join("snapshot.bin"), &snapshot.output)?;
    let consumed: HashSet<_> = snapshot.consumed_lazy_specifiers.iter().map(String::as_str).collect();
    let residual: Vec<_> = sources.iter().filter(|source| !consumed.contains(source.specifier)).collect();
    write_residual_table(&out_dir, &residual)?;
    for path in snapshot.files_loaded_during_snapshot {
        println!("cargo:rerun-if-changed={}", path.display());
    }
    println!("cargo:rerun-if-changed=src/isolate/boot");
    println!("cargo:rerun-if-changed=src/isolate/extension.rs");
    println!("cargo:rerun-if-changed=src/isolate/extensions.rs");
    println!("cargo:rerun-if-changed=src/job/mod.rs");
    Ok(())
}

fn all_extensions() -> Vec<Extension> {
    extensions::all(None, extension::BundleEnv::default())
}

struct LazySource {
    specifier: &'static str,
    code: String,
    is_module: bool,
}

fn lazy_sources(extensions: &[Extension]) -> Result<Vec<LazySource>, Box<dyn std::error::Error>> {
    let load = |file: &ExtensionFileSource, is_module| -> Result<_, Box<dyn std::error::Error>> {
        Ok(LazySource { specifier: file.specifier, code: file.load()?.as_str().to_owned(), is_module })
    };
    let mut sources = Vec::new();
    for extension in extensions {
        for file in extension.lazy_loaded_js_files.iter() {
            sources.push(load(file, false)?);
        }
        for file in extension.lazy_loaded_esm_files.iter() {
            sources.push(load(file, true)?);
        }
    }
    // The table is searched by bisection.
    sources.sort_by_key(|source| source.specifier);
    Ok(sources)
}

fn write_residual_table(out_dir: &Path, sources: &[&LazySource]) -> Result<(), Box<dyn std::error::Error>> {
    let mut table = String::new();
    for (name, is_module) in [("RESIDUAL_SCRIPTS", false), ("RESIDUAL_MODULES", true)] {
        writeln!(table, "const {name}: &[(&str, &str)] = &[")?;
        for source in sources.iter().filter(|source| source.is_module == is_module) {
            writeln!(table, "    ({:?}, {:?}),", source.specifier, source.code)?;
        }
        writeln!(table, "];")?;
    }
    Ok(fs::write(out_dir.join("residual.rs"), table)?)
}
