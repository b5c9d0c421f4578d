/** What an app tells `defineRenderPipeline` and `withPipeline`. */

import type { ErrorCode, RequestContext } from './exchange.ts'
import type { ServerInfo } from './host.ts'
import type { Renderer } from './renderer.ts'
import type { ServerApp } from './server_app.ts'
import type { RequestDecision, RouterDecision, ShellDecision } from './shapes.ts'

type Awaitable<T> = T | Promise<T>

/** What `onError` is told. */
export interface PipelineError<AppProps = Record<string, unknown>> {
  context: RequestContext<AppProps>
  code: ErrorCode
  /** What was thrown, or the reason of the abort. */
  error: unknown
  /** The pattern of the matched route. */
  route: string
  /** Milliseconds since the request came. */
  elapsed: number
}

/** The hooks, in the order in which they are called. All are optional. */
export interface Hooks<AppProps extends object = Record<string, unknown>> {
  /** Once in each isolate, before it takes requests. If it fails, the app does not start. */
  onServerCreated?(app: ServerApp): Awaitable<void>
  /** In each isolate, once the gateway listens. */
  onServerStarted?(info: ServerInfo): Awaitable<void>
  /** For each page request, before anything is loaded. */
  onRequest?(
    request: Request,
    extra: { context: RequestContext<AppProps> },
  ): Awaitable<RequestDecision<AppProps> | void>
  /** The router has matched and loaded. */
  onRouterReady?(extra: { context: RequestContext<AppProps> }): Awaitable<RouterDecision | void>
  /** The first HTML is ready; the head of the response goes out next. */
  onShellReady?(extra: { context: RequestContext<AppProps> }): Awaitable<ShellDecision | void>
  /** For each chunk of the renderer's HTML, in order; may return another text for it. */
  onResponse?(extra: { context: RequestContext<AppProps>; html: string }): Awaitable<string | void>
  /** Before the first HTML goes out and again at the document's end; named values for `getServerState`. */
  getState?(extra: { context: RequestContext<AppProps> }): Awaitable<Record<string, unknown> | void>
  /** There is no page; may return the HTML to send instead, and set `context.response.status`. */
  onShellError?(extra: { context: RequestContext<AppProps>; error: unknown }): Awaitable<string | void>
  /** Once for each cause. For logs and metrics: nothing can be written any more. */
  onError?(error: PipelineError<AppProps>): Awaitable<void>
  /** Milliseconds after which a render is given up. Default: 15,000. */
  abortDelay?: number
}

/** What `defineRenderPipeline` takes. */
export interface RenderPipelineOptions<AppProps extends object = Record<string, unknown>> extends Hooks<AppProps> {
  /** What makes pages: `react(App)`, `solid(App)`, each with a router or without one. */
  render: Renderer
}

const HOOKS = [
  'onServerCreated',
  'onServerStarted',
  'onRequest',
  'onRouterReady',
  'onShellReady',
  'onResponse',
  'getState',
  'onShellError',
  'onError',
]

export const DEFAULT_ABORT_DELAY = 15_000

/** `setTimeout` takes no more (HTML, section 8.6). */
const MAX_DELAY = 2 ** 31 - 1

/**
 * Checks options as a whole, so that a mistake is seen where it is made.
 *
 * @throws {TypeError} names the option, what was given and what is allowed
 */
export function checkOptions(caller: string, options: unknown, others: readonly string[]): asserts options is Hooks {
  if (options === null || typeof options !== 'object') throw new TypeError(`${caller}() takes an object of hooks`)
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || others.includes(name)) continue
    if (HOOKS.includes(name)) {
      if (typeof value !== 'function') throw new TypeError(`${caller}(): '${name}' must be a function`)
    } else if (name === 'abortDelay') {
      if (!Number.isInteger(value) || (value as number) < 1 || (value as number) > MAX_DELAY) {
        throw new TypeError(`${caller}(): 'abortDelay' is ${String(value)}, it must be whole milliseconds from 1 on`)
      }
    } else {
      const known = [...others, ...HOOKS, 'abortDelay'].join(', ')
      throw new TypeError(`${caller}(): there is no option '${name}'; there are ${known}`)
    }
  }
}
