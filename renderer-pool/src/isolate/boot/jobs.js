// Answers jobs with the app's handler. Evaluated when an isolate starts, not in the snapshot, so that its ops are
// the fast ones.
//
// Rust calls `start`, `body`, `bodyEnd`, `bodyFailed`, `abort`, `cancel`, `writable` and the handlers of
// `native_calls.js`; each returns at once, what takes longer goes on in promises. `key` names a job in both languages.
(function () {
  const { core } = __bootstrap;
  const {
    op_job_consumed,
    op_job_decline,
    op_job_early_hints,
    op_job_end,
    op_job_fail,
    op_job_head,
    op_job_write,
    op_job_write_text,
    op_log,
  } = core.ops;
  const { setAsyncContext } = core;
  const { DOMException } = core.loadExtScript("ext:deno_web/01_dom_exception.js");
  const { signalAbort } = core.loadExtScript("ext:deno_web/03_abort_signal.js");
  const { ReadableStream } = core.loadExtScript("ext:deno_web/06_streams.js");
  const { InnerBody } = core.loadExtScript("ext:deno_fetch/22_body.js");
  const { fromInnerRequest, newInnerRequest } = core.loadExtScript("ext:deno_fetch/23_request.js");
  const { Response, toInnerResponse, wireHeaderList } = core.loadExtScript("ext:deno_fetch/23_response.js");
  const { currentJob } = core.loadExtScript("ext:isopod/async_context.js");
  const nativeCalls = core.loadExtScript("ext:isopod/native_calls.js");
  const pipeline = core.loadExtScript("ext:isopod/pipeline.js");
  const { waitUntil, withClient } = core.loadExtScript("ext:isopod/request.js");
  const { exceptionTaken, rejectionTaken } = core.loadExtScript("ext:isopod/uncaught.js");

  const LEVEL_WARN = 2;
  const LEVEL_ERROR = 3;
  const NO_JOB = 0;
  const CANCEL_TIMEOUT = 2;
  // A request head's flags.
  const HAS_BODY = 1;
  const EARLY_HINTS = 4;
  const RESPONSE_LINK_HEADER = 8;
  // An app can tell the warming request from a visitor's.
  const WARMING_FIELDS = "accept\ntext/html\nx-isopod-warmup\n1";
  // So much of a page is read for warmth, in bytes.
  const WARMING_BYTES = 4 << 20;

  const jobs = new Map();
  const { abandon, callNative, handlers: replyHandlers } = nativeCalls.create(jobs, headerPairs);
  const isDevelopment = core.loadExtScript("ext:isopod/environment.js").get("NODE_ENV") === "development";
  let handler;

  class Job {
    constructor(key, url, request, upload, isHead) {
      // The watchdog reads these two off the async context, also when the job is over.
      this.key = key;
      this.url = url;
      this.request = request;
      this.upload = upload;
      this.isHead = isHead;
      this.reader = null;
      this.resume = null;
      this.calls = null;
      this.fields = null;
      this.lastCall = 0;
      // Promises of `waitUntil` that are pending.
      this.background = 0;
      // Filled in development only.
      this.endedAt = 0;
    }
  }

  // The request's body: filled from the gateway under the window that `op_job_consumed` gives back.
  class Upload {
    constructor(key) {
      this.key = key;
      this.chunks = [];
      this.ended = false;
      this.error = null;
      this.waiting = null;
      this.controller = null;
    }

    stream() {
      return new ReadableStream({
        type: "bytes",
        start: (controller) => {
          this.controller = controller;
        },
        pull: () => this.pull(),
        cancel: () => this.discard(),
      }, { highWaterMark: 0 });
    }

    pull() {
      if (this.chunks.length > 0) {
        this.deliver(this.chunks.shift());
      } else if (this.error !== null) {
        this.controller.error(this.error);
      } else if (this.ended) {
        this.close();
      } else {
        return new Promise((resolve) => this.waiting = resolve);
      }
    }

    deliver(chunk) {
      const length = chunk.byteLength;
      this.controller.enqueue(chunk);
      op_job_consumed(this.key, length);
    }

    close() {
      this.controller.close();
      this.controller.byobRequest?.respond(0);
    }

    discard() {
      for (const chunk of this.chunks) op_job_consumed(this.key, chunk.byteLength);
      this.chunks = [];
      this.discarded = true;
    }

    arrive(chunk) {
      if (this.discarded) {
        op_job_consumed(this.key, chunk.byteLength);
      } else {
        this.chunks.push(chunk);
        this.wake();
      }
    }

    wake() {
      const waiting = this.waiting;
      if (waiting === null) return;
      this.waiting = null;
      this.pull();
      waiting();
    }

    finish() {
      this.ended = true;
      this.wake();
    }

    fail(error) {
      if (this.ended || this.discarded) return;
      this.error = error;
      this.chunks = [];
      this.wake();
    }
  }

  // Headers travel as one string, name and value by turns between line feeds: neither may contain one (RFC 9110,
  // section 5.5).
  function headerPairs(raw) {
    if (raw === "") return [];
    const fields = raw.split("\n");
    const pairs = new Array(fields.length / 2);
    for (let i = 0; i < pairs.length; i++) pairs[i] = [fields[2 * i], fields[2 * i + 1]];
    return pairs;
  }

  function rawHeaders(pairs) {
    let raw = "";
    for (let i = 0; i < pairs.length; i++) {
      if (i > 0) raw += "\n";
      raw += pairs[i][0] + "\n" + pairs[i][1];
    }
    return raw;
  }

  function newRequest(method, url, rawFields, body) {
    return fromInnerRequest(newInnerRequest(method, url, () => headerPairs(rawFields), body, false), "immutable");
  }

  function start(key, method, url, rawFields, flags, clientIp, context) {
    const upload = (flags & HAS_BODY) !== 0 ? new Upload(key) : null;
    const body = upload === null ? null : new InnerBody(upload.stream());
    const request = withClient(newRequest(method, url, rawFields, body), clientIp);
    const job = new Job(key, url, request, upload, method === "HEAD");
    jobs.set(key, job);
    currentJob.enter(job);
    answer(job, flags, context);
    setAsyncContext(undefined);
  }

  // What the handler is given beside the request: `opts` of TanStack Start's handler, and `waitUntil`.
  function handlerOptions(key, flags, context) {
    const opts = { waitUntil };
    if (context !== undefined) opts.context = JSON.parse(context);
    if ((flags & EARLY_HINTS) !== 0) opts.onEarlyHints = (event) => reportEarlyHints(key, event);
    if ((flags & RESPONSE_LINK_HEADER) !== 0) opts.responseLinkHeader = true;
    return opts;
  }

  // `links` are those that no event before had. A static phase without any says nothing; a dynamic one says that
  // no more follow.
  function reportEarlyHints(key, { phase, links }) {
    op_job_early_hints(key, phase === "dynamic", links.join("\n"));
  }

  async function answer(job, flags, context) {
    try {
      await respond(job, await handler(job.request, handlerOptions(job.key, flags, context)));
    } catch (error) {
      fail(job, error);
    }
  }

  async function respond(job, response) {
    const inner = responseParts(response);
    if (!jobs.has(job.key)) {
      inner.body?.cancel(abortReason(job));
      return;
    }
    const outcome = pipeline.outcomeOf(response);
    if (outcome !== undefined) return decline(job, outcome);
    const own = wireHeaderList(inner);
    op_job_head(job.key, inner.status, rawHeaders(job.fields === null ? own : withFields(own, job.fields)));
    const body = inner.body;
    if (body === null) return end(job);
    if (job.isHead) {
      body.cancel();
      return end(job);
    }
    const source = body.streamOrStatic;
    if (typeof source.getReader === "function") return sendStream(job, body.stream);
    const content = body.consume();
    const free = typeof content === "string" ? op_job_write_text(job.key, content) : op_job_write(job.key, content);
    if (!free) await roomToWrite(job);
    end(job);
  }

  // Cookies are added, other fields only where the response has none of their name.
  function withFields(own, added) {
    const names = new Set(own.map(([name]) => name.toLowerCase()));
    return [...own, ...added.filter(([name]) => name === "set-cookie" || !names.has(name))];
  }

  function responseParts(response) {
    const inner = response !== null && typeof response === "object" ? toInnerResponse(response) : undefined;
    if (inner === undefined) {
      throw new TypeError(`fetch(request) must return a Response, it returned ${describe(response)}`);
    }
    if (inner.type === "error" || inner.status < 200) {
      throw new TypeError(`a response with the status ${inner.status} cannot be sent`);
    }
    if (inner.body?.unusable()) {
      throw new TypeError("the response's body has been read already");
    }
    return inner;
  }

  function describe(value) {
    return value === null ? "null" : typeof value === "object" ? `a ${value.constructor?.name ?? "object"}` : typeof value;
  }

  async function sendStream(job, stream) {
    const reader = stream.getReader();
    job.reader = reader;
    for (;;) {
      const { done, value } = await reader.read();
      if (!jobs.has(job.key)) return;
      if (done) return end(job);
      const free = op_job_write(job.key, bytesOf(value));
      if (!free) await roomToWrite(job);
    }
  }

  function bytesOf(chunk) {
    if (ArrayBuffer.isView(chunk)) {
      return chunk instanceof Uint8Array ? chunk : new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    }
    if (chunk instanceof ArrayBuffer) return new Uint8Array(chunk);
    throw new TypeError(`a response's stream must yield Uint8Array, it yielded ${describe(chunk)}`);
  }

  function roomToWrite(job) {
    return new Promise((resolve) => job.resume = resolve);
  }

  function end(job) {
    if (jobs.delete(job.key)) op_job_end(job.key);
    leave(job);
  }

  // A `Map` whose table was replaced keeps what it held until V8 collects the whole heap: a job that is over holds
  // nothing that its page was made of.
  function leave(job) {
    if (isDevelopment) {
      job.endedAt = performance.now();
    } else {
      job.request = null;
    }
    job.upload = null;
    job.reader = null;
    job.resume = null;
  }

  function decline(job, outcome) {
    if (jobs.delete(job.key)) op_job_decline(job.key, outcome === "cancel");
    leave(job);
  }

  function fail(job, error) {
    if (!jobs.delete(job.key)) return;
    job.reader?.cancel(error).catch(() => {});
    const accept = job.request.headers.get("accept") ?? "";
    leave(job);
    op_job_fail(job.key, errorText(error), accept);
  }

  // The stack, and the stacks of what caused it.
  function errorText(error) {
    let text = "";
    for (let depth = 0; depth < 8; depth++) {
      text += typeof error?.stack === "string" && error.stack !== "" ? error.stack : safeString(error);
      if (error?.cause === undefined || error.cause === null) break;
      error = error.cause;
      text += "\nCaused by: ";
    }
    return text;
  }

  function safeString(value) {
    try {
      return String(value);
    } catch {
      return Object.prototype.toString.call(value);
    }
  }

  function body(key, chunk) {
    jobs.get(key)?.upload?.arrive(chunk);
  }

  function bodyEnd(key) {
    jobs.get(key)?.upload?.finish();
  }

  function bodyFailed(key) {
    jobs.get(key)?.upload?.fail(new TypeError("The request's body broke off."));
  }

  // The job goes on, and should come to its end soon.
  function abort(key) {
    const job = jobs.get(key);
    if (job === undefined) return;
    job.request.signal[signalAbort](timeoutError());
  }

  function timeoutError() {
    return new DOMException("The request took too long.", "TimeoutError");
  }

  function abortReason(job) {
    return job.reason ?? new DOMException("The request has been cancelled.", "AbortError");
  }

  function cancel(key, reason) {
    const job = jobs.get(key);
    if (job === undefined) return;
    jobs.delete(key);
    job.reason = reason === CANCEL_TIMEOUT
      ? timeoutError()
      : new DOMException("The client has closed the connection.", "AbortError");
    job.request.signal[signalAbort](job.reason);
    job.upload?.fail(job.reason);
    job.reader?.cancel(job.reason).catch(() => {});
    job.resume?.();
    abandon(job, job.reason);
    leave(job);
  }

  function writable(key) {
    const job = jobs.get(key);
    if (job === undefined) return;
    const resume = job.resume;
    job.resume = null;
    resume?.();
  }

  function currentJobKey() {
    return currentJob.get()?.key ?? NO_JOB;
  }

  // Takes the bundle's default export; says what is wrong with it, or nothing.
  function setApp(app) {
    if (app === null || (typeof app !== "object" && typeof app !== "function")) {
      return `its default export is ${describe(app)}`;
    }
    if (typeof app.fetch !== "function") return "its default export has no function `fetch`";
    const problem = pipeline.adopt(app);
    if (problem !== "") return problem;
    handler = (request, opts) => app.fetch(request, opts);
    return "";
  }

  // Answers one request for nobody, so that what the app loads on its first request is loaded.
  async function warm(url) {
    const response = await handler(newRequest("GET", url, WARMING_FIELDS, null), {});
    if (response.body === null) return;
    const reader = response.body.getReader();
    for (let read = 0; read < WARMING_BYTES;) {
      const { done, value } = await reader.read();
      if (done) return;
      read += value.byteLength;
    }
    await reader.cancel();
  }

  if (isDevelopment) {
    const { watch } = core.loadExtScript("ext:isopod/leftovers.js");
    watch((line) => op_log(NO_JOB, LEVEL_WARN, line));
  }

  core.setUnhandledPromiseRejectionHandler((promise, reason) => {
    if (rejectionTaken(promise, reason)) return true;
    op_log(currentJobKey(), LEVEL_ERROR, `Unhandled promise rejection: ${errorText(reason)}`);
    return true;
  });
  core.setReportExceptionCallback((error) => {
    if (exceptionTaken(error)) return;
    op_log(currentJobKey(), LEVEL_ERROR, `Uncaught exception: ${errorText(error)}`);
  });

  return {
    handlers: {
      ...pipeline.handlers,
      start,
      body,
      bodyEnd,
      bodyFailed,
      abort,
      cancel,
      writable,
      ...replyHandlers,
      setApp,
      warm,
    },
    callNative,
    currentJobKey,
  };
})();
