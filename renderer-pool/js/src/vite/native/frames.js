/**
 * The link to an fn worker in bytes, as the crate `shared` has it: frames of `length u32, kind u8, 3 zeros, id u64,
 * payload`, little-endian, behind a preface in each direction.
 */

export const PREFACE = Buffer.from('ISOPOD\0\x02', 'latin1')
const HEADER_BYTES = 16
const MAX_FRAME_BYTES = 1 << 20

/** To a worker. */
export const TO = { call: 1, cancel: 2, request: 3, body: 4, bodyEnd: 5, credit: 7, reply: 8 }
/** From a worker. */
export const FROM = { reply: 1, head: 2, body: 3, end: 4, failed: 5, credit: 6, call: 7, callCancel: 8, whole: 9 }

/** What either side may send of a body before it hears of credit. */
export const INITIAL_WINDOW = 256 * 1024
export const MAX_CHUNK_BYTES = 64 * 1024

const HAS_BODY = 1

/** A frame; its payload is given in parts. */
export function frame(kind, id, ...parts) {
  const header = Buffer.alloc(HEADER_BYTES)
  header.writeUInt32LE(parts.reduce((length, part) => length + part.length, 0))
  header[4] = kind
  header.writeBigUInt64LE(BigInt(id), 8)
  return Buffer.concat([header, ...parts])
}

/** The payload of a request for the function `name`, or for a route without one; `headers` are pairs. */
export function requestPayload({ name, deadlineMs, method, url, headers, hasBody }) {
  const head = [method, url, '127.0.0.1', 'development'].map(text)
  const fields = headers.flat().map(text)
  return [text(name), u32(deadlineMs), ...head, Buffer.of(hasBody ? HAS_BODY : 0), u32(headers.length), ...fields]
}

/** The status and the header fields of a response, and what comes behind them. */
export function responseHead(payload) {
  const count = payload.readUInt32LE(2)
  const texts = []
  let at = 6
  while (texts.length < 2 * count) {
    const length = payload.readUInt32LE(at)
    texts.push(payload.toString('latin1', at + 4, at + 4 + length))
    at += 4 + length
  }
  const headers = Array.from({ length: count }, (_, field) => texts.slice(2 * field, 2 * field + 2))
  return { status: payload.readUInt16LE(0), headers, rest: payload.subarray(at) }
}

/** A text that a payload ends with. */
export function textOf(payload) {
  return payload.toString('utf8', 4, 4 + payload.readUInt32LE(0))
}

/** How a call ended that has failed. */
export function failedOutcome(status, message) {
  return Buffer.concat([Buffer.of(1, status & 255, status >> 8), text(message)])
}

export function u32(number) {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(number)
  return bytes
}

function text(value) {
  const bytes = Buffer.from(value)
  return Buffer.concat([u32(bytes.length), bytes])
}

/** Takes frames from what comes. */
export class Decoder {
  #held = Buffer.alloc(0)
  #opened = false

  /** Whether the other side has opened the link. */
  get opened() {
    return this.#opened
  }

  /** @param {Buffer} bytes @throws {Error} when they are no frames */
  *decode(bytes) {
    this.#held = Buffer.concat([this.#held, bytes])
    if (!this.#opened) {
      if (this.#held.length < PREFACE.length) return
      if (!this.#held.subarray(0, PREFACE.length).equals(PREFACE)) {
        throw new Error('the fn worker is of another version of Isopod than @isopod/app')
      }
      this.#held = this.#held.subarray(PREFACE.length)
      this.#opened = true
    }
    while (this.#held.length >= HEADER_BYTES) {
      const length = this.#held.readUInt32LE(0)
      if (length > MAX_FRAME_BYTES) throw new Error(`the fn worker announces a frame of ${length} bytes`)
      if (this.#held.length < HEADER_BYTES + length) return
      const payload = this.#held.subarray(HEADER_BYTES, HEADER_BYTES + length)
      const found = { kind: this.#held[4], id: Number(this.#held.readBigUInt64LE(8)), payload }
      this.#held = this.#held.subarray(HEADER_BYTES + length)
      yield found
    }
  }
}
