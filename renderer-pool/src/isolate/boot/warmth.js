// What answering a page calls, called once while the snapshot is made: the snapshot then has these functions compiled,
// and an isolate that starts need not.
//
// No timers and no immediates: Deno remembers when the next one is due, also when it is cleared, and an isolate would
// inherit a time of another clock.
(function () {
  const { core } = __bootstrap;
  const { AsyncLocalStorage } = core.loadExtScript("ext:deno_node/async_hooks.ts");
  const { setMaxListeners } = core.loadExtScript("ext:deno_node/_events.mjs");
  const {
    AbortController,
    Buffer,
    Headers,
    ReadableStream,
    Request,
    Response,
    TextDecoder,
    TextEncoder,
    URL,
    navigator,
  } = globalThis;
  const leaves = () => {};

  function text(bytes) {
    const encoder = new TextEncoder();
    encoder.encodeInto("page", new Uint8Array(16));
    return new TextDecoder().decode(bytes ?? encoder.encode("page"));
  }

  async function drain(response) {
    const reader = response.body.getReader();
    while (!(await reader.read()).done);
    reader.releaseLock();
  }

  function page(type) {
    return new ReadableStream({
      type,
      start(controller) {
        controller.enqueue(new TextEncoder().encode("page"));
      },
      pull(controller) {
        controller.close();
        controller.byobRequest?.respond(0);
      },
    });
  }

  // The reader waits before there is a piece.
  async function waitedFor(type) {
    let controller;
    const stream = new ReadableStream({ type, start: (own) => void (controller = own) });
    const reader = stream.getReader();
    const read = reader.read();
    controller.enqueue(new TextEncoder().encode("page"));
    await read;
    controller.close();
    await reader.read();
    reader.releaseLock();
  }

  function parts(url) {
    const { hash, host, hostname, href, origin, pathname, port, protocol, search, searchParams } = url;
    return [hash, host, hostname, href, origin, pathname, port, protocol, search, searchParams.size].join();
  }

  function keepOver(value) {
    const storage = new AsyncLocalStorage();
    return storage.run(value, () => storage.getStore());
  }

  return async function () {
    keepOver("page");
    Buffer.byteLength("page");
    navigator.userAgent;
    parts(new URL("/page?a=b#c", "http://localhost:3000/"));
    const headers = new Headers({ accept: "text/html" });
    headers.append("set-cookie", "a=b");
    headers.set("accept", headers.get("accept"));
    [...headers];
    const request = new Request("http://localhost/page?a=b", { headers });
    const url = new URL(request.url);
    url.searchParams.get("a");
    String(url.searchParams) + url.href + url.pathname;
    request.method + request.url + request.headers.get("accept");
    setMaxListeners(20, request.signal);
    request.signal.addEventListener("abort", leaves, { once: true });
    request.signal.removeEventListener("abort", leaves);
    request.signal.throwIfAborted();
    const controller = new AbortController();
    controller.signal.addEventListener("abort", leaves);
    controller.abort();
    controller.signal.reason;
    text();
    await waitedFor("bytes");
    await waitedFor(undefined);
    await drain(new Response(page("bytes"), { status: 200, headers: { "content-type": "text/html" } }));
    await drain(new Response(page(undefined), { headers }));
    const response = new Response("page");
    response.status + response.headers.get("content-type");
    await response.text();
  };
})();
