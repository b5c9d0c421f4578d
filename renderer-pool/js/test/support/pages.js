/** What the tests of the pipeline share: requests, views that do as they are told, answers read chunk by chunk. */

import { noRouter } from '@isopod/app/pipeline'

export const get = (path = '/', init = {}) => new Request(new URL(path, 'http://app.test'), init)

/** A view that writes these parts: strings, or promises of strings that are waited for. */
export function written(parts, { onRender } = {}) {
  return {
    router: noRouter,
    view: {
      name: 'written',
      async render(exchange, loaded, whole) {
        onRender?.(exchange, loaded, whole)
        const encoder = new TextEncoder()
        const rest = [...parts]
        const stream = new ReadableStream(
          {
            async pull(controller) {
              // A renderer pauses between what it writes in one go.
              if (rest.length < parts.length) await new Promise(setImmediate)
              const part = await rest.shift()
              if (part === undefined) controller.close()
              else controller.enqueue(typeof part === 'string' ? encoder.encode(part) : part)
            },
          },
          { highWaterMark: 0 },
        )
        return { stream, allReady: Promise.resolve() }
      },
    },
  }
}

export const PAGE = ['<!DOCTYPE html><html><head><title>t</title></head><body><p>one</p>', '<p>two</p></body></html>']

/** The chunks of an answer as texts; each is what one read gave. */
export async function chunksOf(response) {
  const chunks = []
  const decoder = new TextDecoder()
  for await (const chunk of response.body) chunks.push(decoder.decode(chunk, { stream: true }))
  return chunks
}

/** A promise and its handles. */
export function deferred() {
  let resolve, reject
  const promise = new Promise((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}

/** Runs `work` with what goes to the console collected. */
export async function withConsole(work) {
  const lines = []
  const kept = { error: console.error, warn: console.warn, info: console.info }
  for (const level of Object.keys(kept)) console[level] = (...parts) => lines.push(`${level} ${parts.map(String).join(' ')}`)
  try {
    return { value: await work(), lines }
  } finally {
    Object.assign(console, kept)
  }
}

/** Runs the scripts of a page as a browser would, and returns the global object that they leave. */
export function runScripts(html) {
  const self = {}
  self.self = self
  for (const [, code] of html.matchAll(/<script(?: nonce="[^"]*")?>([\s\S]*?)<\/script>/g)) {
    if (!code.includes('isopod')) continue
    new Function('self', 'document', `with (self) {${code}}`)(self, { currentScript: { remove() {} } })
  }
  return self
}

/** The whole text; `then` is called when its first part is here. */
export async function readThen(response, then) {
  const parts = response.body.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  for (let part; !(part = await parts.read()).done; ) {
    if (text === '') then()
    text += part.value
  }
  return text
}
