// Of the DOM and HTML standards: events, AbortSignal, timers, microtasks, reportError, messages, structuredClone.
import assert from "node:assert";

const soon = (ms = 1) => new Promise((resolve) => setTimeout(resolve, ms));

export default {
  "EventTarget: order, once, capture of errors, preventDefault, signal": () => {
    const target = new EventTarget();
    const seen = [];
    const stop = new AbortController();
    target.addEventListener("x", () => seen.push("first"), { once: true });
    target.addEventListener("x", { handleEvent: (event) => (seen.push(event.type), event.preventDefault()) });
    target.addEventListener("x", () => seen.push("stopped"), { signal: stop.signal });
    stop.abort();
    assert.equal(target.dispatchEvent(new Event("x", { cancelable: true })), false);
    assert.equal(target.dispatchEvent(new CustomEvent("x", { detail: 7 })), true);
    assert.deepEqual(seen, ["first", "x", "x"]);
  },
  "AbortSignal: reasons, throwIfAborted, the event": () => {
    const controller = new AbortController();
    let events = 0;
    controller.signal.addEventListener("abort", () => events++);
    controller.signal.throwIfAborted();
    controller.abort();
    controller.abort("again");
    assert.deepEqual([controller.signal.reason.name, events], ["AbortError", 1]);
    assert.throws(() => controller.signal.throwIfAborted(), { name: "AbortError" });
    assert.equal(AbortSignal.abort(7).reason, 7);
  },
  "AbortSignal.timeout": async () => {
    const signal = AbortSignal.timeout(5);
    assert.equal(signal.aborted, false);
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    assert.equal(signal.reason.name, "TimeoutError");
  },
  "AbortSignal.any: the first wins, those that were aborted count, chains hold": async () => {
    const [one, two] = [new AbortController(), new AbortController()];
    const any = AbortSignal.any([AbortSignal.any([one.signal]), two.signal]);
    two.abort("two");
    one.abort("one");
    assert.equal(any.reason, "two");
    assert.equal(AbortSignal.any([AbortSignal.abort(1), AbortSignal.abort(2)]).reason, 1);
    assert.equal(AbortSignal.any([]).aborted, false);
    const late = AbortSignal.any([AbortSignal.timeout(5), new AbortController().signal]);
    await new Promise((resolve) => late.addEventListener("abort", resolve));
    assert.equal(late.reason.name, "TimeoutError");
  },
  "timers: order, arguments, clearing, intervals": async () => {
    const seen = [];
    setTimeout((value) => seen.push(value), 2, "later");
    setTimeout((value) => seen.push(value), 0, "sooner");
    clearTimeout(setTimeout(() => seen.push("never"), 0));
    let ticks = 0;
    await new Promise((resolve) => {
      const timer = setInterval(() => ++ticks === 3 && (clearInterval(timer), resolve()), 1);
    });
    await soon(5);
    assert.deepEqual([seen, ticks], [["sooner", "later"], 3]);
  },
  "queueMicrotask: before timers, after what runs": async () => {
    const seen = [];
    setTimeout(() => seen.push("timer"), 0);
    queueMicrotask(() => seen.push("microtask"));
    seen.push("now");
    await soon(5);
    assert.deepEqual(seen, ["now", "microtask", "timer"]);
    assert.throws(() => queueMicrotask("text"), TypeError);
  },
  "structuredClone: types, cycles, errors, transfer": () => {
    const value = { map: new Map([[1, new Set(["a"])]]), date: new Date(5), re: /x/gi, big: 7n, bytes: new Uint8Array([1, 2]), none: undefined };
    value.self = value;
    const copy = structuredClone(value);
    assert.ok(copy !== value && copy.self === copy);
    assert.deepEqual({ ...copy, self: 0 }, { ...value, self: 0 });
    const error = structuredClone(new RangeError("far", { cause: "c" }));
    assert.deepEqual([error instanceof RangeError, error.message, error.cause], [true, "far", "c"]);
    const buffer = new ArrayBuffer(8);
    assert.equal(structuredClone(buffer, { transfer: [buffer] }).byteLength, 8);
    assert.equal(buffer.byteLength, 0);
    for (const bad of [() => {}, Symbol("s"), { f() {} }]) assert.throws(() => structuredClone(bad), { name: "DataCloneError" });
  },
  "MessageChannel: order, transfer of buffers and ports, close": async () => {
    const { port1, port2 } = new MessageChannel();
    const heard = [];
    const three = new Promise((resolve) => (port2.onmessage = ({ data }) => heard.push(data) === 3 && resolve()));
    const buffer = new ArrayBuffer(4);
    const inner = new MessageChannel();
    port1.postMessage("a");
    port1.postMessage(buffer, [buffer]);
    port1.postMessage(inner.port2, [inner.port2]);
    await three;
    assert.deepEqual([heard[0], heard[1].byteLength, buffer.byteLength], ["a", 4, 0]);
    const through = new Promise((resolve) => (heard[2].onmessage = ({ data }) => resolve(data)));
    inner.port1.postMessage("through");
    assert.equal(await through, "through");
    for (const port of [port1, inner.port1]) port.close();
  },
  "BroadcastChannel: others of the name hear, the sender and the closed do not": async () => {
    const [from, to, closed, other] = ["n", "n", "n", "o"].map((name) => new BroadcastChannel(name));
    const heard = [];
    for (const channel of [from, to, closed, other]) channel.onmessage = ({ data }) => heard.push([channel === to, data]);
    closed.close();
    from.postMessage({ a: 1 });
    for (let i = 0; i < 100 && heard.length === 0; i++) await soon(5);
    assert.deepEqual(heard, [[true, { a: 1 }]]);
    for (const channel of [from, to, other]) channel.close();
    assert.throws(() => closed.postMessage(1), { name: "InvalidStateError" });
  },
  "DOMException: names, codes, instanceof": () => {
    const error = new DOMException("why", "NotFoundError");
    assert.deepEqual([error.name, error.code, error.message, error instanceof Error], ["NotFoundError", 8, "why", true]);
    assert.equal(DOMException.ABORT_ERR, 20);
  },
  "performance: now, timeOrigin, marks and measures, an observer": async () => {
    const [before, after] = [performance.now(), performance.now()];
    assert.ok(before > 0 && after >= before && Math.abs(performance.timeOrigin + after - Date.now()) < 5_000);
    const observed = new Promise((resolve) => new PerformanceObserver((list) => resolve(list.getEntries())).observe({ entryTypes: ["measure"] }));
    performance.mark("a", { startTime: 10, detail: { x: 1 } });
    performance.mark("b", { startTime: 25 });
    const measure = performance.measure("ab", "a", "b");
    assert.deepEqual([measure.startTime, measure.duration], [10, 15]);
    assert.equal(performance.getEntriesByName("a")[0].detail.x, 1);
    assert.equal((await observed)[0].name, "ab");
    performance.clearMarks();
    performance.clearMeasures();
    assert.deepEqual(performance.getEntries().filter(({ name }) => name === "a"), []);
  },
};
