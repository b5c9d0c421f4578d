import { Call, Forwarding } from './forwarding.js'
import { Decoder, FROM, frame, INITIAL_WINDOW, MAX_CHUNK_BYTES, PREFACE, requestPayload, responseHead, textOf, TO, u32 } from './frames.js'

/** In development nobody is in a hurry; a debugger may hold the worker. */
const DEADLINE_MS = 10 * 60 * 1000

/** A link to an fn worker: requests out, responses in. */
export class Link {
  #socket
  #decoder = new Decoder()
  #open = new Map()
  #lastId = 0
  #ended
  #forwarding
  /** Whether this side has closed it. */
  isClosed = false
  /** Settles when the worker takes requests. */
  opened

  /** Whether the worker has ended. */
  get hasEnded() {
    return this.#ended !== undefined
  }

  /**
   * @param {import('node:net').Socket} socket its other end is the worker's
   * @param {(name: string) => Promise<Link>} linkFor where functions are that the worker does not have
   */
  constructor(socket, linkFor = async (name) => Promise.reject(new Error(`there is no native function \`${name}\``))) {
    this.#socket = socket
    this.#forwarding = new Forwarding((kind, id, ...parts) => this.#send(kind, id, ...parts), linkFor)
    this.opened = new Promise((opened, failed) => {
      socket.on('data', (bytes) => {
        try {
          for (const found of this.#decoder.decode(bytes)) this.#receive(found)
          if (this.#decoder.opened) opened()
        } catch (error) {
          socket.destroy(error)
        }
      })
      const end = (error) => {
        this.#ended ??= error ?? new Error('the fn worker has ended')
        failed(this.#ended)
        for (const exchange of this.#open.values()) exchange.fail(this.#ended)
      }
      socket.on('error', end)
      socket.on('end', () => end())
      socket.on('close', () => end())
    })
    // Who waits for it hears of it; nobody else has to.
    this.opened.catch(() => {})
    socket.write(PREFACE)
  }

  /** Calls the function `name` with a request that Start's client has made. @returns {Promise<Response>} */
  async fetch(name, request, signal) {
    return this.#request(name, request, signal)
  }

  /** Lets the worker's routes answer a request. @returns {Promise<Response>} */
  async answer(request, signal) {
    return this.#request('', request, signal)
  }

  async #request(name, request, signal) {
    if (this.#ended) throw this.#ended
    const id = ++this.#lastId
    const body = request.body === null ? undefined : Buffer.from(await request.arrayBuffer())
    signal?.throwIfAborted()
    const send = (kind, ...parts) => this.#send(kind, id, ...parts)
    const exchange = new Exchange(send, () => this.#close(id))
    this.#open.set(id, exchange)
    const onAbort = () => exchange.cancel(signal.reason)
    signal?.addEventListener('abort', onAbort, { once: true })
    const { method, url } = request
    const headers = [...request.headers]
    send(TO.request, ...requestPayload({ name, deadlineMs: DEADLINE_MS, method, url, headers, hasBody: body !== undefined }))
    if (body !== undefined) exchange.upload(body)
    return exchange.response
  }

  /** Makes a call as another worker has made it. @param {Buffer} call @returns {Promise<Buffer>} its outcome */
  async call(call, signal) {
    if (this.#ended) throw this.#ended
    const id = ++this.#lastId
    const open = new Call(() => this.#send(TO.cancel, id), () => this.#close(id), signal)
    this.#open.set(id, open)
    this.#send(TO.call, id, call)
    return open.outcome
  }

  #send(kind, id, ...parts) {
    if (!this.#ended) this.#socket.write(frame(kind, id, ...parts))
  }

  #close(id) {
    this.#open.delete(id)
    this.#forwarding.end(id)
  }

  #receive(found) {
    // What concerns a request that is over has crossed its end.
    const open = this.#open.get(found.id)
    if (open === undefined) return
    if (found.kind === FROM.call) void this.#forwarding.begin(found.id, Buffer.from(found.payload))
    else if (found.kind === FROM.callCancel) this.#forwarding.cancel(found.id, found.payload)
    else open.receive(found)
  }

  /** Ends the link, and with it the worker. */
  close() {
    this.isClosed = true
    this.#socket.destroy()
  }
}

/** A request and its response, each under a window. */
class Exchange {
  #send
  #over
  #pending
  #window = INITIAL_WINDOW
  #stream
  #settle
  response

  constructor(send, over) {
    this.#send = send
    this.#over = over
    this.response = new Promise((resolve, reject) => (this.#settle = { resolve, reject }))
  }

  upload(body) {
    this.#pending = body
    this.#uploadMore()
  }

  #uploadMore() {
    while (this.#pending?.length > 0 && this.#window > 0) {
      const part = this.#pending.subarray(0, Math.min(this.#window, MAX_CHUNK_BYTES))
      this.#pending = this.#pending.subarray(part.length)
      this.#window -= part.length
      this.#send(TO.body, part)
    }
    if (this.#pending?.length !== 0) return
    this.#pending = undefined
    this.#send(TO.bodyEnd)
  }

  receive({ kind, payload }) {
    if (kind === FROM.head) {
      const { status, headers } = responseHead(payload)
      const isEmpty = [204, 205, 304].includes(status)
      const body = new ReadableStream({
        start: (controller) => void (this.#stream = controller),
        cancel: () => this.cancel(new Error('the response is not read any more')),
      })
      this.#settle.resolve(new Response(isEmpty ? null : body, { status, headers }))
    } else if (kind === FROM.whole) {
      this.#over()
      const { status, headers, rest } = responseHead(payload)
      const isEmpty = [204, 205, 304].includes(status)
      this.#settle.resolve(new Response(isEmpty ? null : new Uint8Array(rest), { status, headers }))
    } else if (kind === FROM.body) {
      this.#stream.enqueue(new Uint8Array(payload))
      this.#send(TO.credit, u32(payload.length))
    } else if (kind === FROM.end) {
      this.#over()
      this.#stream?.close()
    } else if (kind === FROM.credit) {
      this.#window += payload.readUInt32LE(0)
      this.#uploadMore()
    } else if (kind === FROM.failed) {
      this.fail(new Error(textOf(payload)))
    }
  }

  cancel(reason) {
    this.#send(TO.cancel)
    this.fail(reason)
  }

  fail(error) {
    this.#over()
    this.#settle.reject(error)
    try {
      this.#stream?.error(error)
    } catch {
      // It had ended.
    }
  }
}
