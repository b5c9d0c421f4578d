// Completes the global scope when an isolate starts: what differs between starts, and what a snapshot cannot hold.
(function () {
  const { core } = __bootstrap;
  const { op_env } = core.ops;
  const { createConsole } = core.loadExtScript("ext:isopod/console.js");
  const { handlers, callNative, currentJobKey } = core.loadExtScript("ext:isopod/jobs.js");

  const define = (name, value, enumerable = true) =>
    Object.defineProperty(globalThis, name, { value, writable: true, enumerable, configurable: true });

  define("console", createConsole(currentJobKey));
  // The part of Node's `process` that bundles for web-standard servers read.
  define("process", {
    env: op_env(),
    nextTick: (callback, ...args) => queueMicrotask(() => callback(...args)),
  }, false);
  define(Symbol.for("isopod.host"), Object.freeze({ callNative }), false);

  delete globalThis.__bootstrap;
  delete globalThis.Deno;
  return handlers;
})();
