// In development: tells of requests whose code goes on after their response, by a promise that nobody waits for. Such
// work is lost when the process is replaced; `waitUntil` is what keeps it.
(function () {
  const { core } = __bootstrap;
  const { currentJob } = core.loadExtScript("ext:isopod/async_context.js");
  const { performance } = globalThis;

  // Streams and routers tidy up behind a response, in milliseconds.
  const GRACE_MS = 50;
  // A route is reported once, and so many routes at most.
  const MAX_ROUTES = 1000;

  // `report` is called with a line for each route. V8 tells that a promise goes on before any of its code runs, so that
  // the place is taken from the stack when that code makes or settles a promise: at its next `await`, or its end.
  function watch(report) {
    const reported = new Set();
    let late = "";

    const before = () => {
      const job = currentJob.get();
      if (job === undefined || job.endedAt === 0 || job.background > 0) return;
      if (performance.now() - job.endedAt < GRACE_MS) return;
      const { method, url } = job.request;
      const route = `${method} ${new URL(url).pathname}`;
      if (reported.size >= MAX_ROUTES || reported.has(route)) return;
      reported.add(route);
      late = route;
    };
    const tell = (stack) => {
      const route = late;
      late = "";
      report(
        `${route}: its code went on after its response was complete, in a promise that nobody waits for. ` +
          "Hand such work to request.waitUntil(promise), or it is lost when the process is replaced." + stack,
      );
    };
    const settle = () => {
      if (late === "") return;
      const stack = ownFrames();
      if (stack !== "") tell(stack);
    };
    const after = () => {
      if (late !== "") tell("");
    };
    core.setPromiseHooks(settle, before, after, settle);
  }

  // The frames of the app, nothing of the host's scripts.
  function ownFrames() {
    const frames = String(new Error().stack).split("\n").slice(1);
    return frames.filter((frame) => !/\b(?:ext|isopod|node):/.test(frame)).map((frame) => `\n${frame}`).join("");
  }

  return { watch };
})();
