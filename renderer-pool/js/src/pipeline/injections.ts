/** HTML that waits to be written between two chunks of a page. */

/** The most that waits, in UTF-16 units: what is written faster than a client reads is refused. */
const MAX_WAITING = 1 << 20

export class Injections {
  #waiting = ''
  #arrived: { promise: Promise<void>; resolve: () => void } | undefined
  #pending = new Set<Promise<unknown>>()
  #closed = false

  /** Whether it will be written. */
  push(html: string): boolean {
    if (this.#closed || this.#waiting.length + html.length > MAX_WAITING) return false
    this.#waiting += html
    this.#arrived?.resolve()
    this.#arrived = undefined
    return true
  }

  /** The page does not end before `work` does, which may push until then. */
  until(work: Promise<unknown>) {
    const settled: Promise<unknown> = work.then(nothing, nothing).then(() => this.#pending.delete(settled))
    this.#pending.add(settled)
  }

  /** Resolves when something waits. */
  arrival(): Promise<void> {
    if (this.#waiting !== '') return Promise.resolve()
    if (this.#arrived === undefined) {
      let resolve = nothing
      const promise = new Promise<void>((done) => {
        resolve = done
      })
      this.#arrived = { promise, resolve }
    }
    return this.#arrived.promise
  }

  take(): string {
    const text = this.#waiting
    this.#waiting = ''
    return text
  }

  /** Resolves when all work has settled. */
  async settled(): Promise<void> {
    while (this.#pending.size > 0) await Promise.all(this.#pending)
  }

  close() {
    this.#closed = true
  }
}

function nothing(): void {}
