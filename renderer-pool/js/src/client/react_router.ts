/** `@isopod/app/client/react-router`: React Router's data from the server, at the start and later. */

import {
  createBrowserRouter,
  matchRoutes,
  redirect,
  UNSAFE_ErrorResponseImpl as ErrorResponse,
  type ActionFunctionArgs,
  type HydrationState,
  type LoaderFunctionArgs,
  type RouteObject,
} from 'react-router'
import { valueOfLines } from './lines.ts'
import type { RouterData, SentError } from '../pipeline/router_state.ts'
import { DATA_PARAMETER, KIND_HEADER, LOCATION_HEADER } from '../pipeline/data_protocol.ts'

/**
 * The data that the page was rendered with, for `createBrowserRouter(routes, { hydrationData: hydrationData() })`.
 * `undefined` where the page was not rendered on the server: the router loads for itself then.
 */
export function hydrationData(): HydrationState | undefined {
  const sent = (globalThis as { $isopodRouter?: RouterData }).$isopodRouter
  if (sent === undefined) return undefined
  const errors = sent.errors && Object.entries(sent.errors).map(([id, error]) => [id, revived(error as SentError)])
  return {
    loaderData: sent.loaderData,
    actionData: sent.actionData,
    errors: errors && Object.fromEntries(errors),
  }
}

/**
 * A browser's router that goes on where the server's page stands: with its data, and with the lazy routes of the page
 * loaded, since nothing can be hydrated without them. `options` are those of `createBrowserRouter`.
 */
export async function createHydratedRouter(
  routes: RouteObject[],
  options: Parameters<typeof createBrowserRouter>[1] = {},
): Promise<ReturnType<typeof createBrowserRouter>> {
  const matches = matchRoutes(routes, window.location, options.basename) ?? []
  await Promise.all(matches.map(({ route }) => loadRoute(route)))
  return createBrowserRouter(routes, { hydrationData: hydrationData(), ...options })
}

/** Puts what `lazy` loads in its place: a function that gives all, or an object of functions for each. */
async function loadRoute(route: RouteObject) {
  const { lazy } = route
  if (lazy === undefined) return
  const loaded: object =
    typeof lazy === 'function'
      ? await lazy()
      : Object.fromEntries(
          await Promise.all(Object.entries(lazy).map(async ([name, load]) => [name, await (load as () => unknown)()])),
        )
  Object.assign(route, loaded, { lazy: undefined })
}

/** A loader for the browser that runs the loader of the route `routeId` on the server. */
export function remoteLoader(routeId: string) {
  return ({ request }: LoaderFunctionArgs): Promise<unknown> => ask(routeId, request)
}

/** An action for the browser that runs the action of the route `routeId` on the server. */
export function remoteAction(routeId: string) {
  return ({ request }: ActionFunctionArgs): Promise<unknown> => ask(routeId, request)
}

async function ask(routeId: string, request: Request): Promise<unknown> {
  const url = new URL(request.url)
  url.searchParams.set(DATA_PARAMETER, routeId)
  const { method, signal } = request
  const body = method === 'GET' || method === 'HEAD' ? undefined : await request.blob()
  const headers = new Headers({ accept: 'application/x-ndjson' })
  const type = request.headers.get('content-type')
  if (type !== null) headers.set('content-type', type)
  const response = await fetch(url, { method, signal, headers, ...(body === undefined ? {} : { body }) })
  switch (response.headers.get(KIND_HEADER)) {
    case 'value':
      return valueOfLines(response)
    case 'error':
      throw revived((await valueOfLines(response)) as SentError)
    case 'redirect':
      return redirect(response.headers.get(LOCATION_HEADER) ?? '/')
    default:
      // Not the app's own answer; the router reads a response that is thrown.
      throw response
  }
}

function revived(sent: SentError): unknown {
  if (sent.kind === 'response') return new ErrorResponse(sent.status ?? 500, sent.statusText ?? '', sent.data)
  return Object.assign(new Error(sent.message), { name: sent.name ?? 'Error', stack: '' })
}
