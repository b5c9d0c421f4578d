// What the ecosystem's servers put on a request: `ip`, `runtime` and `waitUntil`.
(function () {
  const { core } = __bootstrap;
  const { op_background_begin, op_background_capacity, op_background_end, op_background_limit } = core.ops;
  const { Request } = core.loadExtScript("ext:deno_fetch/23_request.js");
  const { currentJob } = core.loadExtScript("ext:isopod/async_context.js");
  const { clearTimeout, setTimeout } = globalThis;

  const FINISHED = 0;
  const FAILED = 1;
  const TIMED_OUT = 2;

  const clientIp = Symbol("client's address");
  const runtime = Object.freeze({ name: "isopod" });
  // A line for the first promise that finds no room, and again once there was room.
  let hasRefused = false;

  // Work that outlives the response. The process drains only when it is done or late. What finds no room goes on
  // like any other promise: nobody waits for it.
  function waitUntil(work) {
    const promise = Promise.resolve(work);
    if (!op_background_begin()) return refuse(promise);
    hasRefused = false;
    const job = currentJob.get();
    if (job !== undefined) job.background++;
    let ended = false;
    const end = (outcome) => {
      if (ended) return;
      ended = true;
      clearTimeout(timer);
      if (job !== undefined) job.background--;
      op_background_end(outcome);
    };
    const limit = op_background_limit();
    const timer = setTimeout(() => {
      console.error(`waitUntil: a promise was pending for ${limit} ms and is not waited for any longer (background_timeout)`);
      end(TIMED_OUT);
    }, limit);
    promise.then(() => end(FINISHED), (error) => {
      console.error("waitUntil: a promise was rejected:", error);
      end(FAILED);
    });
  }

  function refuse(promise) {
    if (!hasRefused) {
      const most = op_background_capacity();
      console.error(`waitUntil: ${most} promises are pending, and further ones are not waited for (background_limit)`);
    }
    hasRefused = true;
    promise.then(undefined, (error) => console.error("waitUntil: a promise was rejected:", error));
  }

  function withClient(request, ip) {
    request[clientIp] = ip;
    return request;
  }

  const define = (name, get) => Object.defineProperty(Request.prototype, name, { get, configurable: true });
  define("ip", function () {
    return this[clientIp];
  });
  define("runtime", () => runtime);
  define("waitUntil", () => waitUntil);

  return { waitUntil, withClient };
})();
