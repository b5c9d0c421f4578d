import { defineRenderPipeline, isCrawler } from '@isopod/app/pipeline'
import { solid } from '@isopod/app/solid'
import { tanstackRouter } from '@isopod/app/tanstack-solid-router'

import { App } from './app'
import { getRouter } from './router'

export default defineRenderPipeline<{ locale: string }>({
  render: solid(App, { router: tanstackRouter(getRouter) }),
  abortDelay: Number(process.env['APP_ABORT_DELAY'] ?? 15_000),
  onServerCreated: (app) => void app.get('/favicon.ico', () => new Response(null, { status: 204 })),
  onRequest: (request) => ({ appProps: { locale: new URL(request.url).searchParams.get('locale') ?? 'en' } }),
  onRouterReady: ({ context }) => ({ isStream: !isCrawler(context.request) }),
  onShellReady: ({ context }) => ({ header: `<!-- ${context.route} -->`, footer: '<!-- end -->' }),
  getState: ({ context }) => ({ locale: context.appProps.locale }),
  onError: ({ code, route, error }) => console.error(`onError ${code} at ${route}: ${(error as Error).message}`),
})
