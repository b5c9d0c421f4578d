// Defines the Web's global scope. Runs while the start-up snapshot is made.
//
// What a render uses is defined at once, so that the snapshot holds it evaluated; what few pages touch, or what
// cannot be part of a snapshot (objects with a native side), is loaded when it is first read.
//
// Node's modules that nearly every bundle uses are in the snapshot too. They are imported here, not loaded lazily:
// deno_core keeps the text of a lazy module in the snapshot only if it was reached by an `import`.
import "ext:isopod/deno.js";
import { core, internals } from "ext:core/mod.js";
import "node:async_hooks";
import { Buffer } from "node:buffer";
import process from "node:process";
import {
  clearImmediate,
  clearInterval,
  clearTimeout,
  setImmediate,
  setInterval,
  setTimeout,
} from "node:timers";

core.loadExtScript("ext:isopod/errors.js");
// What `node:process` loads when an isolate starts.
core.loadExtScript("ext:deno_node/internal/console/constructor.mjs");
core.loadExtScript("ext:deno_node/internal_binding/stream_wrap.ts");

const { loadExtScript, propNonEnumerable, propWritable } = core;

const web = (file) => loadExtScript(`ext:deno_web/${file}.js`);
const fetching = (file) => loadExtScript(`ext:deno_fetch/${file}.js`);

const events = web("02_event");
const streams = web("06_streams");
const encoding = web("08_text_encoding");
const url = web("00_url");
const exceptions = web("01_dom_exception");
const aborting = web("03_abort_signal");
const files = web("09_file");
const base64 = web("05_base64");
const ports = web("13_message_port");
const headers = fetching("20_headers");
const forms = fetching("21_formdata");
const requests = fetching("23_request");
const responses = fetching("23_response");

const interfaces = {
  AbortController: aborting.AbortController,
  AbortSignal: aborting.AbortSignal,
  Blob: files.Blob,
  ByteLengthQueuingStrategy: streams.ByteLengthQueuingStrategy,
  CloseEvent: events.CloseEvent,
  CountQueuingStrategy: streams.CountQueuingStrategy,
  CustomEvent: events.CustomEvent,
  DOMException: exceptions.DOMException,
  ErrorEvent: events.ErrorEvent,
  Event: events.Event,
  EventTarget: events.EventTarget,
  File: files.File,
  FormData: forms.FormData,
  Headers: headers.Headers,
  MessageChannel: ports.MessageChannel,
  MessageEvent: events.MessageEvent,
  MessagePort: ports.MessagePort,
  ProgressEvent: events.ProgressEvent,
  PromiseRejectionEvent: events.PromiseRejectionEvent,
  QuotaExceededError: exceptions.QuotaExceededError,
  ReadableByteStreamController: streams.ReadableByteStreamController,
  ReadableStream: streams.ReadableStream,
  ReadableStreamBYOBReader: streams.ReadableStreamBYOBReader,
  ReadableStreamBYOBRequest: streams.ReadableStreamBYOBRequest,
  ReadableStreamDefaultController: streams.ReadableStreamDefaultController,
  ReadableStreamDefaultReader: streams.ReadableStreamDefaultReader,
  Request: requests.Request,
  Response: responses.Response,
  TextDecoder: encoding.TextDecoder,
  TextDecoderStream: encoding.TextDecoderStream,
  TextEncoder: encoding.TextEncoder,
  TextEncoderStream: encoding.TextEncoderStream,
  TransformStream: streams.TransformStream,
  TransformStreamDefaultController: streams.TransformStreamDefaultController,
  URL: url.URL,
  URLSearchParams: url.URLSearchParams,
  WritableStream: streams.WritableStream,
  WritableStreamDefaultController: streams.WritableStreamDefaultController,
  WritableStreamDefaultWriter: streams.WritableStreamDefaultWriter,
};

// What it reports goes to listeners of our own, see `uncaught.js`, which Deno's takes for the global object.
function reportError(error) {
  if (this !== undefined && this !== null && this !== globalThis) throw new TypeError("Illegal invocation");
  const report = events.reportError;
  if (arguments.length === 0) report();
  report(error);
}

const functions = {
  Buffer,
  atob: base64.atob,
  btoa: base64.btoa,
  clearImmediate,
  clearInterval,
  clearTimeout,
  global: globalThis,
  process,
  reportError,
  setImmediate,
  setInterval,
  setTimeout,
  structuredClone: ports.structuredClone,
};

// name -> [script, key of its exports]
const lazyInterfaces = {
  BroadcastChannel: ["ext:deno_web/01_broadcast_channel.js", "BroadcastChannel"],
  CompressionStream: ["ext:deno_web/14_compression.js", "CompressionStream"],
  Crypto: ["ext:deno_crypto/00_crypto.js", "Crypto"],
  CryptoKey: ["ext:deno_crypto/00_crypto.js", "CryptoKey"],
  DecompressionStream: ["ext:deno_web/14_compression.js", "DecompressionStream"],
  EventSource: ["ext:deno_fetch/27_eventsource.js", "EventSource"],
  Performance: ["ext:deno_web/15_performance.js", "Performance"],
  PerformanceEntry: ["ext:deno_web/15_performance.js", "PerformanceEntry"],
  PerformanceMark: ["ext:deno_web/15_performance.js", "PerformanceMark"],
  PerformanceMeasure: ["ext:deno_web/15_performance.js", "PerformanceMeasure"],
  PerformanceObserver: ["ext:deno_web/15_performance.js", "PerformanceObserver"],
  PerformanceObserverEntryList: ["ext:deno_web/15_performance.js", "PerformanceObserverEntryList"],
  SubtleCrypto: ["ext:deno_crypto/00_crypto.js", "SubtleCrypto"],
  URLPattern: ["ext:deno_web/01_urlpattern.js", "URLPattern"],
};

const lazyValues = {
  crypto: ["ext:deno_crypto/00_crypto.js", "crypto"],
  fetch: ["ext:isopod/fetch.js", "fetch"],
  performance: ["ext:deno_web/15_performance.js", "performance"],
};

for (const [name, value] of Object.entries(interfaces)) {
  Object.defineProperty(globalThis, name, propNonEnumerable(value));
}
for (const [name, value] of Object.entries(functions)) {
  Object.defineProperty(globalThis, name, propWritable(value));
}

// A property that becomes a plain one when it is first read or written (Web IDL, section 3.7.3: writable).
function defineLazy(name, enumerable, load) {
  const settle = (value) =>
    Object.defineProperty(globalThis, name, { value, writable: true, enumerable, configurable: true });
  Object.defineProperty(globalThis, name, {
    get() {
      const value = load();
      settle(value);
      return value;
    },
    set: settle,
    enumerable,
    configurable: true,
  });
}
for (const [name, [script, key]] of Object.entries(lazyInterfaces)) {
  defineLazy(name, false, () => loadExtScript(script)[key]);
}
for (const [name, [script, key]] of Object.entries(lazyValues)) {
  defineLazy(name, true, () => loadExtScript(script)[key]);
}
Object.defineProperty(globalThis, "self", propWritable(globalThis));

class Navigator {
  get userAgent() {
    return "Isopod";
  }
  get language() {
    return "en-US";
  }
  get languages() {
    return ["en-US"];
  }
  get hardwareConcurrency() {
    return 1;
  }
}
Object.defineProperty(Navigator.prototype, Symbol.toStringTag, { value: "Navigator", configurable: true });
Object.defineProperty(globalThis, "Navigator", propNonEnumerable(Navigator));
Object.defineProperty(globalThis, "navigator", propWritable(new Navigator()));

events.setEventTargetData(globalThis);
events.saveGlobalThisReference(globalThis);

// Called once, so that the snapshot has them compiled.
for (const take of internals.freshOps) take();
loadExtScript("ext:isopod/warmth.js")().then(
  () => void (internals.warmth = "done"),
  (error) => void (internals.warmth = `${error}`),
);
