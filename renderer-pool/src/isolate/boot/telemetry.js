// Stands in for Deno's telemetry: its `fetch` asks whether tracing is on, and here it never is.
(function () {
  const { internals } = __bootstrap;
  const noop = () => {};
  const notTracing = () => {
    throw new Error("tracing is not available");
  };
  const off = { TRACING_ENABLED: false, METRICS_ENABLED: false, PROPAGATORS: [] };
  internals.__telemetry = {
    ...off,
    otelState: off,
    SPAN_KEY: Symbol("span"),
    telemetry: {},
    DID_NOT_ENTER: Symbol("did not enter"),
    ContextManager: { active: noop },
    builtinTracer: notTracing,
    enterSpan: notTracing,
    exitSpan: noop,
    restoreSnapshot: noop,
  };
  return internals.__telemetry;
})();
