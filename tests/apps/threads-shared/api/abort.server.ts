interface AbortRecord {
  aborts: number
  reason: string | null
  open: number
}

const INTERVAL_MS = 50
const DOT = new Uint8Array([46])

const globals = globalThis as typeof globalThis & { abortRecord?: AbortRecord }
const record = (globals.abortRecord ??= { aborts: 0, reason: null, open: 0 })

export function streamUntilAborted(request: Request): Response {
  if (new URL(request.url).searchParams.has('count')) return Response.json(record)
  return new Response(dotsUntil(request.signal), { headers: { 'content-type': 'text/plain' } })
}

function dotsUntil(signal: AbortSignal): ReadableStream<Uint8Array> {
  const closed = new AbortController()
  return new ReadableStream({
    start(controller) {
      record.open += 1
      const timer = setInterval(() => controller.enqueue(DOT), INTERVAL_MS)
      closed.signal.addEventListener('abort', () => {
        clearInterval(timer)
        record.open -= 1
      })
      signal.addEventListener('abort', () => {
        record.aborts += 1
        record.reason = signal.reason?.name ?? String(signal.reason)
        closed.abort()
        controller.error(signal.reason)
      })
    },
    cancel: () => closed.abort(),
  })
}
