// Completes the global scope when an isolate starts: what differs between starts, and what a snapshot cannot hold.
(function () {
  const { core, internals } = __bootstrap;
  const { createConsole } = core.loadExtScript("ext:isopod/console.js");
  const { handlers, callNative, currentJobKey } = core.loadExtScript("ext:isopod/jobs.js");
  const { deno } = internals;

  // Scripts of the snapshot take the ops that V8 can call without its slow way, see `build/fresh_ops.rs`.
  for (const take of internals.freshOps) take();
  delete internals.freshOps;

  const define = (name, value, enumerable = true) =>
    Object.defineProperty(globalThis, name, { value, writable: true, enumerable, configurable: true });

  define("console", createConsole(currentJobKey));
  define(Symbol.for("isopod.host"), Object.freeze({ callNative }), false);

  // `node:module` hands over what it compiled; the build script says so in its source.
  internals.keepCompiled = core.ops.op_isopod_compiled;
  deno.env = core.loadExtScript("ext:isopod/environment.js");
  deno.mainModule = core.ops.op_isopod_main_module();
  // `node:process` and `node:module` start themselves from this when they are first used.
  internals.__nodeBootstrapArgs = {
    argv0: "node",
    denoArgs: deno.args,
    denoVersion: { v8: core.ops.op_isopod_v8_version() },
    nodeDebug: deno.env.get("NODE_DEBUG"),
    runningOnMainThread: true,
    usesLocalNodeModulesDir: true,
  };

  const { argv0, denoArgs, denoVersion, nodeDebug } = internals.__nodeBootstrapArgs;
  internals.__bootstrapNodeProcess(argv0, denoArgs, denoVersion, nodeDebug ?? "", false, true);

  delete globalThis.__bootstrap;
  delete globalThis.Deno;
  return handlers;
})();
