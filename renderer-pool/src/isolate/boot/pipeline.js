// The render pipeline that a bundle may export; `src/pipeline/host.ts` of `@isopod/app` is the other side.
(function () {
  const PIPELINE = Symbol.for("isopod.pipeline");
  const OUTCOME = Symbol.for("isopod.outcome");
  const VERSION = 1;

  let control;

  // Says what is wrong with the pipeline of a default export, or nothing. Most have none.
  function adopt(app) {
    control = app[PIPELINE];
    if (control === undefined || control.version === VERSION) return "";
    return `its render pipeline speaks version ${control.version}, this server ${VERSION}: ` +
      "@isopod/app and the gateway must be of one release";
  }

  // How the app wants a request to end that it does not answer: "skip", "cancel", or undefined.
  function outcomeOf(response) {
    return control === undefined ? undefined : response[OUTCOME];
  }

  // Calls `onServerCreated`; a rejection means that the app cannot run.
  async function createPipeline(limits) {
    const { hook_timeout_ms, max_metrics, max_series } = JSON.parse(limits);
    await control?.create({ hookTimeoutMs: hook_timeout_ms, maxMetrics: max_metrics, maxSeries: max_series });
  }

  // Calls `onServerStarted`.
  function serving(info) {
    control?.started(JSON.parse(info));
  }

  // The app's metrics as JSON, or "" when they have not changed.
  function takeMetrics() {
    const metrics = control?.takeMetrics();
    return metrics === null || metrics === undefined ? "" : JSON.stringify(metrics);
  }

  return { adopt, outcomeOf, handlers: { createPipeline, serving, takeMetrics } };
})();
