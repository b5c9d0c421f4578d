import { failedOutcome, FROM, textOf, TO, u32 } from './frames.js'

/** What the functions of one worker call in others: it goes to their links, and comes back. */
export class Forwarding {
  #send
  #linkFor
  #open = new Map()

  /**
   * @param {(kind: number, id: number, ...parts: Buffer[]) => void} send to the worker
   * @param {(name: string) => Promise<import('./link.js').Link>} linkFor the link to the worker that has a function
   */
  constructor(send, linkFor) {
    this.#send = send
    this.#linkFor = linkFor
  }

  /** A function that answers the request `id` calls another. */
  async begin(id, payload) {
    const number = payload.readUInt32LE(0)
    const call = payload.subarray(4)
    const left = new AbortController()
    if (!this.#open.has(id)) this.#open.set(id, new Map())
    this.#open.get(id).set(number, left)
    const outcome = await this.#outcome(call, left.signal)
    if (this.#take(id, number)) this.#send(TO.reply, id, u32(number), outcome)
  }

  async #outcome(call, signal) {
    const name = textOf(call)
    let link
    try {
      link = await this.#linkFor(name)
    } catch (error) {
      return failedOutcome(404, error.message)
    }
    return link.call(call, signal).catch((error) => failedOutcome(502, error.message))
  }

  /** Its function does not wait for it any more. */
  cancel(id, payload) {
    this.#take(id, payload.readUInt32LE(0))?.abort(new Error('nobody waits for it'))
  }

  /** The request `id` is over. */
  end(id) {
    for (const left of this.#open.get(id)?.values() ?? []) left.abort(new Error('its caller has ended'))
    this.#open.delete(id)
  }

  #take(id, number) {
    const calls = this.#open.get(id)
    const left = calls?.get(number)
    calls?.delete(number)
    if (calls?.size === 0) this.#open.delete(id)
    return left
  }
}

/** A call of one worker's function by another's, as it came: its outcome, as it is to go back. */
export class Call {
  #settle
  #over
  outcome

  /** @param {() => void} cancel tells the worker @param {() => void} over when nothing more comes */
  constructor(cancel, over, signal) {
    this.#over = over
    this.outcome = new Promise((resolve, reject) => (this.#settle = { resolve, reject }))
    const leave = () => {
      cancel()
      this.fail(signal.reason)
    }
    if (signal.aborted) leave()
    else signal.addEventListener('abort', leave, { once: true })
    this.cancel = cancel
  }

  receive({ kind, payload }) {
    if (kind === FROM.reply) {
      this.#over()
      this.#settle.resolve(Buffer.from(payload))
    } else if (kind === FROM.head) {
      this.cancel()
      this.fail(new Error('the function answers with a stream'))
    }
  }

  fail(error) {
    this.#over()
    this.#settle.reject(error)
  }
}
