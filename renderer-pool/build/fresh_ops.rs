//! A script that the snapshot holds evaluated has taken its ops while the snapshot was made, when V8 knows them by
//! their slow calls only. Such a script takes them again when an isolate starts: `boot/start.js` asks for it.

use deno_error::JsErrorBox;

/// Scripts that call ops while a page is rendered.
const SCRIPTS: &[&str] = &[
    "ext:deno_fetch/23_response.js",
    "ext:deno_node/internal_binding/async_wrap.ts",
    "ext:deno_node/internal/buffer.mjs",
    "ext:deno_web/00_infra.js",
    "ext:deno_web/00_url.js",
    "ext:deno_web/02_timers.js",
    "ext:deno_web/05_base64.js",
    "ext:deno_web/06_streams.js",
    "ext:deno_web/08_text_encoding.js",
];

/// Where a script takes its ops.
const END: &str = "} = core.ops;";
const BEGIN: &str = "const {";

/// The script with ops that it can take again.
///
/// # Errors
/// When one of those that are to do so takes no ops the way it did.
pub fn taken(name: &str, code: String) -> Result<String, JsErrorBox> {
    if !SCRIPTS.contains(&name) {
        return Ok(code);
    }
    let missing =
        || JsErrorBox::generic(format!("{name} does not take its ops by `{BEGIN} .. {END}` any more"));
    let end = code.find(END).ok_or_else(missing)?;
    let begin = code[..end].rfind(BEGIN).ok_or_else(missing)?;
    let names = &code[begin + BEGIN.len()..end];
    let (before, after) = (&code[..begin], &code[end + END.len()..]);
    Ok(format!(
        "{before}let {{{names}}} = core.ops;\
         (__bootstrap.internals.freshOps ??= []).push(() => {{ ({{{names}}} = core.ops); }});{after}"
    ))
}
