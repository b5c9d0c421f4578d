/**
 * A renderer's bytes as chunks of text. A chunk is what the renderer wrote in one go, and ends outside of a tag and
 * between characters.
 */

/** After so many microtasks without a byte, the renderer has written what it had. */
const QUIET_TICKS = 16

/** A chunk grows no further, in UTF-16 units. */
const MAX_CHUNK = 64 * 1024

/** An unfinished tag is waited for up to this length, in UTF-16 units: then it is no tag. */
const MAX_TAG = 16 * 1024

export interface Chunk {
  html: string
  /** The renderer had no more to write: other HTML may stand behind this chunk. */
  complete: boolean
}

type Read = ReadableStreamReadResult<Uint8Array>

export class Chunks {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>
  readonly #decoder = new TextDecoder()
  #read: Promise<Read> | undefined
  /** What `#read` came to, once it has. */
  #come: Read | undefined
  #held = ''
  #ended = false

  constructor(source: ReadableStream<Uint8Array>) {
    this.#reader = source.getReader()
  }

  /** The next chunk; `null` at the end. Asks the renderer for no more than that. */
  async next(): Promise<Chunk | null> {
    let html = this.#held
    this.#held = ''
    while (!this.#ended) {
      const { done, value } = await this.#await()
      this.#read = undefined
      this.#come = undefined
      if (done) {
        this.#ended = true
        html += this.#decoder.decode()
        break
      }
      html += this.#decoder.decode(value, { stream: true })
      if (html.length >= MAX_CHUNK) return this.#cut(html, false)
      if (await this.#isQuiet() && html !== '') {
        const chunk = this.#cut(html, true)
        if (chunk.html !== '') return chunk
        html = this.#held
        this.#held = ''
      }
    }
    return html === '' ? null : { html, complete: true }
  }

  cancel(reason: unknown): Promise<void> {
    this.#ended = true
    return this.#reader.cancel(reason)
  }

  #await(): Promise<Read> {
    if (this.#read === undefined) {
      this.#read = this.#reader.read()
      this.#read.then(
        (come) => {
          this.#come = come
        },
        () => {},
      )
    }
    return this.#read
  }

  async #isQuiet(): Promise<boolean> {
    void this.#await()
    for (let tick = 0; tick < QUIET_TICKS; tick += 1) {
      await null
      if (this.#come !== undefined) return false
    }
    return true
  }

  #cut(html: string, complete: boolean): Chunk {
    const open = html.lastIndexOf('<')
    if (open === -1 || open < html.lastIndexOf('>') || html.length - open > MAX_TAG) return { html, complete }
    this.#held = html.slice(open)
    return { html: html.slice(0, open), complete: false }
  }
}
