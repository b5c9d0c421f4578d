// The other half of the stand-in for Deno's telemetry: spans never exist, so nothing updates them.
(function () {
  const { internals } = __bootstrap;
  const noop = () => {};
  internals.__telemetryUtil = {
    updateSpanFromClientResponse: noop,
    updateSpanFromError: noop,
    updateSpanFromRequest: noop,
  };
  return internals.__telemetryUtil;
})();
