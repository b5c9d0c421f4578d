/** The way of a page request through hooks, router and view. */

import { assetSource, collectAssets, linkValues, type PageAssets } from './assets.ts'
import type { Exchange } from './exchange.ts'
import { outcomeResponse } from './host.ts'
import type { FetchOptions, Pipeline } from './pipeline.ts'
import type { Loaded, Renderer } from './renderer.ts'
import { respond } from './respond.ts'
import { fatalPage, requestDecision, routerDecision } from './shapes.ts'

const TIMEOUT_STATUS = 504
const FATAL_STATUS = 500

/** Answers a request with a page of `renderer`. */
export async function answerPage(
  pipeline: Pipeline,
  renderer: Renderer,
  request: Request,
  options: FetchOptions | undefined,
): Promise<Response> {
  const exchange = pipeline.exchange(request, options)
  try {
    const decided = await decide(pipeline, exchange, request)
    if (decided.answer !== undefined) {
      exchange.finish()
      return decided.answer
    }
    if (decided.hasEarlyHints) await hint(exchange, renderer, options)
    const response = await renderer.router.handle(exchange, (loaded) => show(pipeline, renderer, exchange, loaded))
    // The response may be the router's own: a redirect, data, a resource.
    if (exchange.isPage) return response
    if (!exchange.isHeld) exchange.finish()
    return withHeaders(response, exchange.response.headers)
  } catch (error) {
    return fatalResponse(pipeline, exchange, error)
  }
}

/** What hooks set for the page, a session's cookie say, belongs to a redirect as well; the router's own wins. */
function withHeaders(response: Response, set: Headers): Response {
  const fields = [...set].filter(([name]) => name === 'set-cookie' || !response.headers.has(name))
  if (fields.length === 0) return response
  const headers = new Headers(response.headers)
  for (const [name, value] of fields) headers.append(name, value)
  const { status, statusText } = response
  return new Response(response.body, { status, statusText, headers })
}

async function decide(pipeline: Pipeline, exchange: Exchange, request: Request) {
  const { onRequest } = pipeline.hooks
  if (!onRequest) return { answer: undefined, hasEarlyHints: false }
  const call = () => onRequest(request, { context: exchange as never })
  const decision = await pipeline.runner.run('onRequest', call, requestDecision)
  exchange.appProps = decision.appProps ?? {}
  let answer: Response | undefined
  if (decision.shouldCancel) answer = decision.response ?? outcomeResponse('cancel')
  else if (decision.shouldSkip) answer = outcomeResponse('skip')
  return { answer, hasEarlyHints: decision.hasEarlyHints ?? false }
}

/** Tells the client what the matched route needs, before its data is loaded. A hint is none of the page's duties. */
async function hint(exchange: Exchange, renderer: Renderer, options: FetchOptions | undefined) {
  if (options?.onEarlyHints === undefined) return
  try {
    const match = renderer.router.match?.(exchange.url)
    const links = linkValues(await collectAssets(match?.modules ?? []))
    if (links.length === 0) return
    await options.onEarlyHints({ phase: 'static', hints: [], links, allHints: [], allLinks: links })
  } catch (error) {
    console.warn('early hints were not sent:', error)
  }
}

async function show(pipeline: Pipeline, renderer: Renderer, exchange: Exchange, loaded: Loaded): Promise<Response> {
  const { runner, hooks } = pipeline
  exchange.router = loaded.context
  exchange.route = loaded.route
  exchange.response.status = loaded.status
  loaded.headers.forEach((value, name) => exchange.response.headers.append(name, value))
  Object.assign(exchange.html, assetSource()?.template)
  const { onRouterReady } = hooks
  if (onRouterReady) {
    const call = () => onRouterReady({ context: exchange as never })
    // How a page is sent is no reason not to send it.
    const decision = await runner.run('onRouterReady', call, routerDecision).catch((error: unknown) => {
      exchange.report(error)
      return {}
    })
    exchange.isStream = ('isStream' in decision ? decision.isStream : undefined) ?? true
  }
  const assets: PageAssets = await collectAssets(loaded.modules)
  const isHead = exchange.request.method === 'HEAD'
  const whole = !exchange.isStream && !isHead
  const rendering = await renderer.view.render(exchange, loaded, whole)
  if (whole) await rendering.allReady
  const stream = loaded.wrap === undefined ? rendering.stream : loaded.wrap(rendering.stream)
  return respond(pipeline, exchange, {
    stream,
    assets,
    head: loaded.hasDocument ? '' : (renderer.view.head?.(exchange) ?? ''),
    hydrate: loaded.hydrate && (() => loaded.hydrate!(exchange)),
  })
}

export async function fatalResponse(pipeline: Pipeline, exchange: Exchange, error: unknown): Promise<Response> {
  exchange.report(error)
  exchange.drop()
  const { response } = exchange
  response.status = exchange.code === 'timeout' ? TIMEOUT_STATUS : FATAL_STATUS
  const headers = new Headers({ 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' })
  // What the app set for its page, such as cookies, is not the fatal page's; the hook may set its own.
  response.headers = headers
  const { onShellError } = pipeline.hooks
  let html: string | undefined
  if (onShellError) {
    const call = () => onShellError({ context: exchange as never, error })
    html = await pipeline.runner.run('onShellError', call, fatalPage).catch(() => undefined)
  }
  exchange.finish()
  const status = Number.isInteger(response.status) && response.status >= 200 && response.status <= 599
    ? response.status
    : FATAL_STATUS
  return new Response(html ?? defaultPage(status), { status, headers: response.headers })
}

function defaultPage(status: number): string {
  const message = status === TIMEOUT_STATUS ? 'The page took too long.' : 'The page failed.'
  return (
    `<!doctype html><html lang="en"><meta charset="utf-8"><title>${status}</title>` +
    `<h1>${status}</h1><p>${message}</p></html>\n`
  )
}
