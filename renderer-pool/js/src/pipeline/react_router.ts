/** `@isopod/app/react-router`: React Router's static handler as a router. Other views than React's show what the hooks know as `context.router`. */

import { createElement } from 'react'
import {
  createStaticHandler,
  createStaticRouter,
  matchRoutes,
  StaticRouterProvider,
  type RouteObject,
  type StaticHandler,
  type StaticHandlerContext,
} from 'react-router'

import type { Exchange } from './exchange.ts'
import { modulesOf } from './modules.ts'
import type { Loaded, Match, PageRouter } from './renderer.ts'
import { answerData, dataRouteOf } from './route_data.ts'
import { hydrationScript } from './router_state.ts'

export interface ReactRouterOptions {
  /** Where the app lives. Default: `/`. */
  basename?: string
}

/** Matches, loads and acts with `createStaticHandler`; a new router for each request. */
export function reactRouter(routes: RouteObject[], { basename = '/' }: ReactRouterOptions = {}): PageRouter {
  return new StaticRouter(routes, basename)
}

class StaticRouter implements PageRouter {
  readonly name = 'react-router'
  readonly #basename: string
  readonly #handler: StaticHandler
  /** By route id; taken before the handler forgets what it was loaded from. */
  readonly #modules = new Map<string, readonly string[]>()

  constructor(routes: RouteObject[], basename: string) {
    this.#basename = basename
    this.#handler = createStaticHandler(routes, { basename })
    this.#note(routes, this.#handler.dataRoutes)
  }

  match(url: URL): Match | undefined {
    const matches = matchRoutes(this.#handler.dataRoutes, url, this.#basename)
    if (matches === null) return undefined
    return { route: pattern(matches), modules: this.#modulesOf(matches) }
  }

  async handle(exchange: Exchange, render: (loaded: Loaded) => Promise<Response>): Promise<Response> {
    const { request } = exchange
    const dataRoute = dataRouteOf(exchange.url)
    if (dataRoute !== undefined) {
      exchange.route = this.match(exchange.url)?.route ?? '*'
      return answerData(this.#handler, exchange, dataRoute)
    }
    const matches = matchRoutes(this.#handler.dataRoutes, exchange.url, this.#basename)
    if (matches !== null) exchange.route = pattern(matches)
    const leaf = matches?.at(-1)?.route
    if (leaf !== undefined && isResource(leaf)) {
      return asResponse(await this.#handler.queryRoute(request, { routeId: leaf.id!, requestContext: exchange }))
    }
    const context = await this.#handler.query(request, { requestContext: exchange })
    return context instanceof Response ? context : render(this.#loaded(context, exchange))
  }

  #loaded(context: StaticHandlerContext, exchange: Exchange): Loaded {
    const router = createStaticRouter(this.#handler.dataRoutes, context)
    // The provider's own script cannot carry promises; ours can.
    const element = () => createElement(StaticRouterProvider, { router, context, hydrate: false })
    for (const error of Object.values(context.errors ?? {})) {
      if (error instanceof Error) exchange.report(error)
    }
    return {
      context,
      route: pattern(context.matches),
      status: context.statusCode,
      headers: responseHeaders(context),
      modules: this.#modulesOf(context.matches),
      element: (view) => (view === 'react' ? element() : undefined),
      hydrate: (exchange) => hydrationScript(context, exchange),
    }
  }

  #modulesOf(matches: readonly { route: { id?: string } }[]): string[] {
    return matches.flatMap(({ route }) => this.#modules.get(route.id ?? '') ?? [])
  }

  #note(given: readonly RouteObject[], known: readonly RouteObject[]) {
    given.forEach((route, i) => {
      const own = known[i]
      if (own?.id === undefined) return
      this.#modules.set(own.id, modulesOf(route.lazy))
      this.#note(route.children ?? [], own.children ?? [])
    })
  }
}

/** A route without anything to show answers by itself, from its loader or action. */
function isResource(route: RouteObject): boolean {
  const { element, Component, lazy, children, errorElement, ErrorBoundary } = route
  const shows = [element, Component, lazy, children, errorElement, ErrorBoundary].some((part) => part !== undefined)
  return !shows && (route.loader !== undefined || route.action !== undefined)
}

function asResponse(value: unknown): Response {
  return value instanceof Response ? value : Response.json(value ?? null)
}

/** The matched routes' paths joined: `/notes/:id`. */
function pattern(matches: readonly { route: { path?: string } }[]): string {
  const parts = matches.map(({ route }) => route.path ?? '').filter((path) => path !== '')
  return `/${parts.join('/')}`.replace(/\/+/g, '/').replace(/(.)\/$/, '$1')
}

/** Headers of the loaders, outermost first, then those of the action, whose cookies and caching win. */
function responseHeaders(context: StaticHandlerContext): Headers {
  const headers = new Headers()
  const sources = context.matches.map(({ route }) => context.loaderHeaders[route.id!])
  sources.push(...Object.values(context.actionHeaders))
  for (const source of sources) {
    source?.forEach((value, name) => {
      if (name === 'set-cookie') headers.append(name, value)
      else if (name !== 'content-type' && name !== 'content-length') headers.set(name, value)
    })
  }
  return headers
}
