/** The same hooks around a handler that renders by itself, such as TanStack Start's. */

import { NO_ASSETS } from './assets.ts'
import type { Exchange } from './exchange.ts'
import { outcomeResponse, PIPELINE } from './host.ts'
import type { RenderPipeline } from './definition.ts'
import { checkOptions, type Hooks } from './options.ts'
import { fatalResponse } from './page.ts'
import { Pipeline, type FetchOptions } from './pipeline.ts'
import { respond } from './respond.ts'
import { requestDecision, routerDecision } from './shapes.ts'

/** What TanStack Start's `createStartHandler(...)` returns, or any web-standard handler. */
export type FetchHandler = (request: Request, options?: never) => Response | Promise<Response>

/**
 * Puts the pipeline's hooks around a handler that renders by itself:
 *
 * ```ts
 * export default withPipeline(createStartHandler(defaultStreamHandler), { onRequest, onError })
 * ```
 *
 * The handler's router is its own: `context.router` is `undefined` and `context.route` is the request's path.
 * `appProps` reach the handler as `opts.context.appProps`. Hooks from `onRouterReady` on run for HTML alone.
 *
 * @throws {TypeError} at an option that is none, or of another kind
 */
export function withPipeline<AppProps extends object = Record<string, unknown>>(
  handler: FetchHandler | { fetch: FetchHandler },
  hooks: Hooks<AppProps> = {},
): RenderPipeline {
  checkOptions('withPipeline', hooks, [])
  const handle = typeof handler === 'function' ? handler : handler?.fetch?.bind(handler)
  if (typeof handle !== 'function') {
    throw new TypeError('withPipeline(): takes a handler (request, opts) => Response, or an object with such a fetch')
  }
  const pipeline = new Pipeline(hooks as Hooks)
  return {
    fetch: (request, options) =>
      pipeline.answer(request, options, (request) => answer(pipeline, handle, request, options)),
    [PIPELINE]: pipeline,
  }
}

async function answer(
  pipeline: Pipeline,
  handle: FetchHandler,
  request: Request,
  options: FetchOptions | undefined,
): Promise<Response> {
  const exchange = pipeline.exchange(request, options)
  exchange.route = exchange.url.pathname
  try {
    const passed = { ...options }
    const { onRequest } = pipeline.hooks
    if (onRequest) {
      const call = () => onRequest(request, { context: exchange as never })
      const decision = await pipeline.runner.run('onRequest', call, requestDecision)
      exchange.appProps = decision.appProps ?? {}
      if (decision.shouldCancel || decision.shouldSkip) {
        exchange.finish()
        if (decision.shouldCancel) return decision.response ?? outcomeResponse('cancel')
        return outcomeResponse('skip')
      }
      // The handler sends hints of its own, of what it knows its pages to need.
      if (decision.hasEarlyHints === false) delete passed.onEarlyHints
      passed.context = { ...(options?.context as object | undefined), appProps: exchange.appProps }
    }
    const response = await handle(exchange.request, passed as never)
    return await wrap(pipeline, exchange, response)
  } catch (error) {
    return fatalResponse(pipeline, exchange, error)
  }
}

async function wrap(pipeline: Pipeline, exchange: Exchange, response: Response): Promise<Response> {
  const { body } = response
  if (body === null || !/^text\/html\b/i.test(response.headers.get('content-type') ?? '')) {
    return body === null ? ended(exchange, response) : until(exchange, response, body)
  }
  exchange.response.status = response.status
  exchange.response.headers = new Headers(response.headers)
  exchange.response.headers.delete('content-length')
  const { onRouterReady } = pipeline.hooks
  if (onRouterReady) {
    const call = () => onRouterReady({ context: exchange as never })
    const decision = await pipeline.runner.run('onRouterReady', call, routerDecision).catch((error: unknown) => {
      exchange.report(error)
      return { isStream: true }
    })
    exchange.isStream = decision.isStream ?? true
  }
  return respond(pipeline, exchange, { stream: body, assets: NO_ASSETS, head: '', hydrate: undefined })
}

function ended(exchange: Exchange, response: Response): Response {
  exchange.finish()
  return response
}

/** Data goes through as it is; the request is over when it is. */
function until(exchange: Exchange, response: Response, body: ReadableStream<Uint8Array>): Response {
  const reader = body.getReader()
  const passed = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read()
          if (!done) return controller.enqueue(value)
          exchange.finish()
          controller.close()
        } catch (error) {
          exchange.report(error)
          exchange.finish()
          controller.error(error)
        }
      },
      async cancel(reason) {
        exchange.giveUp('cancel', reason ?? new DOMException('The response is not read any more.', 'AbortError'))
        await reader.cancel(reason)
        exchange.finish()
      },
    },
    { highWaterMark: 0 },
  )
  return new Response(passed, { status: response.status, statusText: response.statusText, headers: response.headers })
}
