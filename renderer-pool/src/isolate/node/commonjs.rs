//! Which files are CommonJS, and how `import` sees them: as a module with the names that the file exports.

use std::borrow::Cow;
use std::fs;
use std::path::Path;
use std::rc::Rc;

use deno_ast::{MediaType, ParseParams, parse_program};
use deno_core::ModuleSpecifier;
use deno_error::JsErrorBox;
use node_resolver::PackageJsonResolverRc;
use node_resolver::analyze::{CjsAnalysis, CjsCodeAnalyzer, EsmAnalysisMode};
use node_resolver::errors::PackageJsonLoadError;
use sys_traits::impls::RealSys;

use super::exports::{Found, Names};
use crate::isolate::code_cache::recorder::Recorder;

/// Whether a file may be CommonJS: its name and its package tell, else its text does.
///
/// An app's own files without a `"type"` in their `package.json` are modules: `vite build` writes nothing else.
///
/// # Errors
/// When the package's `package.json` cannot be read.
pub fn may_be_commonjs(
    package_jsons: &PackageJsonResolverRc<RealSys>,
    file: &ModuleSpecifier,
    required: bool,
) -> Result<bool, PackageJsonLoadError> {
    let Ok(path) = file.to_file_path() else { return Ok(false) };
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("cjs") => return Ok(true),
        Some("js") | None => {}
        Some("mjs" | "json" | "wasm" | "node") => return Ok(false),
        Some(_) => return Ok(required),
    }
    let package = package_jsons.get_closest_package_json(&path)?;
    Ok(match package.as_ref().map(|package| package.typ.as_str()) {
        Some("module") => false,
        Some("commonjs") => true,
        _ => required || path.components().any(|part| part.as_os_str() == "node_modules"),
    })
}

/// Finds the names that a file exports, from its text.
pub struct ExportAnalyzer {
    code: Rc<Recorder>,
}

impl ExportAnalyzer {
    /// An analyzer that remembers in `code` what it found.
    pub fn new(code: Rc<Recorder>) -> Self {
        Self { code }
    }
}

#[async_trait::async_trait(?Send)]
impl CjsCodeAnalyzer for ExportAnalyzer {
    async fn analyze_cjs<'a>(
        &self,
        specifier: &ModuleSpecifier,
        source: Option<Cow<'a, str>>,
        mode: EsmAnalysisMode,
    ) -> Result<CjsAnalysis<'a>, JsErrorBox> {
        let source = match source {
            Some(source) => source,
            None => Cow::Owned(read_lossy(specifier)?),
        };
        if specifier.path().ends_with(".json") || specifier.path().ends_with(".node") {
            return Ok(CjsAnalysis::Cjs(Names::default().into()));
        }
        let wants_imports = matches!(mode, EsmAnalysisMode::SourceImportsAndExports);
        let name = format!("{specifier}#{}", u8::from(wants_imports));
        let known = self.code.exports(&name, &source).and_then(Found::decode);
        let found = match known {
            Some(found) => found,
            None => {
                let found = analyze(specifier, &source, wants_imports)?;
                self.code.exports_found(&name, &source, || found.encode());
                found
            }
        };
        Ok(match found {
            Found::Script(names) => CjsAnalysis::Cjs(names.into()),
            Found::Module(names) => CjsAnalysis::Esm(source, names.map(Into::into)),
        })
    }

    /// Names of a member are not looked for: all of the inner module's are taken.
    async fn analyze_cjs_member_props<'a>(
        &self,
        _specifier: &ModuleSpecifier,
        _source: Option<Cow<'a, str>>,
        _member: &str,
    ) -> Result<Option<Vec<String>>, JsErrorBox> {
        Ok(None)
    }
}

fn analyze(specifier: &ModuleSpecifier, source: &str, wants_imports: bool) -> Result<Found, JsErrorBox> {
    let parsed = parse_program(ParseParams {
        specifier: specifier.clone(),
        text: source.into(),
        media_type: MediaType::JavaScript,
        // The analysis of what is assigned to `exports` reads tokens.
        capture_tokens: true,
        scope_analysis: false,
        maybe_syntax: None,
    })
    .map_err(|error| JsErrorBox::new("SyntaxError", error.to_string()))?;
    if parsed.compute_is_script() {
        let found = parsed.analyze_cjs();
        return Ok(Found::Script(Names { exports: found.exports, reexports: found.reexports }));
    }
    Ok(Found::Module(wants_imports.then(|| {
        let found = parsed.analyze_es_runtime_exports();
        Names { exports: found.exports, reexports: found.reexports }
    })))
}

fn read_lossy(specifier: &ModuleSpecifier) -> Result<String, JsErrorBox> {
    let path =
        specifier.to_file_path().map_err(|()| JsErrorBox::type_error(format!("`{specifier}` is no file")))?;
    text_of(&path).map_err(|error| JsErrorBox::new("NotFound", format!("`{}`: {error}", path.display())))
}

/// A file's text, with what is not UTF-8 replaced, as Node reads scripts.
///
/// # Errors
/// When it cannot be read.
pub fn text_of(path: &Path) -> std::io::Result<String> {
    let bytes = fs::read(path)?;
    Ok(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}
