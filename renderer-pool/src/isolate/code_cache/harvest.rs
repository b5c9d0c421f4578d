//! Takes from V8 what an isolate has compiled by the end of its first page.

use deno_core::{FastString, JsRuntime, ModuleSpecifier, v8};

use super::pack::Key;
use super::recorder::{Missing, Recorded, Recorder, first_page_key};

/// Writes the cache anew if this isolate had to compile anything and no other of the process has written it. Costs
/// some milliseconds then, nothing otherwise.
pub fn harvest(js: &mut JsRuntime, recorder: &Recorder) {
    let Recorded { used, missing, first_page } = recorder.close();
    let cache = recorder.cache();
    let is_whole = missing.is_empty() && cache.get(first_page_key()).is_some();
    if is_whole || !cache.claim() {
        return;
    }
    deno_core::scope!(scope, js);
    let made: Vec<(Key, Vec<u8>)> =
        missing.into_iter().filter_map(|(key, missing)| Some((key, code_of(scope, missing)?))).collect();
    let kept = used.iter().filter_map(|key| Some((*key, cache.get(*key)?)));
    let list = (first_page_key(), first_page.join("\n"));
    let made = made.iter().map(|(key, code)| (*key, &code[..]));
    let entries: Vec<(Key, &[u8])> =
        kept.chain(made).chain(std::iter::once((list.0, list.1.as_bytes()))).collect();
    cache.write(&entries);
}

fn code_of(scope: &mut v8::PinScope<'_, '_>, missing: Missing) -> Option<Vec<u8>> {
    let code = match missing {
        Missing::Module { specifier, source } => return module_code(scope, &specifier, source),
        Missing::Function(function) => v8::Local::new(scope, function).create_code_cache()?,
        Missing::Bytes(bytes) => return Some(bytes),
    };
    Some(code.to_vec())
}

/// Asks V8 to compile the source again: it finds what it has compiled already, with the functions that have run
/// since, in the isolate's own table of compiled sources. Should it not, this is the code that a load needs.
fn module_code(
    scope: &mut v8::PinScope<'_, '_>,
    specifier: &ModuleSpecifier,
    source: FastString,
) -> Option<Vec<u8>> {
    v8::tc_scope!(let scope, scope);
    let name = v8::String::new(scope, specifier.as_str())?;
    let source = source.v8_string(scope).ok()?;
    // As deno_core's, or V8 takes it for another script.
    let origin = v8::ScriptOrigin::new(scope, name.into(), 0, 0, false, 0, None, false, false, true, None);
    let mut source = v8::script_compiler::Source::new(source, Some(&origin));
    let module = v8::script_compiler::compile_module(scope, &mut source)?;
    let code = module.get_unbound_module_script(scope).create_code_cache()?;
    Some(code.to_vec())
}
