// Calls of native functions: from JavaScript's values to what goes over the wire, and back.
(function () {
  const { core } = __bootstrap;
  const { op_job_call, op_job_call_body, op_job_call_cancel, op_job_reply_consumed } = core.ops;
  const { FormData } = core.loadExtScript("ext:deno_fetch/21_formdata.js");
  const { Response } = core.loadExtScript("ext:deno_fetch/23_response.js");
  const { ReadableStream } = core.loadExtScript("ext:deno_web/06_streams.js");
  const { currentJob } = core.loadExtScript("ext:isopod/async_context.js");
  const { decode, encode } = core.loadExtScript("ext:isopod/values.js");

  // Kinds of answers, as in `AnswerKind`; 0 is a failure, whose content is a message.
  const VALUE = 1;
  const REDIRECT = 2;
  const NOT_FOUND = 3;
  const RESPONSE = 4;
  const SERIALIZED = 5;
  const BYTES = 6;

  // Records of a stream, as in `fn-workers/src/isolate.rs`: a type, the content's length, the content.
  const RECORD_HEAD_BYTES = 5;
  const RECORD_VALUE = 0;
  const RECORD_SERIALIZED = 1;
  const RECORD_ERROR = 2;
  // As long as a record may be, in bytes; workers write none that is longer.
  const MAX_RECORD_BYTES = 1 << 20;

  const decoder = new TextDecoder();

  class NativeError extends Error {
    constructor(message, status) {
      super(message);
      this.name = "NativeError";
      this.status = status;
    }
  }

  // The bytes of an answer that comes piece by piece. What is taken is told, and so much more may come.
  class Incoming {
    constructor(key, number, settled) {
      this.key = key;
      this.number = number;
      this.settled = settled;
      this.chunks = [];
      this.outcome = null;
      this.waiting = null;
    }

    arrive(chunk) {
      this.chunks.push(chunk);
      this.wake();
    }

    // `error` is null at a clean end.
    finish(error) {
      if (this.outcome !== null) return;
      this.outcome = { error };
      this.settled();
      this.wake();
    }

    wake() {
      const waiting = this.waiting;
      this.waiting = null;
      waiting?.();
    }

    // The next piece, or null at the end.
    async next() {
      while (this.chunks.length === 0 && this.outcome === null) {
        await new Promise((resolve) => this.waiting = resolve);
      }
      if (this.chunks.length === 0) {
        if (this.outcome.error !== null) throw this.outcome.error;
        return null;
      }
      const chunk = this.chunks.shift();
      op_job_reply_consumed(this.key, this.number, chunk.byteLength);
      return chunk;
    }

    cancel() {
      if (this.outcome !== null) return;
      op_job_call_cancel(this.key, this.number);
      this.chunks = [];
      this.finish(null);
    }
  }

  // Takes records apart, of whatever pieces they come in.
  class Records {
    constructor(incoming) {
      this.incoming = incoming;
      this.rest = new Uint8Array();
      // Content of a record of bytes that is still to come.
      this.open = 0;
    }

    // So many bytes in one piece; null at the end.
    async exactly(length) {
      let parts = [this.rest];
      let have = this.rest.byteLength;
      while (have < length) {
        const chunk = await this.incoming.next();
        if (chunk === null) {
          if (have === 0) return null;
          throw new TypeError("the stream of a native function broke off");
        }
        parts.push(chunk);
        have += chunk.byteLength;
      }
      let joined = parts[0];
      if (parts.length > 1) {
        joined = new Uint8Array(have);
        let at = 0;
        for (const part of parts) {
          joined.set(part, at);
          at += part.byteLength;
        }
      }
      this.rest = joined.subarray(length);
      return joined.subarray(0, length);
    }

    async next() {
      const head = await this.exactly(RECORD_HEAD_BYTES);
      if (head === null) return null;
      const length = new DataView(head.buffer, head.byteOffset).getUint32(1);
      if (length > MAX_RECORD_BYTES) throw new TypeError("a record of a native function's stream is too long");
      return { kind: head[0], content: await this.exactly(length) };
    }
  }

  function contentOf({ kind, content }) {
    if (kind === RECORD_ERROR) throw new NativeError(decoder.decode(content), 500);
    if (kind === RECORD_VALUE) return JSON.parse(decoder.decode(content));
    if (kind === RECORD_SERIALIZED) return decode(JSON.parse(decoder.decode(content)));
    // A chunk of its own: what reads it may keep or transfer it.
    return content.slice();
  }

  function recordStream(incoming, type) {
    const records = new Records(incoming);
    return new ReadableStream({
      type,
      async pull(controller) {
        let record = await records.next();
        while (record !== null && type === "bytes" && record.content.byteLength === 0) record = await records.next();
        if (record === null) {
          controller.close();
          controller.byobRequest?.respond(0);
        } else {
          controller.enqueue(contentOf(record));
        }
      },
      cancel: () => incoming.cancel(),
    }, { highWaterMark: 0 });
  }

  function byteStream(incoming) {
    return new ReadableStream({
      type: "bytes",
      async pull(controller) {
        const chunk = await incoming.next();
        if (chunk === null) {
          controller.close();
          controller.byobRequest?.respond(0);
        } else {
          controller.enqueue(chunk);
        }
      },
      cancel: () => incoming.cancel(),
    }, { highWaterMark: 0 });
  }

  function response(status, fields, body) {
    return new Response([101, 204, 205, 304].includes(status) ? null : body, { status, headers: fields });
  }

  // As TanStack Router's `redirect()` makes it: a response with the router's options.
  function redirect(status, options) {
    const headers = options.href === undefined ? {} : { location: options.href };
    const made = new Response(null, { status, headers });
    made.options = options;
    return made;
  }

  // `jobs` are those that run, by their keys.
  function create(jobs, headerPairs) {
    // Its parts, and their media type with the boundary between them.
    async function sendForm(job, number, name, form) {
      const encoded = new Response(form);
      const bytes = new Uint8Array(await encoded.arrayBuffer());
      if (!job.calls.has(number)) return;
      return op_job_call_body(job.key, number, name, encoded.headers.get("content-type"), bytes);
    }

    function callNative(name, data, { signal } = {}) {
      const job = currentJob.get();
      if (job === undefined || !jobs.has(job.key)) {
        return Promise.reject(new NativeError(`${name}: native functions can be called only while a request runs`, 500));
      }
      if (signal?.aborted) return Promise.reject(signal.reason);
      return new Promise((resolve, reject) => {
        const isForm = data instanceof FormData;
        const input = isForm ? "" : encode(data);
        const number = ++job.lastCall;
        const onAbort = () => {
          const call = job.calls.get(number);
          job.calls.delete(number);
          op_job_call_cancel(job.key, number);
          if (call.incoming === null) reject(signal.reason);
          else call.incoming.finish(signal.reason);
        };
        signal?.addEventListener("abort", onAbort, { once: true });
        const settled = () => {
          job.calls.delete(number);
          signal?.removeEventListener("abort", onAbort);
        };
        job.calls ??= new Map();
        job.calls.set(number, { resolve, reject, settled, incoming: null });
        const refuse = (problem) => {
          if (problem === undefined || problem === "") return;
          settled();
          reject(new NativeError(`${name}: ${problem}`, 413));
        };
        if (isForm) sendForm(job, number, name, data).then(refuse, (error) => (settled(), reject(error)));
        else refuse(op_job_call(job.key, number, name, input));
      });
    }

    // What a function sets beside its value goes out with the job's own response.
    function keepFields(job, kind, fields) {
      if (kind !== RESPONSE && fields.length > 0) (job.fields ??= []).push(...fields);
    }

    function reply(key, number, status, content, kind, rawFields) {
      const job = jobs.get(key);
      const call = job?.calls?.get(number);
      if (call === undefined) return;
      call.settled();
      const fields = headerPairs(rawFields);
      keepFields(job, kind, fields);
      try {
        if (kind === VALUE) call.resolve(JSON.parse(content));
        else if (kind === SERIALIZED) call.resolve(decode(JSON.parse(content)));
        else if (kind === REDIRECT) call.reject(redirect(status, JSON.parse(content)));
        else if (kind === NOT_FOUND) call.reject(JSON.parse(content));
        else if (kind === RESPONSE) call.resolve(response(status, fields, content));
        else call.reject(new NativeError(content, status));
      } catch (error) {
        call.reject(error);
      }
    }

    function replyBegins(key, number, status, kind, rawFields) {
      const job = jobs.get(key);
      const call = job?.calls?.get(number);
      if (call === undefined) return;
      const incoming = new Incoming(key, number, call.settled);
      call.incoming = incoming;
      const fields = headerPairs(rawFields);
      keepFields(job, kind, fields);
      if (kind === RESPONSE) call.resolve(response(status, fields, byteStream(incoming)));
      else call.resolve(recordStream(incoming, kind === BYTES ? "bytes" : undefined));
    }

    function replyBody(key, number, chunk) {
      jobs.get(key)?.calls?.get(number)?.incoming?.arrive(chunk);
    }

    function replyEnds(key, number, whole) {
      const broken = () => new NativeError("the stream of a native function broke off", 502);
      jobs.get(key)?.calls?.get(number)?.incoming?.finish(whole ? null : broken());
    }

    // The job is over: nobody answers its calls any more.
    function abandon(job, reason) {
      if (job.calls === null) return;
      for (const call of [...job.calls.values()]) {
        if (call.incoming === null) call.reject(reason);
        else call.incoming.finish(reason);
      }
    }

    return { abandon, callNative, handlers: { reply, replyBegins, replyBody, replyEnds } };
  }

  return { create };
})();
