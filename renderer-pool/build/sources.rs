//! The scripts that an isolate loads when they are first used.

use std::fmt::Write as _;

use deno_core::{Extension, ExtensionFileSource, ModuleName};

use crate::transpile::transpile;

/// A script as it is embedded.
pub struct LazySource {
    /// Its name in `loadExtScript` or `import`.
    pub specifier: &'static str,
    code: String,
    is_module: bool,
}

/// All lazy scripts of the extensions, as JavaScript.
pub fn lazy(extensions: &[Extension]) -> Result<Vec<LazySource>, Box<dyn std::error::Error>> {
    let load = |file: &ExtensionFileSource, is_module| -> Result<_, Box<dyn std::error::Error>> {
        let (code, _) = transpile(ModuleName::from_static(file.specifier), file.load()?)?;
        Ok(LazySource { specifier: file.specifier, code: code.as_str().to_owned(), is_module })
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

/// The tables of `snapshot.rs`.
pub fn table(sources: &[&LazySource]) -> Result<String, std::fmt::Error> {
    let mut table = String::new();
    for (name, is_module) in [("RESIDUAL_SCRIPTS", false), ("RESIDUAL_MODULES", true)] {
        writeln!(table, "const {name}: &[(&str, &str)] = &[")?;
        for source in sources.iter().filter(|source| source.is_module == is_module) {
            writeln!(table, "    ({:?}, {:?}),", source.specifier, source.code)?;
        }
        writeln!(table, "];")?;
    }
    Ok(table)
}
