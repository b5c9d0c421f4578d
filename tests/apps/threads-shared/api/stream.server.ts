import { wait } from '../wait'

const CHUNKS = 10
const INTERVAL_MS = 100

export function streamChunks(): Response {
  const encoder = new TextEncoder()
  let next = 0
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (next > 0) await wait(INTERVAL_MS)
      controller.enqueue(encoder.encode(`chunk ${next}\n`))
      next += 1
      if (next === CHUNKS) controller.close()
    },
  })
  return new Response(body, { headers: { 'content-type': 'text/plain; charset=utf-8' } })
}
