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

/** Runs the loader or action of the route `routeId`. */
export async function answerData(handler: StaticHandler, exchange: Exchange, routeId: string): Promise<Response> {
  const request = withoutParameter(exchange.request)
  try {
    const found = await handler.queryRoute(request, { routeId, requestContext: exchange })
    if (found instanceof Response) return fromResponse(found)
    const { data, init } = unwrapped(found)
    return lines(exchange, 'value', data, init)
  } catch (error) {
    if (error instanceof Response) return fromResponse(error)
    if (exchange.signal.aborted) throw error
    const sent = sentError(unwrapErrorData(error))
    const status = sent.status ?? 500
    if (sent.kind === 'error') exchange.report(error)
    return lines(exchange, 'error', sent, { status })
  }
}

/** The app sees the URL of its page. */
function withoutParameter(request: Request): Request {
  const url = new URL(request.url)
  url.searchParams.delete(DATA_PARAMETER)
  return new Request(url, request)
}

interface DataWithInit {
  type: 'DataWithResponseInit'
  data: unknown
  init: ResponseInit | null
}

function isDataWithInit(value: unknown): value is DataWithInit {
  return value !== null && typeof value === 'object' && (value as DataWithInit).type === 'DataWithResponseInit'
}

/** What `data(value, init)` of React Router holds. */
function unwrapped(value: unknown): { data: unknown; init: ResponseInit } {
  return isDataWithInit(value) ? { data: value.data, init: value.init ?? {} } : { data: value, init: {} }
}

function unwrapErrorData(error: unknown): unknown {
  if (!isDataWithInit(error)) return error
  const { status = 500, statusText = '' } = error.init ?? {}
  return { status, statusText, data: error.data }
}

/** A browser would follow a redirect before the client's router sees it. */
function fromResponse(response: Response): Response {
  const location = response.headers.get('location')
  if (response.status < 300 || response.status > 399 || location === null) return response
  const headers = new Headers(response.headers)
  headers.delete('location')
  headers.set(KIND_HEADER, 'redirect')
  headers.set(LOCATION_HEADER, location)
  return new Response(null, { status: 204, headers })
}

function lines(exchange: Exchange, kind: string, data: unknown, init: ResponseInit): Response {
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
  return new Response(body, { status: init.status ?? 200, headers })
}
