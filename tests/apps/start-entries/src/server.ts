import { withPipeline } from '@isopod/app/pipeline'
import {
  createStartHandler,
  defaultRenderHandler,
  defaultStreamHandler,
  defineHandlerCallback,
} from '@tanstack/react-start/server'

import { connect } from './database.server'

type Handler = (request: Request, opts?: never) => Response | Promise<Response>

const streaming = createStartHandler(defaultStreamHandler) as unknown as Handler

const callback = defineHandlerCallback(async (ctx) => {
  ctx.responseHeaders.set('x-callback', 'ran')
  return defaultStreamHandler(ctx)
})

const wrapping = defineHandlerCallback(async (ctx) => {
  const started = performance.now()
  const response = await defaultRenderHandler(ctx)
  const headers = 'response' in response ? response.response.headers : response.headers
  headers.set('x-rendered-in', String(Math.round(performance.now() - started)))
  return response
})

const database = await connect()

/** Authentication, a log line and a database connection around the app. */
const guarded: Handler = async (request) => {
  const user = await database.user(request.headers.get('authorization')?.replace('Bearer ', '') ?? '')
  console.info(`${request.method} ${new URL(request.url).pathname} by ${user ?? 'a stranger'}`)
  if (user === undefined) return new Response('who are you?', { status: 401, headers: { 'www-authenticate': 'Bearer' } })
  const response = await streaming(request, { context: { user } } as never)
  response.headers.set('x-user', user)
  return response
}

const piped = withPipeline(streaming, {
  onServerCreated(app) {
    app.metrics.counter({ name: 'created_total', help: 'Servers that were made.' }).inc()
    app.get('/health', () => new Response('well'))
  },
  onRequest: (request) => ({ appProps: { user: 'Grace' }, shouldSkip: request.url.endsWith('/skipped') }),
  onRouterReady: ({ context }) => ({ isStream: !context.url.searchParams.has('whole') }),
  onShellReady: () => ({ header: '<!-- header -->', footer: '<!-- footer -->' }),
  onResponse: ({ html }) => html.replace('worth the wait', 'worth every millisecond'),
  getState: ({ context }) => ({ user: context.appProps['user'] }),
})

const entries: Record<string, Handler> = {
  stream: streaming,
  render: createStartHandler(defaultRenderHandler) as unknown as Handler,
  callback: createStartHandler(callback) as unknown as Handler,
  wrapping: createStartHandler(wrapping) as unknown as Handler,
  guarded,
  pipeline: piped.fetch as Handler,
}

/** One bundle with every kind of entry, chosen by the request: each is what a `src/server.ts` would export. */
export default {
  ...piped,
  fetch(request: Request, opts: never) {
    const entry = request.headers.get('x-entry') ?? 'stream'
    return (entries[entry] ?? streaming)(request, opts)
  },
}
