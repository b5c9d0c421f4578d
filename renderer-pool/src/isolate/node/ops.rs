//! The ops that Deno's own runtime has and Node's modules ask for: what they mean here.
//!
//! The build script includes this file too.

use std::path::PathBuf;

use deno_core::{ModuleSpecifier, OpState, op2, v8};
use deno_error::JsErrorBox;

deno_core::extension!(
    runtime,
    lazy_loaded_esm = [
        dir "src/isolate/boot",
        "ext:runtime/98_global_scope_shared.js" = "global_scope.js",
    ],
);

deno_core::extension!(
    isopod_node,
    deps = [deno_node],
    ops = [
        op_bootstrap_color_depth,
        op_create_worker,
        op_current_thread_cpu_usage,
        op_http_notify_serving,
        op_http_serve_address_override,
        op_isopod_exit,
        op_isopod_main_module,
        op_isopod_pid,
        op_isopod_target,
        op_isopod_temporary_directory,
        op_isopod_v8_version,
        op_napi_open,
        op_ppid,
    ],
    middleware = |op| match op.name {
        "op_v8_set_flags_from_string" => op.with_implementation_from(&op_isopod_v8_flags()),
        _ => op,
    },
);

/// An app that ended itself.
#[derive(Debug, Clone, Copy)]
#[allow(dead_code, reason = "the build script makes isolates that never run")]
pub struct ExitRequested {
    /// Its exit code.
    pub code: i32,
    /// The job that did; 0 where none ran.
    pub job: u32,
}

/// What `os.tmpdir()` returns.
#[derive(Debug)]
pub struct TemporaryDirectory(pub PathBuf);

/// `process.exit()`: ends the isolate, not the process, which may host more.
#[op2(fast, reentrant)]
fn op_isopod_exit(isolate: &v8::Isolate, state: &mut OpState, code: i32, job: u32) {
    state.put(ExitRequested { code, job });
    isolate.thread_safe_handle().terminate_execution();
}

/// The entry's URL, for `process.argv[1]` and `require.main`.
#[op2]
#[string]
fn op_isopod_main_module(state: &mut OpState) -> String {
    state.try_borrow::<ModuleSpecifier>().map(ToString::to_string).unwrap_or_default()
}

#[op2(fast)]
fn op_isopod_pid() -> u32 {
    std::process::id()
}

/// Where the app may write.
#[op2]
#[string]
fn op_isopod_temporary_directory(state: &mut OpState) -> String {
    let directory = state.try_borrow::<TemporaryDirectory>();
    directory.map(|directory| directory.0.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The target as `rustc` names it.
#[op2]
#[string]
fn op_isopod_target() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}

#[op2]
#[string]
fn op_isopod_v8_version() -> &'static str {
    v8::VERSION_STRING
}

/// `v8.setFlagsFromString()`: flags hold for all isolates of the process, and some of them open V8 up.
#[op2(fast)]
fn op_isopod_v8_flags(#[string] flags: &str) -> Result<(), JsErrorBox> {
    Err(JsErrorBox::new(
        "NotSupported",
        format!("V8's flags ({flags}) cannot be set by an app: the operator sets them (v8_flags)"),
    ))
}

/// Nobody looks at this process's terminal: 1 bit, no colours.
#[op2(fast)]
fn op_bootstrap_color_depth() -> i32 {
    1
}

#[op2(fast)]
fn op_current_thread_cpu_usage(#[buffer] usage: &mut [f64]) {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID);
    if let (Ok(time), [system, user, ..]) = (time, usage) {
        *system = 0.0;
        *user = std::time::Duration::from(time).as_secs_f64() * 1e6;
    }
}

#[op2(fast)]
fn op_http_notify_serving() {}

/// No address overrides what `listen` was given: (kind, host, port, duplicate).
#[op2]
#[serde]
fn op_http_serve_address_override() -> (u8, String, u32, bool) {
    (0, String::new(), 0, false)
}

#[op2(fast)]
fn op_ppid() -> i32 {
    nix::unistd::getppid().as_raw()
}

/// Machine code could do what no permission allows.
#[op2(fast)]
fn op_napi_open(#[string] path: &str) -> Result<(), JsErrorBox> {
    Err(JsErrorBox::new(
        "AddonsDisabled",
        format!(
            "the native addon `{path}` cannot be loaded: Isopod runs JavaScript and WebAssembly; use the package's \
             JavaScript or WebAssembly build, or do this work in a native function"
        ),
    ))
}

#[op2(fast)]
fn op_create_worker() -> Result<(), JsErrorBox> {
    Err(JsErrorBox::new(
        "NotSupported",
        "worker threads cannot be started: Isopod's isolates are its threads; do this work in a native function",
    ))
}
