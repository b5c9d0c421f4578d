/** TanStack Router's request handler as a router; what its bindings for React and Solid share. */

import type { Exchange } from './exchange.ts'
import { withSignal } from './exchange.ts'
import { modulesOf } from './modules.ts'
import type { Loaded, PageRouter } from './renderer.ts'

/** What is used of a router; the types of both bindings say more and differ. */
export interface AnyRouter {
  state: { matches: readonly { fullPath?: string; routeId: string }[] }
  routesById: Record<string, { lazyFn?: unknown } | undefined>
  options: { context?: unknown; ssr?: { nonce?: string } }
  update(options: object): void
}

/** The functions of `@tanstack/*-router/ssr/server`. */
export interface Binding<Router> {
  /** Which view shows it. */
  view: string
  createRequestHandler(options: { createRouter: () => Router; request: Request }): (
    render: (ready: { router: Router; responseHeaders: Headers }) => Promise<unknown>,
  ) => Promise<Response>
  createSsrStreamResponse(router: Router, response: Response): unknown
  getSsrStatus(router: Router): number
  transform(router: Router, stream: ReadableStream<Uint8Array>, signal: AbortSignal): ReadableStream<Uint8Array>
  element(router: Router): unknown
  /** That is the whole document. */
  hasDocument: boolean
}

export class TanStackRouter<Router extends AnyRouter> implements PageRouter {
  readonly name = 'tanstack-router'
  readonly #createRouter: (exchange: Exchange) => Router
  readonly #binding: Binding<Router>

  constructor(createRouter: (exchange: Exchange) => Router, binding: Binding<Router>) {
    this.#createRouter = createRouter
    this.#binding = binding
  }

  handle(exchange: Exchange, render: (loaded: Loaded) => Promise<Response>): Promise<Response> {
    const binding = this.#binding
    const ending = new AbortController()
    const onAbort = () => {
      // A late page ends with what it has; the router would break it off.
      if (!exchange.isHeld || exchange.code === 'cancel') ending.abort(exchange.signal.reason)
    }
    if (exchange.signal.aborted) onAbort()
    else exchange.signal.addEventListener('abort', onAbort, { once: true })
    const createRouter = () => {
      const router = this.#createRouter(exchange)
      if (exchange.nonce !== undefined) router.update({ ssr: { ...router.options.ssr, nonce: exchange.nonce } })
      return router
    }
    const request = withSignal(exchange.request, ending.signal)
    return binding.createRequestHandler({ createRouter, request })(async ({ router, responseHeaders }) => {
      const matches = router.state.matches
      const response = await render({
        context: router,
        route: matches.at(-1)?.fullPath || '/',
        status: binding.getSsrStatus(router),
        headers: responseHeaders,
        modules: matches.flatMap((match) => modulesOf(router.routesById[match.routeId]?.lazyFn)),
        hasDocument: binding.hasDocument,
        element: (view) => {
          if (view === binding.view) return binding.element(router)
          throw new Error(`this router is for ${binding.view}, the view is ${view}`)
        },
        wrap: (stream) => binding.transform(router, stream, ending.signal),
      })
      return binding.createSsrStreamResponse(router, response)
    })
  }
}
