//! Makes the start-up snapshot: an isolate with the Web's globals defined, so that a new one starts in
//! milliseconds. What the snapshot did not evaluate goes into a table of sources beside it.

#![expect(clippy::print_stdout, reason = "a build script speaks to cargo on standard output")]

#[path = "../src/isolate/background.rs"]
mod background;
mod changes;
mod checkout;
#[path = "../src/isolate/encoding.rs"]
mod encoding;
#[path = "../src/isolate/extension.rs"]
mod extension;
#[path = "../src/isolate/extensions.rs"]
mod extensions;
mod fresh_ops;
#[path = "../src/job/mod.rs"]
#[allow(dead_code, reason = "the build script needs the ops' addresses, not their work")]
mod job;
#[path = "../src/isolate/node/ops.rs"]
mod node_ops;
mod sources;
mod transpile;

use std::collections::HashSet;
use std::env;
use std::fs;
use std::path::PathBuf;
use std::rc::Rc;

use deno_core::snapshot::{CreateSnapshotOptions, create_snapshot};
use deno_core::{Extension, JsRuntimeForSnapshot, v8};
use deno_node::ContextInitMode;

/// What the snapshot and its users must agree on; a change makes the snapshot again.
const INPUTS: &[&str] = &[
    "build",
    "src/isolate/boot",
    "src/isolate/background.rs",
    "src/isolate/encoding.rs",
    "src/isolate/extension.rs",
    "src/isolate/extensions.rs",
    "src/isolate/node/ops.rs",
    "src/job",
];

/// V8's functions that `src/young_objects.rs` has others for: `FactoryBase<Factory>::NewAccessorPair` and
/// `interpreter::CreateClosureFlags::Encode`.
const WRAPPED: [&str; 2] = [
    "_ZN2v88internal11FactoryBaseINS0_7FactoryEE15NewAccessorPairEv",
    "_ZN2v88internal11interpreter18CreateClosureFlags6EncodeEbb",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for function in WRAPPED {
        println!("cargo:rustc-link-arg-bins=-Wl,--wrap={function}");
    }
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);
    let directory = checkout::directory()?;
    let sources = sources::lazy(&all_extensions(directory))?;
    let snapshot = create_snapshot(
        CreateSnapshotOptions {
            cargo_manifest_dir: directory,
            startup_snapshot: None,
            skip_op_registration: false,
            extensions: all_extensions(directory),
            extension_transpiler: Some(Rc::new(transpile::for_snapshot)),
            with_runtime_cb: Some(Box::new(|js| {
                warm_up(js);
                add_context_of_node_vm(js);
            })),
        },
        None,
    )?;
    fs::write(out_dir.join("snapshot.bin"), &snapshot.output)?;
    let consumed: HashSet<_> = snapshot.consumed_lazy_specifiers.iter().map(String::as_str).collect();
    let build = twox_hash::XxHash64::oneshot(0, &snapshot.output);
    fs::write(
        out_dir.join("build.rs"),
        format!("/// Tells snapshots apart.\npub const BUILD: u64 = {build:#x};\n"),
    )?;
    let residual: Vec<_> = sources.iter().filter(|source| !consumed.contains(source.specifier)).collect();
    fs::write(out_dir.join("residual.rs"), sources::table(&residual)?)?;
    for path in snapshot.files_loaded_during_snapshot {
        println!("cargo:rerun-if-changed={}", path.display());
    }
    for path in INPUTS {
        println!("cargo:rerun-if-changed={path}");
    }
    Ok(())
}

fn all_extensions(directory: &str) -> Vec<Extension> {
    let mut all = extensions::all(extensions::Host::default());
    for extension in &mut all {
        checkout::relocate(extension, directory);
    }
    all
}

/// Lets `boot/warmth.js` come to its end: nobody else runs promises while a snapshot is made.
fn warm_up(js: &mut JsRuntimeForSnapshot) {
    let script = "{ const { core, internals } = __bootstrap; core.runMicrotasks();
        const { warmth } = internals; delete internals.warmth;
        if (warmth !== 'done') throw new Error(`boot/warmth.js did not come to its end: ${warmth}`); }";
    let ended = js.execute_script("isopod:warmth", script);
    assert!(ended.is_ok(), "{}", ended.err().map(|error| error.to_string()).unwrap_or_default());
}

/// `node:vm` makes its contexts from one that the snapshot holds.
fn add_context_of_node_vm(js: &mut JsRuntimeForSnapshot) {
    v8::scope!(scope, js.v8_isolate());
    let template = deno_node::init_global_template(scope, ContextInitMode::ForSnapshot);
    let context =
        deno_node::create_v8_context(scope, template, ContextInitMode::ForSnapshot, std::ptr::null_mut());
    assert_eq!(scope.add_context(context), deno_node::VM_CONTEXT_INDEX);
}
