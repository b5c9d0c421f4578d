// The Fetch standard: Headers, Request, Response, fetch itself.
import assert from "node:assert";
import { once } from "node:events";
import { createServer } from "node:http";

async function serving(answer, use) {
  const server = createServer(answer);
  await once(server.listen(0, "127.0.0.1"), "listening");
  try {
    return await use(`http://127.0.0.1:${server.address().port}`);
  } finally {
    server.closeAllConnections?.();
    server.close();
  }
}

const rejects = (promise, name) => assert.rejects(promise, (error) => error.name === name || assert.fail(String(error)));

export default {
  "Headers: names fold, values are trimmed and joined, iteration is sorted": () => {
    const headers = new Headers([["B", " 1 "], ["a", "2"], ["b", "3"]]);
    assert.deepEqual([...headers], [["a", "2"], ["b", "1, 3"]]);
    assert.equal(headers.get("A"), "2");
    assert.equal(headers.get("none"), null);
    headers.delete("B");
    assert.equal(headers.has("b"), false);
  },
  "Headers: Set-Cookie stays several": () => {
    const headers = new Headers();
    headers.append("set-cookie", "a=1");
    headers.append("set-cookie", "b=2");
    assert.deepEqual(headers.getSetCookie(), ["a=1", "b=2"]);
    assert.deepEqual([...headers], [["set-cookie", "a=1"], ["set-cookie", "b=2"]]);
  },
  "Headers: what no field may hold is a TypeError": () => {
    for (const [name, value] of [["", "x"], ["a b", "x"], ["a", "x\ny"], ["a", "\u{100}"]]) {
      assert.throws(() => new Headers([[name, value]]), TypeError);
    }
  },
  "Request: method, headers and body of another request, and what init replaces": async () => {
    const first = new Request("http://a.test/x?y#z", { method: "post", body: "text", headers: { a: "1" } });
    assert.equal(first.method, "POST");
    assert.equal(first.url, "http://a.test/x?y#z");
    const second = new Request(first, { headers: { b: "2" } });
    assert.equal(second.headers.get("a"), null);
    assert.equal(await second.text(), "text");
    assert.equal(first.bodyUsed, true);
  },
  "Request: GET takes no body, a URL must be absolute": () => {
    assert.throws(() => new Request("http://a.test/", { body: "x" }), TypeError);
    assert.throws(() => new Request("relative"), TypeError);
  },
  "Request: forbidden methods are TypeErrors": () => {
    for (const method of ["TRACE", "CONNECT", "a b"]) {
      assert.throws(() => new Request("http://a.test/", { method }), TypeError, method);
    }
  },
  "Request: a URL with credentials is a TypeError": () => {
    assert.throws(() => new Request("http://u:p@a.test/"), TypeError);
  },
  "Request: clone reads both bodies": async () => {
    const request = new Request("http://a.test/", { method: "POST", body: "twice" });
    const copy = request.clone();
    assert.deepEqual([await request.text(), await copy.text()], ["twice", "twice"]);
  },
  "Response: json, redirect, error": async () => {
    const json = Response.json({ a: 1 }, { status: 201, headers: { x: "y" } });
    assert.deepEqual([json.status, json.headers.get("content-type"), await json.text()], [201, "application/json", '{"a":1}']);
    const redirect = Response.redirect("http://a.test/b", 307);
    assert.deepEqual([redirect.status, redirect.headers.get("location")], [307, "http://a.test/b"]);
    assert.deepEqual([Response.error().type, Response.error().status], ["error", 0]);
    assert.throws(() => Response.redirect("http://a.test/", 200), RangeError);
  },
  "Response: statuses out of range and bodies that may not be": () => {
    assert.throws(() => new Response("", { status: 199 }), RangeError);
    assert.throws(() => new Response("", { status: 600 }), RangeError);
    for (const status of [204, 205, 304]) assert.throws(() => new Response("x", { status }), TypeError);
    assert.equal(new Response(null, { status: 204 }).body, null);
  },
  "Body: each reader, once": async () => {
    const body = () => new Response('{"a":"\u00e9"}');
    assert.equal(await body().text(), '{"a":"\u00e9"}');
    assert.deepEqual(await body().json(), { a: "\u00e9" });
    assert.equal((await body().arrayBuffer()).byteLength, 10);
    assert.equal((await body().bytes()).length, 10);
    assert.equal((await body().blob()).size, 10);
    const used = body();
    await used.text();
    assert.equal(used.bodyUsed, true);
    await rejects(used.text(), "TypeError");
    await rejects(new Response("{").json(), "SyntaxError");
  },
  "Body: content types of what it was made from": () => {
    const type = (body) => new Response(body).headers.get("content-type");
    assert.equal(type("x"), "text/plain;charset=UTF-8");
    assert.equal(type(new URLSearchParams("a=1")), "application/x-www-form-urlencoded;charset=UTF-8");
    assert.equal(type(new Blob(["x"], { type: "text/css" })), "text/css");
    assert.match(type(new FormData()), /^multipart\/form-data; ?boundary=/);
    assert.equal(type(new Uint8Array(1)), null);
  },
  "Body: a stream of strings is a TypeError when it is read": async () => {
    const stream = new ReadableStream({ start: (c) => (c.enqueue("text"), c.close()) });
    await rejects(new Response(stream).text(), "TypeError");
  },
  "Body: forms are parsed": async () => {
    const form = new FormData();
    form.append("a", "1");
    form.append("f", new File(["content"], "f.txt", { type: "text/plain" }));
    const read = await new Response(form).formData();
    assert.equal(read.get("a"), "1");
    assert.deepEqual([read.get("f").name, read.get("f").type, await read.get("f").text()], ["f.txt", "text/plain", "content"]);
    const urlencoded = await new Response(new URLSearchParams("a=1&a=2+3")).formData();
    assert.deepEqual(urlencoded.getAll("a"), ["1", "2 3"]);
    await rejects(new Response("x", { headers: { "content-type": "text/plain" } }).formData(), "TypeError");
  },
  "fetch: method, headers and body arrive": () =>
    serving(async (request, response) => {
      let body = "";
      for await (const chunk of request) body += chunk;
      response.setHeader("x-seen", `${request.method} ${request.headers["x-a"]} ${body}`);
      response.end("answer");
    }, async (origin) => {
      const response = await fetch(`${origin}/p`, { method: "PUT", headers: { "x-a": "1" }, body: "sent" });
      assert.deepEqual(
        [response.ok, response.url, response.headers.get("x-seen"), await response.text()],
        [true, `${origin}/p`, "PUT 1 sent", "answer"],
      );
    }),
  "fetch: an upload streams": () =>
    serving((request, response) => request.pipe(response), async (origin) => {
      const body = ReadableStream.from(["a", "b"].map((text) => new TextEncoder().encode(text)));
      const response = await fetch(origin, { method: "POST", body, duplex: "half" });
      assert.equal(await response.text(), "ab");
    }),
  "Request: a stream without `duplex` is a TypeError": () => {
    assert.throws(() => new Request("http://a.test/", { method: "POST", body: new ReadableStream() }), TypeError);
  },
  "fetch: redirects are followed, refused or handed out": () =>
    serving((request, response) => {
      if (request.url === "/end") return response.end(request.method);
      response.writeHead(302, { location: "/end" }).end();
    }, async (origin) => {
      const followed = await fetch(origin, { method: "POST", body: "x" });
      assert.deepEqual([followed.redirected, followed.url, await followed.text()], [true, `${origin}/end`, "GET"]);
      await rejects(fetch(origin, { redirect: "error" }), "TypeError");
      const manual = await fetch(origin, { redirect: "manual" });
      assert.equal(manual.status, 302);
      await manual.body?.cancel();
    }),
  "fetch: compressed answers are decoded": async () => {
    const { brotliCompressSync, gzipSync } = await import("node:zlib");
    const codecs = { gzip: gzipSync, br: brotliCompressSync };
    await serving((request, response) => {
      const codec = request.url.slice(1);
      response.setHeader("content-encoding", codec);
      response.end(codecs[codec]("plain text"));
    }, async (origin) => {
      for (const codec of Object.keys(codecs)) assert.equal(await (await fetch(`${origin}/${codec}`)).text(), "plain text");
    });
  },
  "fetch: an abort ends the request and the reading of its answer": () =>
    serving((request, response) => {
      if (request.url === "/body") response.write("begun");
    }, async (origin) => {
      const before = new AbortController();
      before.abort(new Error("mine"));
      await assert.rejects(fetch(origin, { signal: before.signal }), { message: "mine" });
      await rejects(fetch(origin, { signal: AbortSignal.timeout(20) }), "TimeoutError");
      const during = new AbortController();
      const response = await fetch(`${origin}/body`, { signal: during.signal });
      const reading = response.text();
      during.abort();
      await rejects(reading, "AbortError");
    }),
  "fetch: a connection that is refused is a TypeError": async () => {
    const port = await serving(() => {}, (origin) => new URL(origin).port);
    await rejects(fetch(`http://127.0.0.1:${port}/`), "TypeError");
    await rejects(fetch("ftp://a.test/"), "TypeError");
  },
  "fetch: data: and blob: URLs": async () => {
    const data = await fetch("data:text/plain;charset=utf-8,a%20b");
    assert.deepEqual([data.headers.get("content-type"), await data.text()], ["text/plain;charset=utf-8", "a b"]);
    const url = URL.createObjectURL(new Blob(["in memory"], { type: "text/x" }));
    const blob = await fetch(url);
    assert.deepEqual([blob.headers.get("content-type"), await blob.text()], ["text/x", "in memory"]);
    URL.revokeObjectURL(url);
    await rejects(fetch(url), "TypeError");
  },
  "fetch: an answer that streams is read as it comes, as an EventSource would": () =>
    serving(async (request, response) => {
      response.setHeader("content-type", "text/event-stream");
      for (let i = 0; i < 3; i++) {
        response.write(`id: ${i}\ndata: tick ${i}\n\n`);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      response.end();
    }, async (origin) => {
      const response = await fetch(origin);
      const events = [];
      for await (const text of response.body.pipeThrough(new TextDecoderStream())) events.push(text);
      assert.ok(events.length >= 2, `${events.length} pieces`);
      assert.equal(events.join(""), [0, 1, 2].map((i) => `id: ${i}\ndata: tick ${i}\n\n`).join(""));
    }),
};
