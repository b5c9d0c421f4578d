// Node's smaller modules.
import assert from "node:assert";
import { Console } from "node:console";
import cluster from "node:cluster";
import { createSocket } from "node:dgram";
import { channel, subscribe, unsubscribe } from "node:diagnostics_channel";
import domain from "node:domain";
import { once } from "node:events";
import inspector from "node:inspector";
import punycode from "node:punycode";
import { createInterface } from "node:readline";
import { PassThrough, Readable } from "node:stream";
import { buffer, json, text } from "node:stream/consumers";
import { ReadableStream as WebStream } from "node:stream/web";
import { createRequire } from "node:module";
import tty from "node:tty";

const require = createRequire(import.meta.url);

export default {
  "dgram: a datagram and its answer": async () => {
    const [server, client] = [createSocket("udp4"), createSocket("udp4")];
    server.on("message", (message, { port }) => server.send(`${message}!`, port, "127.0.0.1"));
    server.bind(0, "127.0.0.1");
    await once(server, "listening");
    client.send("hello", server.address().port, "127.0.0.1");
    const [answer] = await once(client, "message");
    assert.equal(String(answer), "hello!");
    server.close();
    client.close();
  },
  "inspector: nothing opens": () => {
    assert.throws(() => inspector.open(0), (error) => /ERR_ACCESS_DENIED|ERR_INSPECTOR|NOT_SUPPORTED|FEATURE/.test(error.code ?? ""));
    assert.throws(() => inspector.url(), { code: "ERR_ACCESS_DENIED" });
  },
  "diagnostics_channel: subscribers hear until they leave": () => {
    const heard = [];
    const hear = (message) => heard.push(message);
    subscribe("a", hear);
    channel("a").publish(1);
    unsubscribe("a", hear);
    channel("a").publish(2);
    assert.deepEqual([heard, channel("a").hasSubscribers], [[1], false]);
  },
  "readline: lines of a stream": async () => {
    const lines = [];
    for await (const line of createInterface({ input: Readable.from(["a\nb", "c\r\nd"]) })) lines.push(line);
    assert.deepEqual(lines, ["a", "bc", "d"]);
  },
  "stream/consumers and stream/web": async () => {
    assert.equal(await text(Readable.from(["a", "b"])), "ab");
    assert.deepEqual(await json(Readable.from(['{"a"', ":1}"])), { a: 1 });
    assert.equal((await buffer(Readable.from([Buffer.from("abc")]))).length, 3);
    assert.equal(WebStream, ReadableStream);
  },
  "console.Console writes to a stream": async () => {
    const out = new PassThrough();
    new Console(out).log("%s-%d", "a", 1);
    out.end();
    assert.equal(await text(out), "a-1\n");
  },
  "punycode, constants, sys": () => {
    assert.equal(punycode.toASCII("m\u00fcnchen.test"), "xn--mnchen-3ya.test");
    assert.equal(require("constants").O_RDONLY, 0);
    assert.equal(require("sys").format("%s", 1), "1");
  },
  "cluster, tty, domain say what is so": () => {
    assert.deepEqual([cluster.isPrimary, cluster.isWorker, tty.isatty(0)], [true, false, false]);
    assert.equal(typeof domain.create, "function");
  },
  "reportError: like an uncaught error, in a process that listens": async () => {
    const seen = [];
    const hear = (error) => seen.push(error.message);
    process.on("uncaughtException", hear);
    reportError(new Error("reported"));
    globalThis.reportError(new Error("by the global object"));
    self.reportError.call(undefined, new Error("by nothing"));
    assert.throws(() => reportError.call({}, new Error()), TypeError);
    assert.throws(() => reportError(), TypeError);
    await new Promise((resolve) => setTimeout(resolve, 1));
    process.off("uncaughtException", hear);
    assert.deepEqual(seen, ["reported", "by the global object", "by nothing"]);
  },
  "native addons: a code at the call, whatever asks": () => {
    const { writeFileSync } = require("node:fs");
    const file = require("node:path").join(require("node:os").tmpdir(), "addon.node");
    writeFileSync(file, "");
    for (const load of [() => require(file), () => process.dlopen({ exports: {} }, file)]) {
      assert.throws(load, (error) => error.code === "ERR_DLOPEN_DISABLED" && /native addon/.test(error.message));
    }
  },
};
