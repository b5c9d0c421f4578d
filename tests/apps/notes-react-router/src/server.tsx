import { defineRenderPipeline, isCrawler, type Counter, type Histogram } from '@isopod/app/pipeline'
import { react } from '@isopod/app/react'
import { reactRouter } from '@isopod/app/react-router'

import { App } from './app.tsx'
import { endings } from './endings.ts'
import { routes } from './routes.tsx'
import { RequestStore } from './store.ts'

interface AppProps {
  store: RequestStore
}

let pages: Counter<'mode'>
let seconds: Histogram
const started: unknown[] = []

/** Every hook is in use, and shows itself in the page or its headers. */
export default defineRenderPipeline<AppProps>({
  render: react(App, { router: reactRouter(routes) }),
  abortDelay: Number(process.env['APP_ABORT_DELAY'] ?? 15_000),

  onServerCreated(app) {
    pages = app.metrics.counter({ name: 'pages_total', help: 'Pages, by how they were sent.', labels: ['mode'] })
    seconds = app.metrics.histogram({ name: 'page_seconds', help: 'Seconds until a shell was ready.', buckets: [0.01, 0.1, 1] })
    app.metrics.gauge({ name: 'isolates', help: 'Isolates that were made.' }).set(1)
    app.use(async (request, next) => {
      const response = await next()
      if (response.status !== 304) response.headers.set('x-middleware', 'ran')
      return response
    })
    app.get('/health', () => Response.json({ well: true }))
    app.get('/started', () => Response.json(started))
    app.post('/echo/:word', async (request, { params }) => Response.json({ word: params['word'], text: await request.text() }))
    app.log.info('the server was created', { hooks: 'all of them' })
  },

  onServerStarted(info) {
    started.push(info)
    if (info.first) console.info(`probe once at ${info.address}`)
  },

  onRequest(request, { context }) {
    const { pathname, searchParams } = context.url
    if (pathname.startsWith('/skipped') || pathname === '/robots.txt') return { shouldSkip: true }
    if (pathname === '/cancelled') return { shouldCancel: true }
    if (pathname === '/forbidden') return { shouldCancel: true, response: new Response('forbidden', { status: 403 }) }
    const visits = Number(/(?:^|; )visits=(\d+)/.exec(request.headers.get('cookie') ?? '')?.[1] ?? 0) + 1
    context.response.headers.append('set-cookie', `visits=${visits}; Path=/`)
    context.signal.addEventListener('abort', () => console.info(`signal aborted: ${(context.signal.reason as Error).name}`))
    const locale = searchParams.get('locale') ?? 'en'
    return { appProps: { store: new RequestStore(locale, visits) }, hasEarlyHints: true }
  },

  onRouterReady({ context }) {
    const isStream = !isCrawler(context.request) && context.route !== '/notes/new'
    pages.inc({ mode: isStream ? 'stream' : 'whole' })
    return { isStream }
  },

  onShellReady({ context }) {
    seconds.observe(context.elapsed / 1000)
    context.response.headers.set('x-route', context.route)
    return { header: `<!-- header ${context.route} -->`, footer: `<!-- footer ${context.appProps.store.rendered} -->` }
  },

  onResponse: ({ html }) => html.replace('data-patched="no"', 'data-patched="yes"'),

  getState: ({ context: { appProps } }) => ({
    store: { id: appProps.store.id, locale: appProps.store.locale, visits: appProps.store.visits },
    rendered: appProps.store.rendered,
  }),

  onShellError({ context, error }) {
    context.response.headers.set('x-shell-error', (error as Error).name)
    return `<!doctype html><title>Fatal</title><h1 id="fatal">${context.response.status}</h1>`
  },

  onError({ code, error, route, elapsed }) {
    endings.push({ code, name: (error as Error).name, route, elapsed })
    console.error(`onError ${code} at ${route}: ${(error as Error).message}`)
  },
})
