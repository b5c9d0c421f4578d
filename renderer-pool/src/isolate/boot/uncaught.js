// What nobody caught goes to the app's own listeners first: `process.on("uncaughtException")` and
// `process.on("unhandledRejection")`.
(function () {
  const { core, internals } = __bootstrap;
  const { ErrorEvent, EventTarget, PromiseRejectionEvent, saveGlobalThisReference } = core.loadExtScript(
    "ext:deno_web/02_event.js",
  );

  // `node:process` listens here while the app listens there; the build script says so in its source.
  internals.uncaught = new EventTarget();
  // So is what `reportError` is given, and what a listener of an event throws.
  saveGlobalThisReference(internals.uncaught);

  function exceptionTaken(error) {
    const event = new ErrorEvent("error", { error, cancelable: true });
    internals.uncaught.dispatchEvent(event);
    return event.defaultPrevented;
  }

  function rejectionTaken(promise, reason) {
    const listener = internals.nodeProcessUnhandledRejectionCallback;
    if (listener === undefined) return false;
    const event = new PromiseRejectionEvent("unhandledrejection", { promise, reason, cancelable: true });
    listener(event);
    return event.defaultPrevented;
  }

  return { exceptionTaken, rejectionTaken };
})();
