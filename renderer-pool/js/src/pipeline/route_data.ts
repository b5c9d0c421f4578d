/**
 * Data requests: the client's router asks for one route's data, `?_data=ROUTE_ID`, in place of a page.
 * `remoteLoader` and `remoteAction` of `@isopod/app/client/react-router` are the other side.
 *
 * The answer is JSON lines of seroval's cross-referenced nodes: the value first, then what its promises came to.
 */

import type { StaticHandler } from 'react-router'
import { Feature, toCrossJSONStream } from 'seroval'

import { DATA_PARAMETER, KIND_HEADER, LOCATION_HEADER } from './data_protocol.ts'
import type { Exchange } from './exchange.ts'
import { awaited, sentError } from './router_state.ts'

const CONTENT_TYPE = 'application/x-ndjson; charset=utf-8'

export function dataRouteOf(url: URL): string | undefined {
  return url.searchParams.get(DATA_PARAMETER) ?? undefined
}

/** Runs the loader or the action of the route `routeId`, and no other loader. */
export async function answerData(handler: StaticHandler, exchange: Exchange, routeId: string): Promise<Response> {
  const request = withoutParameter(exchange.request)
  const context = await handler.query(request, {
    requestContext: exchange,
    filterMatchesToLoad: ({ route }) => route.id === routeId,
    skipLoaderErrorBubbling: true,
    skipRevalidation: true,
  })
  if (context instanceof Response) return redirected(context)
  const isAction = request.method !== 'GET' && request.method !== 'HEAD'
  const data = (isAction ? context.actionData : context.loaderData) ?? {}
  const headers = (isAction ? context.actionHeaders : context.loaderHeaders)[routeId]
  if (routeId in data && !(context.errors && routeId in context.errors)) {
    return lines(exchange, 'value', data[routeId], { status: context.statusCode, headers })
  }
  const error = Object.values(context.errors ?? {})[0] ?? noSuchRoute(routeId)
  if (error instanceof Error) exchange.report(error)
  return lines(exchange, 'error', sentError(error), { status: context.errors ? context.statusCode : 404, headers })
}

/** The page at this URL has no such route, or the route no data. */
function noSuchRoute(routeId: string) {
  return { status: 404, statusText: 'Not Found', data: `the route '${routeId}' has no data here` }
}

/** The app sees the URL of its page. */
function withoutParameter(request: Request): Request {
  const url = new URL(request.url)
  url.searchParams.delete(DATA_PARAMETER)
  return new Request(url, request)
}

/** A browser would follow a redirect before the client's router sees it. */
function redirected(response: Response): Response {
  const headers = new Headers(response.headers)
  const location = headers.get('location') ?? '/'
  headers.delete('location')
  headers.set(KIND_HEADER, 'redirect')
  headers.set(LOCATION_HEADER, location)
  return new Response(null, { status: 204, headers })
}

interface LinesInit {
  status: number
  headers: Headers | undefined
}

function lines(exchange: Exchange, kind: 'value' | 'error', data: unknown, init: LinesInit): Response {
  const headers = new Headers(init.headers)
  headers.set('content-type', CONTENT_TYPE)
  headers.set(KIND_HEADER, kind)
  if (!headers.has('cache-control')) headers.set('cache-control', 'no-store')
  const encoder = new TextEncoder()
  const value = awaited({ data }, exchange.signal)['data']
  exchange.isHeld = true
  let stop = () => {}
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      stop = toCrossJSONStream(value, {
        disabledFeatures: Feature.ErrorPrototypeStack,
        onParse: (node) => controller.enqueue(encoder.encode(`${JSON.stringify(node)}\n`)),
        onError(error) {
          exchange.report(error)
          exchange.finish()
          controller.error(error)
        },
        onDone() {
          exchange.finish()
          controller.close()
        },
      })
    },
    cancel() {
      stop()
      exchange.finish()
    },
  })
  return new Response(body, { status: init.status, headers })
}
