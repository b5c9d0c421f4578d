//! What JavaScript is doing at the moment of an interrupt. Reads plain data properties; runs no JavaScript.

use deno_core::v8;

use super::turn::JobKey;

/// So many frames are told of.
const MAX_FRAMES: usize = 16;

/// The job that runs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Caught {
    /// Its key; 0 for none.
    pub job: JobKey,
    /// Its URL.
    pub url: String,
}

/// The context that the app runs in, kept with its isolate.
struct AppContext(v8::Global<v8::Context>);

/// Keeps the context for interrupts.
pub fn remember_context(isolate: &mut v8::Isolate, context: v8::Global<v8::Context>) {
    isolate.set_slot(AppContext(context));
}

/// The job whose async context is current: `boot/jobs.js` puts it there.
pub fn running_job(isolate: &mut v8::Isolate) -> Caught {
    let Some(context) = isolate.get_slot::<AppContext>().map(|context| context.0.clone()) else {
        return Caught::default();
    };
    v8::callback_scope!(unsafe scope, isolate);
    let context = v8::Local::new(scope, &context);
    let scope = &mut v8::ContextScope::new(scope, context);
    let data = scope.get_continuation_preserved_embedder_data();
    let Some(job) = property(scope, data, "job") else { return Caught::default() };
    let key = property(scope, job, "key").and_then(|key| key.uint32_value(scope)).unwrap_or(0);
    let url = property(scope, job, "url").filter(|url| url.is_string());
    Caught { job: key, url: url.map(|url| url.to_rust_string_lossy(scope)).unwrap_or_default() }
}

/// The top of the stack, as `Error.stack` writes frames.
pub fn capture(isolate: &mut v8::Isolate) -> Vec<String> {
    let Some(context) = isolate.get_slot::<AppContext>().map(|context| context.0.clone()) else {
        return Vec::new();
    };
    v8::callback_scope!(unsafe scope, isolate);
    let context = v8::Local::new(scope, &context);
    let scope = &mut v8::ContextScope::new(scope, context);
    let Some(trace) = v8::StackTrace::current_stack_trace(scope, MAX_FRAMES) else { return Vec::new() };
    let mut frames = Vec::with_capacity(trace.get_frame_count());
    for index in 0..trace.get_frame_count() {
        if let Some(frame) = trace.get_frame(scope, index) {
            frames.push(describe(scope, frame));
        }
    }
    frames
}

fn describe(scope: &mut v8::PinScope<'_, '_>, frame: v8::Local<'_, v8::StackFrame>) -> String {
    let text = |text: Option<v8::Local<'_, v8::String>>| text.map(|text| text.to_rust_string_lossy(scope));
    let function = text(frame.get_function_name(scope)).filter(|name| !name.is_empty());
    let script = text(frame.get_script_name_or_source_url(scope)).unwrap_or_else(|| "<unknown>".into());
    let (line, column) = (frame.get_line_number(), frame.get_column());
    match function {
        Some(function) => format!("at {function} ({script}:{line}:{column})"),
        None => format!("at {script}:{line}:{column}"),
    }
}

fn property<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    object: v8::Local<'s, v8::Value>,
    name: &str,
) -> Option<v8::Local<'s, v8::Value>> {
    let object = v8::Local::<v8::Object>::try_from(object).ok()?;
    let name = v8::String::new(scope, name)?;
    object.get_real_named_property(scope, name.into()).filter(|value| !value.is_null_or_undefined())
}
