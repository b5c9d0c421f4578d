//! Isopod's own extension: the ops between JavaScript and the job table, and the boot scripts.
//!
//! The build script includes this file too: the snapshot refers to the same ops in the same order.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use deno_core::{OpState, op2, v8};
use shared::message::{FailureKind, HintPhase};

use super::background::{
    op_background_begin, op_background_capacity, op_background_end, op_background_limit,
};
use super::encoding::op_encode_into;
use super::job::{JobLabel, JobTable};

/// The job table as ops reach it.
pub type SharedJobTable = Rc<RefCell<JobTable>>;

/// What the bundle sees as `process.env`.
#[derive(Debug, Clone, Default)]
pub struct BundleEnv(pub BTreeMap<String, String>);

/// Takes the function that V8 has just compiled of a CommonJS file.
pub type KeepCompiled = Rc<dyn Fn(v8::Global<v8::Function>)>;

/// Makes the page of an error from its stack, the request's id and URL, and what the client accepts: a content
/// type and the content.
pub type MakePage = dyn Fn(&str, &str, &str, &str) -> (&'static str, String);

/// There for an app in development alone.
#[allow(dead_code, reason = "the build script makes isolates that never run")]
pub struct ErrorPages(pub Box<MakePage>);

deno_core::extension!(
    deno_telemetry,
    lazy_loaded_js = [
        dir "src/isolate/boot",
        "ext:deno_telemetry/telemetry.ts" = "telemetry.js",
        "ext:deno_telemetry/util.ts" = "telemetry_util.js",
    ],
);

deno_core::extension!(
    isopod,
    deps = [deno_webidl, deno_web, deno_fetch, deno_crypto, deno_node],
    ops = [
        op_background_begin,
        op_background_capacity,
        op_background_end,
        op_background_limit,
        op_encode_into,
        op_isopod_compiled,
        op_isopod_env,
        op_job_call,
        op_job_call_body,
        op_job_call_cancel,
        op_job_consumed,
        op_job_decline,
        op_job_early_hints,
        op_job_end,
        op_job_fail,
        op_job_head,
        op_job_reply_consumed,
        op_job_write,
        op_job_write_text,
        op_log,
    ],
    esm_entry_point = "ext:isopod/globals.js",
    esm = [dir "src/isolate/boot", "deno.js", "globals.js"],
    lazy_loaded_js = [
        dir "src/isolate/boot",
        "async_context.js",
        "console.js",
        "environment.js",
        "errors.js",
        "fetch.js",
        "jobs.js",
        "leftovers.js",
        "native_calls.js",
        "pipeline.js",
        "request.js",
        "start.js",
        "uncaught.js",
        "values.js",
        "warmth.js",
    ],
    options = {
        jobs: Option<SharedJobTable>,
        env: BundleEnv,
    },
    state = |state, options| {
        if let Some(jobs) = options.jobs {
            state.put(jobs);
        }
        state.put(options.env);
    },
);

/// A CommonJS file has been compiled, see `node:module`.
#[op2]
fn op_isopod_compiled(state: &mut OpState, #[scoped] function: v8::Global<v8::Function>) {
    if let Some(keep) = state.try_borrow::<KeepCompiled>() {
        keep(function);
    }
}

/// What the operator lets the bundle see as `process.env`.
#[op2]
fn op_isopod_env<'s>(scope: &mut v8::PinScope<'s, '_>, state: &mut OpState) -> v8::Local<'s, v8::Object> {
    let object = v8::Object::new(scope);
    for (name, value) in &state.borrow::<BundleEnv>().0 {
        if let (Some(name), Some(value)) = (v8::String::new(scope, name), v8::String::new(scope, value)) {
            object.set(scope, name.into(), value.into());
        }
    }
    object
}

#[op2(fast)]
fn op_job_head(state: &mut OpState, key: u32, status: u16, #[string(onebyte)] fields: Cow<'_, [u8]>) {
    state.borrow::<SharedJobTable>().borrow_mut().head(key, status, &fields);
}

/// Links that the response will need, between line feeds. `is_last`: no more follow.
#[op2(fast)]
fn op_job_early_hints(state: &mut OpState, key: u32, is_last: bool, #[string] links: &str) {
    let phase = if is_last { HintPhase::Dynamic } else { HintPhase::Static };
    state.borrow::<SharedJobTable>().borrow_mut().early_hints(key, phase, links);
}

/// A piece of the response; says whether the job may write on. The script that calls it has looked at its type.
///
/// It takes the view's bytes itself: `#[buffer]` would take part in the ownership of the memory for the time of the call,
/// which costs more than to copy a piece of a page.
#[op2(fast)]
fn op_job_write(state: &mut OpState, key: u32, bytes: v8::Local<'_, v8::Value>) -> bool {
    let Ok(view) = v8::Local::<v8::ArrayBufferView>::try_from(bytes) else { return true };
    let mut on_heap = [0; v8::TYPED_ARRAY_MAX_SIZE_IN_HEAP];
    state.borrow::<SharedJobTable>().borrow_mut().write(key, view.get_contents(&mut on_heap))
}

#[op2(fast)]
fn op_job_write_text(state: &mut OpState, key: u32, #[string] text: Cow<'_, str>) -> bool {
    state.borrow::<SharedJobTable>().borrow_mut().write(key, text.as_bytes())
}

#[op2(fast)]
fn op_job_end(state: &mut OpState, key: u32) {
    state.borrow::<SharedJobTable>().borrow_mut().end(key);
}

/// Ends a job whose handler threw; the error goes to the log. Without a response, unless an app in development is
/// to show what it can: `accept` says in which form.
#[op2(fast)]
fn op_job_fail(state: &mut OpState, key: u32, #[string] detail: &str, #[string] accept: &str) {
    let jobs = state.borrow::<SharedJobTable>();
    let label = jobs.borrow().label(key);
    let JobLabel { request_id, url, .. } = &label;
    let detail = &detail[..detail.floor_char_boundary(MAX_LOG_BYTES)];
    let (trace_id, span_id) = (label.trace_id(), label.span_id());
    tracing::error!(request_id, url, trace_id, span_id, "the bundle failed: {detail}");
    let page = state.try_borrow::<ErrorPages>().filter(|_| jobs.borrow().may_answer(key));
    let mut jobs = jobs.borrow_mut();
    match page {
        None => {
            jobs.fail(key, FailureKind::Threw, detail);
        }
        Some(ErrorPages(page)) => {
            let (content_type, page) = page(detail, request_id, url, accept);
            let fields = format!(
                "content-type\n{content_type}\ncache-control\nno-store\nx-content-type-options\nnosniff"
            );
            jobs.head(key, 500, fields.as_bytes());
            jobs.write(key, page.as_bytes());
            jobs.end(key);
        }
    }
}

/// Ends a job without a response, as the app wants it.
#[op2(fast)]
fn op_job_decline(state: &mut OpState, key: u32, is_dropped: bool) {
    let kind = if is_dropped { FailureKind::Dropped } else { FailureKind::Skipped };
    state.borrow::<SharedJobTable>().borrow_mut().decline(key, kind);
}

#[op2(fast)]
fn op_job_consumed(state: &mut OpState, key: u32, bytes: u32) {
    state.borrow::<SharedJobTable>().borrow_mut().consumed(key, bytes as usize);
}

/// Returns why the call is not made, or nothing.
#[op2]
#[string]
fn op_job_call(
    state: &mut OpState,
    key: u32,
    call: u32,
    #[string] name: &str,
    #[string] input: &str,
) -> String {
    let jobs = state.borrow::<SharedJobTable>();
    jobs.borrow_mut().call(key, call, name, input).err().unwrap_or_default()
}

/// A call whose input is a body of `content_type`. Returns why the call is not made, or nothing.
#[op2]
#[string]
fn op_job_call_body(
    state: &mut OpState,
    key: u32,
    call: u32,
    #[string] name: &str,
    #[string] content_type: &str,
    #[buffer] body: &[u8],
) -> String {
    let jobs = state.borrow::<SharedJobTable>();
    jobs.borrow_mut().call_with_body(key, call, name, content_type, body).err().unwrap_or_default()
}

/// JavaScript has read so much of a call's answer.
#[op2(fast)]
fn op_job_reply_consumed(state: &mut OpState, key: u32, call: u32, bytes: u32) {
    state.borrow::<SharedJobTable>().borrow_mut().reply_consumed(key, call, bytes as usize);
}

#[op2(fast)]
fn op_job_call_cancel(state: &mut OpState, key: u32, call: u32) {
    state.borrow::<SharedJobTable>().borrow_mut().cancel_call(key, call);
}

/// The longest line of the bundle that reaches the log, in bytes.
const MAX_LOG_BYTES: usize = 16 * 1024;

/// A line of the bundle's `console`, or of its uncaught errors. Levels: 0 debug, 1 info, 2 warn, 3 error.
#[op2(fast)]
fn op_log(state: &mut OpState, key: u32, level: u32, #[string] message: &str) {
    let label = state.borrow::<SharedJobTable>().borrow().label(key);
    let (request_id, url) = (&label.request_id, &label.url);
    let (trace_id, span_id) = (label.trace_id(), label.span_id());
    let message = message.trim_end_matches('\n');
    let message = &message[..message.floor_char_boundary(MAX_LOG_BYTES)];
    match level {
        0 => tracing::debug!(target: "bundle", request_id, url, trace_id, span_id, "{message}"),
        1 => tracing::info!(target: "bundle", request_id, url, trace_id, span_id, "{message}"),
        2 => tracing::warn!(target: "bundle", request_id, url, trace_id, span_id, "{message}"),
        _ => tracing::error!(target: "bundle", request_id, url, trace_id, span_id, "{message}"),
    }
}
