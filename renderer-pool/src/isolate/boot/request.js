// What the ecosystem's servers put on a request: `ip`, `runtime` and `waitUntil`.
(function () {
  const { core } = __bootstrap;
  const { op_isopod_background } = core.ops;
  const { Request } = core.loadExtScript("ext:deno_fetch/23_request.js");
  const { clearTimeout, setTimeout } = globalThis;

  // So much work of finished requests goes on at a time, in an isolate.
  const MAX_PENDING = 256;
  // So long it may take, in milliseconds; a drain waits for it.
  const LIMIT_MS = 30_000;

  const clientIp = Symbol("client's address");
  const runtime = Object.freeze({ name: "isopod" });
  let pending = 0;

  // Work that outlives the response. The process drains only when it is done or late.
  function waitUntil(work) {
    if (pending >= MAX_PENDING) throw new RangeError(`waitUntil: ${MAX_PENDING} promises are pending`);
    op_isopod_background(++pending);
    let ended = false;
    const end = () => {
      if (ended) return;
      ended = true;
      clearTimeout(timer);
      op_isopod_background(--pending);
    };
    const timer = setTimeout(() => {
      console.error(`waitUntil: a promise was pending for ${LIMIT_MS} ms and is not waited for any longer`);
      end();
    }, LIMIT_MS);
    Promise.resolve(work).then(end, (error) => {
      console.error("waitUntil: a promise was rejected:", error);
      end();
    });
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
