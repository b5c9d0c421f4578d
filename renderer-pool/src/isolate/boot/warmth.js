// What answering a page calls, called once while the snapshot is made: the snapshot then has these functions compiled,
// and an isolate that starts need not.
(function () {
  const { AbortController, Headers, ReadableStream, Request, Response, TextDecoder, TextEncoder, URL } = globalThis;

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

  return async function () {
    const headers = new Headers({ accept: "text/html" });
    headers.append("set-cookie", "a=b");
    headers.set("accept", headers.get("accept"));
    [...headers];
    const request = new Request("http://localhost/page?a=b", { headers });
    const url = new URL(request.url);
    url.searchParams.get("a");
    String(url.searchParams) + url.href + url.pathname;
    const leaves = () => {};
    request.signal.addEventListener("abort", leaves, { once: true });
    request.signal.removeEventListener("abort", leaves);
    request.signal.throwIfAborted();
    const controller = new AbortController();
    controller.signal.addEventListener("abort", leaves);
    controller.abort();
    text();
    await drain(new Response(page("bytes"), { status: 200, headers: { "content-type": "text/html" } }));
    await drain(new Response(page(undefined), { headers }));
    await new Response("page").text();
  };
})();
