// The Streams standard.
import assert from "node:assert";

const numbers = (count, options) => {
  let next = 0;
  return new ReadableStream({
    pull: (controller) => (next < count ? controller.enqueue(next++) : controller.close()),
  }, options);
};
const all = async (stream) => {
  const items = [];
  for await (const item of stream) items.push(item);
  return items;
};

export default {
  "ReadableStream: pull is called as much as is read": async () => {
    let pulls = 0;
    const stream = new ReadableStream({ pull: (c) => void c.enqueue(pulls++) }, { highWaterMark: 2 });
    const reader = stream.getReader();
    await reader.read();
    await new Promise((resolve) => setTimeout(resolve, 1));
    assert.equal(pulls, 3);
    await reader.cancel("enough");
    assert.deepEqual(await reader.read(), { value: undefined, done: true });
  },
  "ReadableStream: cancel and error reach the other side": async () => {
    let reason;
    await new ReadableStream({ cancel: (why) => void (reason = why) }).cancel("left");
    assert.equal(reason, "left");
    const broken = new ReadableStream({ start: (c) => c.error(new RangeError("broken")) });
    await assert.rejects(broken.getReader().read(), RangeError);
  },
  "ReadableStream: a reader locks, releaseLock frees": async () => {
    const stream = numbers(3);
    const reader = stream.getReader();
    assert.equal(stream.locked, true);
    assert.throws(() => stream.getReader(), TypeError);
    await reader.read();
    reader.releaseLock();
    await assert.rejects(reader.read(), TypeError);
    assert.deepEqual(await all(stream), [1, 2]);
  },
  "ReadableStream: from and asynchronous iteration": async () => {
    assert.deepEqual(await all(ReadableStream.from((async function* () { yield 1; yield 2; })())), [1, 2]);
    const stream = numbers(5);
    for await (const item of stream.values({ preventCancel: true })) if (item === 1) break;
    assert.deepEqual(await all(stream), [2, 3, 4]);
  },
  "ReadableStream: tee gives both branches everything, cancel needs both": async () => {
    let cancelled;
    const source = new ReadableStream({
      start: (c) => (c.enqueue("a"), c.enqueue("b")),
      cancel: (reasons) => void (cancelled = reasons),
    });
    const [one, two] = source.tee();
    const [first, second] = [one.getReader(), two.getReader()];
    assert.deepEqual([(await first.read()).value, (await second.read()).value], ["a", "a"]);
    const done = first.cancel(1);
    await new Promise((resolve) => setTimeout(resolve, 1));
    assert.equal(cancelled, undefined);
    await second.cancel(2);
    await done;
    assert.deepEqual(cancelled, [1, 2]);
  },
  "BYOB: a reader's buffer is filled and handed back": async () => {
    const stream = new ReadableStream({
      type: "bytes",
      pull(controller) {
        const view = controller.byobRequest.view;
        view[0] = 7;
        controller.byobRequest.respond(1);
      },
    });
    const reader = stream.getReader({ mode: "byob" });
    const buffer = new ArrayBuffer(4);
    const { value } = await reader.read(new Uint8Array(buffer, 1, 2));
    assert.deepEqual([value.length, value[0], value.byteOffset, buffer.byteLength], [1, 7, 1, 0]);
    await assert.rejects(reader.read(new Uint8Array(0)), TypeError);
  },
  "BYOB: min waits for enough, and a queue is split over views": async () => {
    const pieces = [new Uint8Array([1]), new Uint8Array([2, 3]), new Uint8Array([4, 5])];
    const stream = new ReadableStream({
      type: "bytes",
      pull: (c) => (pieces.length > 0 ? c.enqueue(pieces.shift()) : c.close()),
    });
    const reader = stream.getReader({ mode: "byob" });
    assert.deepEqual([...(await reader.read(new Uint8Array(4), { min: 3 })).value], [1, 2, 3]);
    assert.deepEqual([...(await reader.read(new Uint8Array(1))).value], [4]);
    assert.deepEqual([...(await reader.read(new Uint8Array(8))).value], [5]);
  },
  "BYOB: autoAllocateChunkSize serves default readers; tee of bytes stays bytes": async () => {
    const stream = () => new ReadableStream({
      type: "bytes",
      autoAllocateChunkSize: 8,
      pull: (c) => (c.byobRequest.view.fill(9), c.byobRequest.respond(c.byobRequest.view.byteLength)),
    });
    assert.equal((await stream().getReader().read()).value.length, 8);
    const [one, two] = stream().tee();
    const { value } = await one.getReader({ mode: "byob" }).read(new Uint8Array(3));
    assert.deepEqual([...value], [9, 9, 9]);
    assert.equal((await two.getReader().read()).value.length, 3);
  },
  "WritableStream: backpressure, order, close and abort": async () => {
    const written = [];
    let release;
    const gate = new Promise((resolve) => (release = resolve));
    const stream = new WritableStream({ write: async (chunk) => (await gate, void written.push(chunk)) }, { highWaterMark: 1 });
    const writer = stream.getWriter();
    assert.equal(writer.desiredSize, 1);
    const first = writer.write("a");
    assert.equal(writer.desiredSize, 0);
    const second = writer.write("b");
    release();
    await Promise.all([first, second, writer.close()]);
    assert.deepEqual(written, ["a", "b"]);
    let reason;
    const aborted = new WritableStream({ abort: (why) => void (reason = why) }).getWriter();
    aborted.closed.catch(() => {});
    await aborted.abort("stop");
    assert.equal(reason, "stop");
  },
  "TransformStream: transform, flush, backpressure of the readable side": async () => {
    const doubled = new TransformStream({
      transform: (chunk, c) => (c.enqueue(chunk), c.enqueue(chunk)),
      flush: (c) => c.enqueue("end"),
    });
    assert.deepEqual(await all(numbers(2).pipeThrough(doubled)), [0, 0, 1, 1, "end"]);
    const failing = new TransformStream({ transform() { throw new RangeError("no"); } });
    await assert.rejects(all(numbers(1).pipeThrough(failing)), RangeError);
  },
  "pipeTo: errors go both ways, an abort stops, prevent* keeps ends open": async () => {
    let aborted;
    const sink = () => new WritableStream({ abort: (why) => void (aborted = why.message) });
    const broken = new ReadableStream({ pull: () => { throw new Error("source"); } });
    await assert.rejects(broken.pipeTo(sink()), { message: "source" });
    assert.equal(aborted, "source");
    const endless = new ReadableStream({ pull: async (c) => (await new Promise((next) => setTimeout(next)), c.enqueue(1)) });
    const signal = AbortSignal.timeout(5);
    await assert.rejects(endless.pipeTo(sink(), { signal }), { name: "TimeoutError" });
    const open = new WritableStream();
    await numbers(2).pipeTo(open, { preventClose: true });
    await open.getWriter().close();
  },
  "queuing strategies count by item and by bytes": () => {
    assert.equal(new CountQueuingStrategy({ highWaterMark: 3 }).size(), 1);
    assert.equal(new ByteLengthQueuingStrategy({ highWaterMark: 9 }).size(new Uint8Array(5)), 5);
  },
  "transfer: a stream goes through a MessagePort": async () => {
    const { port1, port2 } = new MessageChannel();
    const arrived = new Promise((resolve) => (port2.onmessage = ({ data }) => resolve(data)));
    const stream = numbers(3);
    port1.postMessage(stream, [stream]);
    assert.deepEqual(await all(await arrived), [0, 1, 2]);
    port1.close();
  },
};
