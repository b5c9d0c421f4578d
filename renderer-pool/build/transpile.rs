//! Makes embeddable JavaScript of the extensions' sources.

use std::path::Path;

use deno_ast::{
    EmitOptions, ImportsNotUsedAsValues, MediaType, ParseParams, SourceMapOption, TranspileOptions,
};
use deno_core::url::Url;
use deno_core::{ModuleCodeString, ModuleName, SourceMapData};
use deno_error::JsErrorBox;

use super::{changes, fresh_ops};

/// A script as the snapshot evaluates it.
pub fn for_snapshot(
    name: ModuleName,
    source: ModuleCodeString,
) -> Result<(ModuleCodeString, Option<SourceMapData>), JsErrorBox> {
    let (name, again) = name.into_cheap_copy();
    let (code, map) = transpile(again, source)?;
    Ok((fresh_ops::taken(&name, code.as_str().to_owned())?.into(), map))
}

/// How a transpiled script looks: TypeScript gone, `Deno` bound to the host's own namespace, which the apps do
/// not see.
pub fn transpile(
    name: ModuleName,
    source: ModuleCodeString,
) -> Result<(ModuleCodeString, Option<SourceMapData>), JsErrorBox> {
    let mut code = source.as_str().to_owned();
    // Node's built-in modules may be TypeScript under any name.
    let is_typescript =
        name.starts_with("node:") || MediaType::from_path(Path::new(&*name)) == MediaType::TypeScript;
    if &*name == "node:module" {
        // What V8 has compiled is kept for the next start, see `isolate::code_cache`.
        let compiled = "throw err.thrown;\n  }\n  return f;";
        let kept = "throw err.thrown;\n  }\n  internals.keepCompiled(f);\n  return f;";
        if !code.contains(compiled) {
            return Err(JsErrorBox::generic("node:module does not compile CommonJS as it did"));
        }
        code = code.replace(compiled, kept);
    }
    if is_typescript {
        code = without_types(&name, code)?;
    }
    if name.starts_with("ext:deno_node/") || name.starts_with("node:") {
        code = code.replace("__NODE_VERSION__", deno_node::NODE_VERSION);
        // The bootstrap function is reached through the module, not through the app's global scope.
        code = code.replace("globalThis.nodeBootstrap = ", "internals.nodeBootstrap = ");
        // So are uncaught errors, see `boot/uncaught.js`: Node's global scope is no event target.
        if &*name == "node:process" {
            code = code.replace("globalThis.addEventListener(", "internals.uncaught.addEventListener(");
            code = code.replace("globalThis.removeEventListener(", "internals.uncaught.removeEventListener(");
        }
    }
    code = changes::applied(&name, code)?;
    if &*name == "ext:deno_web/15_performance.js" {
        // Deno sets it when it starts; here the script is loaded when it is first used.
        code = code.replace(
            "return timeOrigin;",
            "if (timeOrigin === undefined) setTimeOrigin(); return timeOrigin;",
        );
    }
    // Packages take a value in `process.versions.deno` for Deno itself.
    if &*name == "ext:deno_node/_process/process.ts" {
        code = code.replace("deno: \"\",", "").replace("typescript: \"\"", "");
    }
    if &*name == "ext:deno_fs/30_fs.js" {
        // It makes a function of text, which sees global names alone. Every system that Isopod runs on is one.
        code = code.replace("const unix = Deno.build.os === \"darwin\" ||", "const unix = true ||");
    }
    let is_denos = name.starts_with("ext:deno_") || name.starts_with("node:");
    if is_denos && code.contains("Deno") {
        code = with_host_namespace(&name, &code)?;
    }
    Ok((in_ascii(&code).into(), None))
}

/// A snapshot keeps a script's text by its bytes and a function's place in it by characters: both agree in ASCII
/// alone. What is escaped stands in literals or in comments.
fn in_ascii(code: &str) -> String {
    let mut ascii = String::with_capacity(code.len());
    for unit in code.encode_utf16() {
        match u8::try_from(unit).ok().filter(u8::is_ascii) {
            Some(byte) => ascii.push(char::from(byte)),
            None => ascii.push_str(&format!("\\u{unit:04x}")),
        }
    }
    ascii
}

/// Declares `Deno` inside the script. `internals.deno` is defined by `boot/deno.js`.
fn with_host_namespace(name: &str, code: &str) -> Result<String, JsErrorBox> {
    if code.lines().any(|line| line.starts_with("import ") || line.starts_with("export ")) {
        return Ok(format!(
            "import {{ internals as __isopodInternals }} from \"ext:core/mod.js\";\
             const Deno = __isopodInternals.deno;{code}"
        ));
    }
    // As Deno writes a script, and as it looks once its types are gone.
    let start =
        ["(function () {", "(function() {"].iter().find_map(|start| Some(code.find(start)? + start.len()));
    let start = start.ok_or_else(|| JsErrorBox::generic(format!("{name}: no function, no module")))?;
    let (head, body) = code.split_at(start);
    // A directive counts only as the first statement.
    let strict = if body.trim_start().starts_with("\"use strict\"") { "\"use strict\";" } else { "" };
    Ok(format!("{head}{strict}const Deno = __bootstrap.internals.deno;{body}"))
}

fn without_types(name: &str, code: String) -> Result<String, JsErrorBox> {
    let specifier = Url::parse(name).map_err(|error| JsErrorBox::generic(format!("{name}: {error}")))?;
    let parsed = deno_ast::parse_module(ParseParams {
        specifier,
        text: code.into(),
        media_type: MediaType::TypeScript,
        capture_tokens: false,
        scope_analysis: false,
        maybe_syntax: None,
    })
    .map_err(|error| JsErrorBox::generic(format!("{name}: {error}")))?;
    let options =
        TranspileOptions { imports_not_used_as_values: ImportsNotUsedAsValues::Remove, ..Default::default() };
    let emit = EmitOptions { source_map: SourceMapOption::None, ..Default::default() };
    let emitted = parsed
        .transpile(&options, &Default::default(), &emit)
        .map_err(|error| JsErrorBox::generic(format!("{name}: {error}")))?;
    Ok(emitted.into_source().text)
}
