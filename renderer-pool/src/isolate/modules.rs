//! Loads the app's own modules: the bundle's entry and its chunks, from inside the app's directory only.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use deno_core::error::ModuleLoaderError;
use deno_core::{
    ModuleLoadOptions, ModuleLoadReferrer, ModuleLoadResponse, ModuleLoader, ModuleResolveResponse,
    ModuleSource, ModuleSourceCode, ModuleSpecifier, ModuleType, ResolutionKind, resolve_import,
};
use deno_error::JsErrorBox;
use shared::message::control::LoadFailure;

/// The built-in modules that exist here, see the extension's `synthetic_esm`.
const BUILT_INS: &[&str] = &["node:async_hooks"];

const REBUILD: &str = "build the app with its packages inside (`ssr: { noExternal: true }` in vite.config) and \
                       for web-standard servers (`resolve: { conditions: ['worker', 'import', 'module'] }`)";

/// The app's module loader.
#[derive(Debug)]
pub struct AppModules {
    root: PathBuf,
    /// The first thing that could not be loaded: names the file better than V8's error does.
    failure: RefCell<Option<LoadFailure>>,
}

impl AppModules {
    /// A loader for modules below `root`, an absolute path without symbolic links.
    pub fn new(root: PathBuf) -> Self {
        Self { root, failure: RefCell::new(None) }
    }

    /// The first failure since the last call.
    pub fn take_failure(&self) -> Option<LoadFailure> {
        self.failure.take()
    }

    fn fail(&self, file: &str, problem: String, remedy: &str) -> ModuleLoaderError {
        let error = JsErrorBox::type_error(format!("{problem} (in {file}); {remedy}"));
        let failure = LoadFailure { file: file.into(), problem, remedy: remedy.into() };
        self.failure.borrow_mut().get_or_insert(failure);
        error
    }

    /// A module's name as its author knows it: the path inside the app.
    pub fn display_name(&self, specifier: &str) -> String {
        let path = ModuleSpecifier::parse(specifier).ok().and_then(|url| url.to_file_path().ok());
        match path.as_deref().map(|path| path.strip_prefix(&self.root).unwrap_or(path)) {
            Some(path) => path.display().to_string(),
            None => specifier.into(),
        }
    }

    fn read(&self, specifier: &ModuleSpecifier, referrer: &str) -> Result<Vec<u8>, ModuleLoaderError> {
        let importer = self.display_name(referrer);
        let path = specifier.to_file_path().map_err(|()| {
            self.fail(&importer, format!("it imports `{specifier}`, which is no file"), REBUILD)
        })?;
        match self.inside_root(&path).and_then(|()| fs::read(&path)) {
            Ok(bytes) => Ok(bytes),
            Err(error) => {
                let problem = format!("`{}` cannot be read: {error}", self.display_name(specifier.as_str()));
                Err(self.fail(&importer, problem, "run `vite build` again and deploy all of its output"))
            }
        }
    }

    /// Only files below the app's directory, also behind symbolic links.
    fn inside_root(&self, path: &Path) -> io::Result<()> {
        if path.canonicalize()?.starts_with(&self.root) {
            Ok(())
        } else {
            Err(io::Error::new(io::ErrorKind::PermissionDenied, "it lies outside the app's directory"))
        }
    }

    fn source(&self, specifier: &ModuleSpecifier, referrer: &str) -> Result<ModuleSource, ModuleLoaderError> {
        let bytes = self.read(specifier, referrer)?;
        let module_type = match Path::new(specifier.path()).extension().and_then(|text| text.to_str()) {
            Some("json") => ModuleType::Json,
            Some("wasm") => ModuleType::Wasm,
            _ => ModuleType::JavaScript,
        };
        if module_type == ModuleType::Wasm {
            let code = ModuleSourceCode::Bytes(bytes.into_boxed_slice().into());
            return Ok(ModuleSource::new(module_type, code, specifier, None));
        }
        let text = String::from_utf8(bytes).map_err(|_| {
            let file = self.display_name(specifier.as_str());
            self.fail(&file, "it is not UTF-8 text".into(), "point --app to the output of `vite build`")
        })?;
        Ok(ModuleSource::new(module_type, ModuleSourceCode::String(text.into()), specifier, None))
    }
}

impl ModuleLoader for AppModules {
    fn resolve(&self, specifier: &str, referrer: &str, _kind: ResolutionKind) -> ModuleResolveResponse {
        let importer = self.display_name(referrer);
        let relative = specifier.starts_with('.') || specifier.starts_with('/') || specifier.contains("://");
        if relative {
            return resolve_import(specifier, referrer)
                .map_err(|error| self.fail(&importer, error.to_string(), REBUILD));
        }
        let with_scheme = format!("node:{}", specifier.trim_start_matches("node:"));
        if BUILT_INS.contains(&with_scheme.as_str()) {
            return ModuleSpecifier::parse(&with_scheme)
                .map_err(|error| JsErrorBox::type_error(error.to_string()));
        }
        let kind = if specifier.starts_with("node:") { "Node's module" } else { "the package" };
        Err(self.fail(&importer, format!("it imports {kind} `{specifier}`, which is not here"), REBUILD))
    }

    fn load(
        &self,
        specifier: &ModuleSpecifier,
        referrer: Option<&ModuleLoadReferrer>,
        _options: ModuleLoadOptions,
    ) -> ModuleLoadResponse {
        let referrer = referrer.map_or(specifier.as_str(), |referrer| referrer.specifier.as_str());
        ModuleLoadResponse::Sync(self.source(specifier, referrer))
    }

    fn get_source_map(&self, file_name: &str) -> Option<Cow<'_, [u8]>> {
        let path = ModuleSpecifier::parse(file_name).ok()?.to_file_path().ok()?;
        let mut name = path.into_os_string();
        name.push(".map");
        fs::read(name).ok().map(Cow::Owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app() -> (tempfile::TempDir, AppModules) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir(root.join("server")).unwrap();
        (dir, AppModules::new(root))
    }

    fn url(modules: &AppModules, path: &str) -> ModuleSpecifier {
        ModuleSpecifier::from_file_path(modules.root.join(path)).unwrap()
    }

    #[test]
    fn a_package_that_was_left_out_is_named_with_its_importer() {
        let (_dir, modules) = app();
        let entry = url(&modules, "server/server.js");
        for (specifier, named) in [("pg", "the package `pg`"), ("node:fs", "Node's module `node:fs`")] {
            modules.resolve(specifier, entry.as_str(), ResolutionKind::Import).unwrap_err();
            let failure = modules.take_failure().unwrap();
            assert_eq!(failure.file, "server/server.js");
            assert!(failure.problem.contains(named), "{}", failure.problem);
            assert!(failure.remedy.contains("noExternal"), "{}", failure.remedy);
        }
    }

    #[test]
    fn built_in_modules_resolve_with_and_without_their_scheme() {
        let (_dir, modules) = app();
        let entry = url(&modules, "server/server.js");
        for specifier in ["node:async_hooks", "async_hooks"] {
            let found = modules.resolve(specifier, entry.as_str(), ResolutionKind::Import).unwrap();
            assert_eq!(found.as_str(), "node:async_hooks");
        }
    }

    #[test]
    fn a_link_that_leads_out_of_the_app_is_refused() {
        let (_dir, modules) = app();
        let outside = tempfile::NamedTempFile::new().unwrap();
        std::os::unix::fs::symlink(outside.path(), modules.root.join("server/leak.js")).unwrap();
        let entry = url(&modules, "server/server.js");
        let error = modules.read(&url(&modules, "server/leak.js"), entry.as_str()).unwrap_err();
        assert!(error.to_string().contains("outside the app"), "{error}");
    }

    #[test]
    fn a_missing_chunk_is_named() {
        let (_dir, modules) = app();
        let entry = url(&modules, "server/server.js");
        modules.read(&url(&modules, "server/chunk.js"), entry.as_str()).unwrap_err();
        let failure = modules.take_failure().unwrap();
        assert!(failure.problem.contains("`server/chunk.js` cannot be read"), "{}", failure.problem);
    }
}
