/** What a renderer is made of: a view, which turns components into HTML, and a router, which decides which. */

import type { Exchange } from './exchange.ts'

/** What the router has found and loaded for a request. */
export interface Loaded {
  /** The router's own context: `context.router` of the hooks. */
  context: unknown
  /** The pattern of the matched route. */
  route: string
  status: number
  headers: Headers
  /** Module ids that the matched routes were loaded from, for their styles and preloads. */
  modules: readonly string[]
  /** What the view of that name shows inside of the app's component; `undefined` where the app does it itself. */
  element(view: string): unknown
  /** The router shows the whole document, with what hydration needs in its head. */
  hasDocument?: boolean
  /** HTML that hands the router's data to the client; may go on pushing to `exchange.injections`. */
  hydrate?(exchange: Exchange): string
  /** Adds the router's own scripts to the stream. */
  wrap?(stream: ReadableStream<Uint8Array>): ReadableStream<Uint8Array>
}

/** Which route a URL would match, before anything is loaded. */
export interface Match {
  route: string
  modules: readonly string[]
}

/** Decides what is shown, anew for each request. */
export interface PageRouter {
  readonly name: string
  /** The match of a URL, for early hints; `undefined` where that is not known before loading. */
  match?(url: URL): Match | undefined
  /**
   * Loads the data of a request and calls `render` with it, unless the answer is no page: a redirect, data, a
   * resource.
   */
  handle(exchange: Exchange, render: (loaded: Loaded) => Promise<Response>): Promise<Response>
}

/** A page that has begun to render. */
export interface Rendering {
  stream: ReadableStream<Uint8Array>
  /** Resolves when nothing is pending any more. */
  allReady: Promise<unknown>
}

/** Turns components into HTML. */
export interface View {
  readonly name: string
  /**
   * Renders until the shell is ready. Rejects when it fails. Errors behind the shell go to `exchange.report`. The
   * render ends when `exchange.signal` aborts, with what is pending left to the client.
   *
   * @param whole wait for everything: no client of a stream will read it
   */
  render(exchange: Exchange, loaded: Loaded, whole: boolean): Promise<Rendering>
  /** HTML that the client's code needs before anything else. */
  head?(exchange: Exchange): string
}

/** What `defineRenderPipeline` takes as `render`. */
export interface Renderer {
  readonly view: View
  readonly router: PageRouter
}

/** Without a router: every request is the same page. */
export const noRouter: PageRouter = {
  name: 'none',
  handle: (_exchange, render) =>
    render({ context: undefined, route: '*', status: 200, headers: new Headers(), modules: [], element: nothing }),
}

function nothing(): void {}
