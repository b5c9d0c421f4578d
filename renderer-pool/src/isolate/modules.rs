//! Loads an app's code: its own files, and packages from `node_modules`.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;

use deno_core::error::ModuleLoaderError;
use deno_core::{
    FastString, ModuleLoadOptions, ModuleLoadReferrer, ModuleLoadResponse, ModuleLoader,
    ModuleResolveResponse, ModuleSource, ModuleSourceCode, ModuleSpecifier, ModuleType, ResolutionKind,
    SourceCodeCacheInfo, resolve_import,
};
use deno_error::JsErrorBox;
use node_resolver::errors::{NodeJsErrorCode, NodeResolveError};
use shared::message::control::LoadFailure;
use sourcemap::SourceMap;

use super::code_cache::recorder::Recorder;
use super::excerpt;
use super::node::permissions::Files;
use super::node::services::Packages;
use super::stamps::Stamps;

const INSTALL: &str = "install the app's packages beside it (`npm ci --omit=dev` where its package.json is), or \
                       build them into it (`ssr: { noExternal: true }` in vite.config)";

const REBUILD: &str = "run `vite build` again and deploy all of its output";

const NO_ADDONS: &str = "Isopod runs JavaScript and WebAssembly: use the package's JavaScript or WebAssembly \
                         build, or do this work in a native function";

/// Node's modules that `deno_node` lists and that do not work without extensions that are not here.
const ABSENT: &[&str] = &["sqlite"];

/// The longest source map that is read.
const MAX_SOURCE_MAP_BYTES: u64 = 64 << 20;

/// So many source maps are remembered; `deno_core` keeps as many.
const MAX_SOURCE_MAPS: usize = 64;

/// So many importers are named.
const MAX_CHAIN: usize = 8;

/// So many folders of modules are remembered.
const MAX_FOLDERS: usize = 1024;

/// The app's module loader.
pub struct AppModules {
    files: Rc<Files>,
    packages: Packages,
    code: Rc<Recorder>,
    /// Who imported a module first.
    importers: RefCell<HashMap<ModuleSpecifier, String>>,
    /// The first thing that could not be loaded: names the file better than V8's error does.
    failure: RefCell<Option<LoadFailure>>,
    /// Folders that modules came from, and what they are without symbolic links.
    folders: RefCell<HashMap<PathBuf, PathBuf>>,
    /// The source maps that stacks were mapped with.
    source_maps: RefCell<Vec<ModuleSpecifier>>,
    /// Of the modules that are read ahead of the order to load them.
    stamps: Stamps,
}

impl AppModules {
    /// A loader for what `files` allows to read, with the compiled code that `code` has.
    pub fn new(files: Rc<Files>, code: Rc<Recorder>) -> Self {
        Self {
            packages: Packages::new(files.clone(), code.clone()),
            files,
            code,
            importers: RefCell::default(),
            failure: RefCell::default(),
            folders: RefCell::default(),
            source_maps: RefCell::default(),
            stamps: Stamps::default(),
        }
    }

    /// Where packages are found.
    pub fn packages(&self) -> &Packages {
        &self.packages
    }

    /// Tells whether the modules that were read are still what they were.
    pub fn stamps(&self) -> &Stamps {
        &self.stamps
    }

    /// The first failure since the last call.
    pub fn take_failure(&self) -> Option<LoadFailure> {
        self.failure.take()
    }

    fn fail(&self, file: &str, problem: String, remedy: &str) -> ModuleLoaderError {
        let problem = format!("{problem}{}", self.chain(file));
        let error = JsErrorBox::type_error(format!("{problem} (in {}); {remedy}", self.display_name(file)));
        let failure = LoadFailure { file: self.display_name(file), problem, remedy: remedy.into() };
        self.failure.borrow_mut().get_or_insert(failure);
        error
    }

    /// Who imported `file`, up to the bundle's entry.
    fn chain(&self, file: &str) -> String {
        let importers = self.importers.borrow();
        let mut chain = String::new();
        let mut file = ModuleSpecifier::parse(file).ok();
        for _ in 0..MAX_CHAIN {
            let Some(importer) = file.as_ref().and_then(|file| importers.get(file)) else { break };
            // Writing to a string cannot fail.
            let _ = write!(chain, ", imported by `{}`", self.display_name(importer));
            file = ModuleSpecifier::parse(importer).ok();
        }
        chain
    }

    /// A module's name as its author knows it: the path inside the app, or from `node_modules` on.
    pub fn display_name(&self, specifier: &str) -> String {
        let path = ModuleSpecifier::parse(specifier).ok().and_then(|url| url.to_file_path().ok());
        let Some(path) = path else { return specifier.into() };
        if let Ok(inside) = path.strip_prefix(self.files.app()) {
            return inside.display().to_string();
        }
        let text = path.display().to_string();
        text.find("/node_modules/").map_or(text.clone(), |at| text[at + 1..].to_owned())
    }

    fn read(&self, specifier: &ModuleSpecifier, importer: &str) -> Result<Vec<u8>, ModuleLoaderError> {
        let path = specifier.to_file_path().map_err(|()| {
            self.fail(importer, format!("it imports `{specifier}`, which is no file"), REBUILD)
        })?;
        match self.inside(&path).and_then(|file| self.stamps.read(&file)) {
            Ok(bytes) => Ok(bytes),
            Err(error) => {
                let problem = format!("`{}` cannot be read: {error}", self.display_name(specifier.as_str()));
                Err(self.fail(importer, problem, REBUILD))
            }
        }
    }

    /// The content of a source map, unless it is too long.
    fn read_source_map(&self, url: &ModuleSpecifier) -> Option<Vec<u8>> {
        let path = url.to_file_path().ok()?.canonicalize().ok()?;
        let length = path.metadata().ok().filter(|_| self.files.may_read(&path))?.len();
        if length > MAX_SOURCE_MAP_BYTES {
            let file = self.display_name(url.as_str());
            tracing::warn!(
                file,
                length,
                "a source map is too long to be read: {MAX_SOURCE_MAP_BYTES} bytes are allowed"
            );
            return None;
        }
        fs::read(path).ok()
    }

    /// The lines around the place where an error was thrown, and their file. Reads source maps again: for
    /// development.
    pub fn excerpt(&self, stack: &str) -> Option<String> {
        let place = excerpt::first_place(stack)?;
        let maps = self.source_maps.borrow();
        let source = maps.iter().find_map(|map| self.source_from_map(map, place.url)).or_else(|| {
            let path = ModuleSpecifier::parse(place.url).ok()?.to_file_path().ok()?.canonicalize().ok()?;
            self.files.may_read(&path).then(|| fs::read_to_string(path).ok()).flatten()
        })?;
        let lines = excerpt::excerpt(&source, &place)?;
        Some(format!("{}:{}:{}\n{lines}", self.display_name(place.url), place.line, place.column))
    }

    fn source_from_map(&self, map_url: &ModuleSpecifier, source_url: &str) -> Option<String> {
        let map = SourceMap::from_slice(&self.read_source_map(map_url)?).ok()?;
        let is_it = |source: &str| map_url.join(source).is_ok_and(|url| url.as_str() == source_url);
        let index = map.sources().position(is_it)?;
        map.get_source_contents(u32::try_from(index).ok()?).map(str::to_owned)
    }

    /// The file without symbolic links; only one that the app may read.
    fn inside(&self, path: &Path) -> io::Result<PathBuf> {
        let real = self.real_path(path)?;
        if self.files.may_read(&real) {
            Ok(real)
        } else {
            let outside = "it lies outside the app's directory and its node_modules";
            Err(io::Error::new(io::ErrorKind::PermissionDenied, outside))
        }
    }

    /// A file without symbolic links. The links of a folder are followed once: an app's modules are in few of them.
    fn real_path(&self, path: &Path) -> io::Result<PathBuf> {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return path.canonicalize();
        };
        let mut folders = self.folders.borrow_mut();
        let real = match folders.get(folder) {
            Some(real) => real.join(name),
            None => {
                let real = folder.canonicalize()?;
                let file = real.join(name);
                if folders.len() < MAX_FOLDERS {
                    folders.insert(folder.to_owned(), real);
                }
                file
            }
        };
        if real.symlink_metadata()?.is_symlink() { real.canonicalize() } else { Ok(real) }
    }

    fn source(&self, specifier: &ModuleSpecifier, importer: &str) -> Result<ModuleSource, ModuleLoaderError> {
        let module_type = match Path::new(specifier.path()).extension().and_then(|text| text.to_str()) {
            Some("json") => ModuleType::Json,
            Some("wasm") => ModuleType::Wasm,
            Some("node") => {
                let name = self.display_name(specifier.as_str());
                return Err(self.fail(importer, format!("it imports the native addon `{name}`"), NO_ADDONS));
            }
            _ => ModuleType::JavaScript,
        };
        let bytes = self.read(specifier, importer)?;
        if module_type == ModuleType::Wasm {
            let code = ModuleSourceCode::Bytes(bytes.into_boxed_slice().into());
            return Ok(ModuleSource::new(module_type, code, specifier, None));
        }
        let mut text = String::from_utf8(bytes)
            .map_err(|_| self.fail(specifier.as_str(), "it is not UTF-8 text".into(), REBUILD))?;
        if module_type != ModuleType::JavaScript {
            return Ok(ModuleSource::new(
                module_type,
                ModuleSourceCode::String(text.into()),
                specifier,
                None,
            ));
        }
        text = self.as_module(specifier, text)?;
        let (code, compiled) = self.code.module(specifier, FastString::from(text));
        Ok(ModuleSource::new(module_type, ModuleSourceCode::String(code), specifier, compiled))
    }

    fn as_module(&self, specifier: &ModuleSpecifier, text: String) -> Result<String, ModuleLoaderError> {
        let file = specifier.as_str();
        let may_be_commonjs = self
            .packages
            .may_be_commonjs(specifier)
            .map_err(|error| self.fail(file, error.to_string(), INSTALL))?;
        if !may_be_commonjs {
            return Ok(text);
        }
        self.packages.as_module(specifier, text).map_err(|error| self.fail(file, error.to_string(), INSTALL))
    }

    fn resolve_package(&self, specifier: &str, referrer: &str) -> Result<ModuleSpecifier, ModuleLoaderError> {
        let importer = ModuleSpecifier::parse(referrer)
            .ok()
            .filter(|url| url.scheme() == "file")
            .or_else(|| ModuleSpecifier::from_directory_path(self.files.app()).ok())
            .ok_or_else(|| JsErrorBox::type_error(format!("`{specifier}` has no importer")))?;
        self.packages
            .resolve(specifier, &importer)
            .map_err(|error| self.fail(referrer, unresolved(specifier, &error), INSTALL))
    }
}

fn unresolved(specifier: &str, error: &NodeResolveError) -> String {
    match error.maybe_code() {
        Some(NodeJsErrorCode::ERR_MODULE_NOT_FOUND) if !specifier.starts_with('#') => {
            format!("it imports the package `{specifier}`, which is in no `node_modules` here: {error}")
        }
        _ => format!("it imports `{specifier}`: {error}"),
    }
}

impl ModuleLoader for AppModules {
    fn resolve(&self, specifier: &str, referrer: &str, _kind: ResolutionKind) -> ModuleResolveResponse {
        if let Some(name) = specifier.strip_prefix("node:") {
            return if deno_node::is_builtin_node_module(name) && !ABSENT.contains(&name) {
                ModuleSpecifier::parse(specifier).map_err(JsErrorBox::from_err)
            } else {
                let problem = format!("it imports Node's module `{specifier}`, which is not here");
                Err(self.fail(referrer, problem, "see docs/compatibility.md for what is"))
            };
        }
        let is_path = specifier.starts_with("./")
            || specifier.starts_with("../")
            || specifier.starts_with('/')
            || ModuleSpecifier::parse(specifier).is_ok();
        if is_path {
            return resolve_import(specifier, referrer)
                .map_err(|error| self.fail(referrer, error.to_string(), REBUILD));
        }
        self.resolve_package(specifier, referrer)
    }

    fn load(
        &self,
        specifier: &ModuleSpecifier,
        referrer: Option<&ModuleLoadReferrer>,
        _options: ModuleLoadOptions,
    ) -> ModuleLoadResponse {
        let importer = referrer.map(|referrer| referrer.specifier.as_str());
        if let Some(importer) = importer {
            self.importers.borrow_mut().entry(specifier.clone()).or_insert_with(|| importer.into());
        }
        ModuleLoadResponse::Sync(self.source(specifier, importer.unwrap_or(specifier.as_str())))
    }

    fn get_code_cache(&self, specifier: &ModuleSpecifier, source: &str) -> Option<SourceCodeCacheInfo> {
        self.code.internal(specifier, source)
    }

    fn code_cache_ready(
        &self,
        specifier: ModuleSpecifier,
        hash: u64,
        code: &[u8],
    ) -> Pin<Box<dyn Future<Output = ()>>> {
        self.code.made(&specifier, hash, code);
        Box::pin(std::future::ready(()))
    }

    /// Asked for when a stack is written, and once for each file: nothing of it is read before.
    fn get_source_map(&self, file_name: &str) -> Option<Cow<'_, [u8]>> {
        let mut map = ModuleSpecifier::parse(file_name).ok()?;
        let path = format!("{}.map", map.path());
        map.set_path(&path);
        self.load_external_source_map(map.as_str())
    }

    fn load_external_source_map(&self, source_map_url: &str) -> Option<Cow<'_, [u8]>> {
        let url = ModuleSpecifier::parse(source_map_url).ok()?;
        let bytes = self.read_source_map(&url)?;
        let mut maps = self.source_maps.borrow_mut();
        if maps.len() < MAX_SOURCE_MAPS && !maps.contains(&url) {
            maps.push(url);
        }
        Some(bytes.into())
    }

    /// A source need not be deployed to be named.
    fn source_map_source_exists(&self, _source_url: &str) -> Option<bool> {
        Some(true)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::isolate::code_cache::CodeCache;

    fn app() -> (tempfile::TempDir, AppModules) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir(root.join("server")).unwrap();
        fs::create_dir(root.join("scratch")).unwrap();
        let files = Files::of_app(&root, &root.join("scratch"), &[]).unwrap();
        (dir, AppModules::new(Rc::new(files), Recorder::new(Arc::new(CodeCache::off()))))
    }

    fn write(modules: &AppModules, path: &str, text: &str) -> ModuleSpecifier {
        let path = modules.files.app().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        ModuleSpecifier::from_file_path(path).unwrap()
    }

    fn url(modules: &AppModules, path: &str) -> ModuleSpecifier {
        ModuleSpecifier::from_file_path(modules.files.app().join(path)).unwrap()
    }

    #[test]
    fn a_package_that_is_missing_is_named_with_its_importer() {
        let (_dir, modules) = app();
        let entry = url(&modules, "server/server.js");
        for (specifier, named) in [("pg", "the package `pg`"), ("node:sqlite", "Node's module `node:sqlite`")]
        {
            modules.resolve(specifier, entry.as_str(), ResolutionKind::Import).unwrap_err();
            let failure = modules.take_failure().unwrap();
            assert_eq!(failure.file, "server/server.js");
            assert!(failure.problem.contains(named), "{}", failure.problem);
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
    fn a_packages_exports_are_read_with_nodes_conditions() {
        let (_dir, modules) = app();
        let exports = r#"{ "name": "lib", "exports": { ".": { "deno": "./deno.js", "browser": "./browser.js",
                          "node": { "import": "./node.js" }, "default": "./other.js" } } }"#;
        write(&modules, "node_modules/lib/package.json", exports);
        write(&modules, "node_modules/lib/node.js", "");
        let entry = url(&modules, "server/server.js");
        let found = modules.resolve("lib", entry.as_str(), ResolutionKind::Import).unwrap();
        assert_eq!(found, url(&modules, "node_modules/lib/node.js"));
    }

    #[test]
    fn commonjs_becomes_a_module_with_the_same_names() {
        let (_dir, modules) = app();
        write(&modules, "node_modules/lib/package.json", r#"{ "name": "lib" }"#);
        let file = write(&modules, "node_modules/lib/index.js", "exports.one = 1; exports.two = () => {};");
        let source = modules.source(&file, "file:///entry.js").unwrap();
        let ModuleSourceCode::String(text) = source.code else { panic!("no text") };
        assert!(text.as_str().contains("export const one") && text.as_str().contains("export const two"));
    }

    #[test]
    fn a_link_that_leads_out_of_the_app_is_refused() {
        let (_dir, modules) = app();
        let outside = tempfile::NamedTempFile::new().unwrap();
        std::os::unix::fs::symlink(outside.path(), modules.files.app().join("server/leak.js")).unwrap();
        let entry = url(&modules, "server/server.js");
        let error = modules.read(&url(&modules, "server/leak.js"), entry.as_str()).unwrap_err();
        assert!(error.to_string().contains("outside the app"), "{error}");
    }

    #[test]
    fn a_missing_chunk_is_named_with_its_importers() {
        let (_dir, modules) = app();
        let entry = url(&modules, "server/server.js");
        let page = url(&modules, "server/page.js");
        modules.importers.borrow_mut().insert(page.clone(), entry.to_string());
        modules.read(&url(&modules, "server/chunk.js"), page.as_str()).unwrap_err();
        let failure = modules.take_failure().unwrap();
        assert_eq!(failure.file, "server/page.js");
        assert!(failure.problem.contains("`server/chunk.js` cannot be read"), "{}", failure.problem);
        assert!(failure.problem.ends_with("imported by `server/server.js`"), "{}", failure.problem);
    }
}
