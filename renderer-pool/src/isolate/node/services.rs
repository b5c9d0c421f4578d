//! Finds packages as Node does, for `import` and for `require`.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use deno_core::futures::executor::block_on;
use deno_core::url::Url;
use deno_core::{FastString, ModuleSpecifier};
use deno_error::JsErrorBox;
use deno_node::{NodeExtInitServices, NodeRequireLoader, default_resolve_require_node_module_paths};
use deno_permissions::{OpenAccessKind, PermissionsContainer};
use deno_resolver::npm::{ByonmInNpmPackageChecker, ByonmNpmResolver, ByonmNpmResolverCreateOptions};
use node_resolver::analyze::{
    CjsModuleExportAnalyzer, NodeCodeTranslator, NodeCodeTranslatorMode, TranslateCjsToEsmError,
};
use node_resolver::cache::{NodeResolutionSys, NodeResolutionThreadLocalCache};
use node_resolver::errors::{NodeResolveError, PackageJsonLoadError};
use node_resolver::{
    DenoIsBuiltInNodeModuleChecker, NodeConditionOptions, NodeResolutionKind, NodeResolver,
    NodeResolverOptions, NodeResolverRc, PackageJsonResolver, PackageJsonResolverRc,
    PackageJsonThreadLocalCache, ResolutionMode,
};
use sys_traits::impls::RealSys;

use super::commonjs::{ExportAnalyzer, may_be_commonjs, text_of};
use super::permissions::Files;
use crate::isolate::code_cache::recorder::Recorder;
use crate::isolate::extensions::{NodeServices, PackageChecker, PackageFolders};

/// The conditions of `package.json`'s `exports` that hold for `import`; Node's.
const IMPORT_CONDITIONS: &[&str] = &["node", "import", "module-sync"];

/// The same for `require`.
const REQUIRE_CONDITIONS: &[&str] = &["node", "require", "module-sync"];

/// So many folders are remembered.
const MAX_FOLDERS: usize = 1024;

type Resolver = NodeResolverRc<PackageChecker, DenoIsBuiltInNodeModuleChecker, PackageFolders, RealSys>;

type Translator = NodeCodeTranslator<
    ExportAnalyzer,
    PackageChecker,
    DenoIsBuiltInNodeModuleChecker,
    PackageFolders,
    RealSys,
>;

/// Finds packages, and sees CommonJS as modules.
pub struct Packages {
    resolver: Resolver,
    package_jsons: PackageJsonResolverRc<RealSys>,
    translator: Translator,
    files: Rc<Files>,
    /// Folders with files that end in `.js`, and whether these may be CommonJS.
    folders: RefCell<HashMap<PathBuf, bool>>,
}

impl Packages {
    /// Packages for an app that may read `files`. What CommonJS exports is remembered by `code`.
    pub fn new(files: Rc<Files>, code: Rc<Recorder>) -> Self {
        let cached = NodeResolutionSys::new(RealSys, Some(Arc::new(NodeResolutionThreadLocalCache)));
        let package_jsons: PackageJsonResolverRc<RealSys> =
            Arc::new(PackageJsonResolver::new(RealSys, Some(Arc::new(PackageJsonThreadLocalCache))));
        let folders = ByonmNpmResolver::new(ByonmNpmResolverCreateOptions {
            root_node_modules_dir: None,
            search_stop_dir: None,
            sys: cached.clone(),
            pkg_json_resolver: package_jsons.clone(),
        });
        let resolver = Arc::new(NodeResolver::new(
            ByonmInNpmPackageChecker,
            DenoIsBuiltInNodeModuleChecker,
            folders.clone(),
            package_jsons.clone(),
            cached,
            NodeResolverOptions { conditions: conditions(), ..Default::default() },
        ));
        let analyzer = CjsModuleExportAnalyzer::new(
            ExportAnalyzer::new(code),
            ByonmInNpmPackageChecker,
            resolver.clone(),
            folders,
            package_jsons.clone(),
            RealSys,
        );
        #[allow(clippy::arc_with_non_send_sync, reason = "node_resolver wants it; it stays on this thread")]
        let analyzer = Arc::new(analyzer);
        let translator = NodeCodeTranslator::new(analyzer, NodeCodeTranslatorMode::ModuleLoader);
        Self { resolver, package_jsons, translator, files, folders: RefCell::default() }
    }

    /// What Node's modules need.
    pub fn services(&self) -> NodeServices {
        NodeExtInitServices {
            node_require_loader: Rc::new(RequireLoader {
                package_jsons: self.package_jsons.clone(),
                files: self.files.clone(),
            }),
            node_resolver: self.resolver.clone(),
            pkg_json_resolver: self.package_jsons.clone(),
            sys: RealSys,
        }
    }

    /// Where `import specifier` in `importer` leads.
    ///
    /// # Errors
    /// As Node's, with its codes.
    pub fn resolve(
        &self,
        specifier: &str,
        importer: &ModuleSpecifier,
    ) -> Result<ModuleSpecifier, NodeResolveError> {
        self.resolver
            .resolve(specifier, importer, ResolutionMode::Import, NodeResolutionKind::Execution)?
            .into_url()
    }

    /// Whether `import` of this file may meet CommonJS.
    ///
    /// # Errors
    /// When the package's `package.json` cannot be read.
    pub fn may_be_commonjs(&self, file: &ModuleSpecifier) -> Result<bool, PackageJsonLoadError> {
        let path = file.to_file_path().ok().filter(|path| path.extension().is_some_and(|end| end == "js"));
        let Some(folder) = path.as_deref().and_then(Path::parent) else {
            return may_be_commonjs(&self.package_jsons, file, false);
        };
        if let Some(known) = self.folders.borrow().get(folder) {
            return Ok(*known);
        }
        let may_be = may_be_commonjs(&self.package_jsons, file, false)?;
        let mut folders = self.folders.borrow_mut();
        if folders.len() < MAX_FOLDERS {
            folders.insert(folder.to_owned(), may_be);
        }
        Ok(may_be)
    }

    /// A module that exports what the CommonJS file does; the text itself when it turns out to be a module.
    ///
    /// # Errors
    /// When the file, or one that it passes on, is no JavaScript.
    pub fn as_module(&self, file: &ModuleSpecifier, text: String) -> Result<String, TranslateCjsToEsmError> {
        // Nothing in it waits: files are read at once.
        block_on(self.translator.translate_cjs_to_esm(file, Some(text.into()))).map(Cow::into_owned)
    }
}

fn conditions() -> NodeConditionOptions {
    let owned = |names: &'static [&'static str]| names.iter().map(|name| Cow::Borrowed(*name)).collect();
    NodeConditionOptions {
        conditions: Vec::new(),
        import_conditions_override: Some(owned(IMPORT_CONDITIONS)),
        require_conditions_override: Some(owned(REQUIRE_CONDITIONS)),
    }
}

/// How `require` reads files.
struct RequireLoader {
    package_jsons: PackageJsonResolverRc<RealSys>,
    files: Rc<Files>,
}

impl NodeRequireLoader for RequireLoader {
    fn ensure_read_permission<'a>(
        &self,
        permissions: &mut PermissionsContainer,
        path: Cow<'a, Path>,
    ) -> Result<Cow<'a, Path>, JsErrorBox> {
        let is_readable = match path.canonicalize() {
            Ok(real) => self.files.may_read(&real),
            // Whether a file is there may be asked wherever packages are.
            Err(_) => self.files.may_read(&path),
        };
        if is_readable {
            return Ok(path);
        }
        let checked = permissions
            .check_open(path, OpenAccessKind::Read, Some("require()"))
            .map_err(JsErrorBox::from_err)?;
        Ok(checked.into_path())
    }

    fn load_text_file_lossy(&self, path: &Path) -> Result<FastString, JsErrorBox> {
        text_of(path).map(Into::into).map_err(JsErrorBox::from_err)
    }

    fn is_maybe_cjs(&self, specifier: &Url) -> Result<bool, PackageJsonLoadError> {
        may_be_commonjs(&self.package_jsons, specifier, false)
    }

    fn is_maybe_cjs_from_require(&self, specifier: &Url) -> Result<bool, PackageJsonLoadError> {
        may_be_commonjs(&self.package_jsons, specifier, true)
    }

    fn resolve_require_node_module_paths(&self, from: &Path) -> Vec<String> {
        let mut paths = default_resolve_require_node_module_paths(from);
        // What lies outside is not there for the app, so that a package that is missing is missing, not forbidden.
        paths.retain(|path| {
            let path = Path::new(path);
            path.canonicalize().is_ok_and(|real| self.files.may_read(&real))
        });
        paths
    }
}
