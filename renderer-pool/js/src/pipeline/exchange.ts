/** One page request: what hooks see of it, what ends it, and whom that is told. */

import type { Injections } from './injections.ts'

/** Why something went wrong: time was up, the app or the host gave up, the client left, or code threw. */
export type ErrorCode = 'timeout' | 'abort' | 'cancel' | 'render'

/** The response's head as hooks may change it, until it is sent. */
export interface ResponseHead {
  status: number
  headers: Headers
}

/** What every hook of a request is given as `context`. */
export interface RequestContext<AppProps = Record<string, unknown>, Router = unknown> {
  readonly request: Request
  readonly url: URL
  /** What the caller of `fetch` handed over as `opts.context`. */
  readonly host: unknown
  /** What `onRequest` returned. */
  readonly appProps: AppProps
  /** The router's own context, from `onRouterReady` on. */
  readonly router: Router
  /** The pattern of the matched route, such as `/notes/:id`; `*` without a router or a match. */
  readonly route: string
  /** The response's status and headers. Changes after `onShellReady` have no effect: they are sent then. */
  readonly response: ResponseHead
  /** Aborts when the render is given up: on timeout, when the client leaves, by {@link abort}. */
  readonly signal: AbortSignal
  /** Whether the page is sent as it renders. */
  readonly isStream: boolean
  /** Milliseconds since the request came. */
  readonly elapsed: number
  /** Stands on every script that the pipeline or the renderer writes; set it in `onRequest`. */
  nonce: string | undefined
  /** What surrounds the page where a template is used; `onShellReady` may return other texts. */
  readonly html: { header: string; footer: string }
  /** Gives the render up: what is not ready yet becomes the client's work. */
  abort(reason?: unknown): void
  /** Runs `cleanup` once when the request is over, however it ends. */
  onEnd(cleanup: () => void): void
  /** Writes HTML between two chunks, where no element is open but `body`. Says whether it will be sent. */
  write(html: string): boolean
}

/** The render was given up after `abortDelay`. */
export class RenderTimeoutError extends Error {
  override name = 'TimeoutError'
}

/** The app gave the render up. */
export class RenderAbortError extends Error {
  override name = 'AbortError'
}

export interface ExchangeEvents {
  /** Called once for each cause. */
  onError(code: ErrorCode, error: unknown): void
  /** A hook wrote where nothing can be written any more. */
  onLateWrite(): void
}

/** See {@link RequestContext}. */
export class Exchange implements RequestContext {
  readonly request: Request
  readonly url: URL
  readonly host: unknown
  readonly response: ResponseHead = { status: 200, headers: new Headers() }
  readonly html = { header: '', footer: '' }
  appProps: Record<string, unknown> = {}
  router: unknown = undefined
  route = '*'
  isStream = true
  nonce: string | undefined = undefined
  /** What is written between chunks; set once the body is under way. */
  injections: Injections | undefined = undefined
  /** A body is under way whose end ends the request. */
  isHeld = false
  /** The response is a page, with {@link response} as its head. */
  isPage = false
  readonly #events: ExchangeEvents
  readonly #controller = new AbortController()
  readonly #started = performance.now()
  readonly #told = new Set<unknown>()
  readonly #cleanups: (() => void)[] = []
  readonly #timer: ReturnType<typeof setTimeout>
  readonly #outer: AbortSignal
  readonly #onOuter: () => void
  #code: ErrorCode | undefined
  #over = false

  constructor(request: Request, host: unknown, abortDelay: number, events: ExchangeEvents) {
    this.#events = events
    this.#outer = request.signal
    this.host = host
    this.url = new URL(request.url)
    this.request = withSignal(request, this.#controller.signal)
    this.#onOuter = () => this.giveUp(codeOf(this.#outer.reason), this.#outer.reason)
    this.#timer = setTimeout(() => {
      this.giveUp('timeout', new RenderTimeoutError(`The render took longer than ${abortDelay} ms (abortDelay).`))
    }, abortDelay)
    if (this.#outer.aborted) this.#onOuter()
    else this.#outer.addEventListener('abort', this.#onOuter, { once: true })
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  get elapsed(): number {
    return performance.now() - this.#started
  }

  /** Why the render was given up, if it was. */
  get code(): ErrorCode | undefined {
    return this.#code
  }

  abort(reason: unknown = new RenderAbortError('The app gave the render up.')) {
    this.giveUp('abort', reason)
  }

  onEnd(cleanup: () => void) {
    if (this.#over) run(cleanup)
    else this.#cleanups.push(cleanup)
  }

  write(html: string): boolean {
    if (typeof html !== 'string') throw new TypeError('context.write() takes HTML as a string')
    if (!this.#over && this.injections?.push(html)) return true
    this.#events.onLateWrite()
    return false
  }

  /** Aborts the render, and tells why; only the first cause counts. */
  giveUp(code: ErrorCode, reason: unknown) {
    if (this.#over || this.signal.aborted) return
    this.#code = code
    this.#told.add(reason)
    this.#controller.abort(reason)
    this.#events.onError(code, reason)
  }

  /** Aborts the render and tells nobody: its rest is not needed. */
  drop() {
    if (!this.signal.aborted) this.#controller.abort(new RenderAbortError('The rest of the page is not needed.'))
    this.#code ??= 'abort'
  }

  /** Tells of an error unless it was told, or only follows from the end of the render. */
  report(error: unknown) {
    if (this.signal.aborted && this.isConsequence(error)) return
    if (this.#told.has(error)) return
    this.#told.add(error)
    this.#events.onError('render', error)
  }

  isConsequence(error: unknown): boolean {
    if (error === this.signal.reason) return true
    const name = (error as { name?: unknown } | null | undefined)?.name
    return name === 'AbortError' || name === 'TimeoutError'
  }

  /** The request is over: timers stop, cleanups run. */
  finish() {
    if (this.#over) return
    this.#over = true
    clearTimeout(this.#timer)
    this.#outer.removeEventListener('abort', this.#onOuter)
    this.#cleanups.forEach(run)
  }
}

function run(cleanup: () => void) {
  try {
    cleanup()
  } catch (error) {
    console.error('a cleanup of context.onEnd() threw:', error)
  }
}

function codeOf(reason: unknown): ErrorCode {
  const name = (reason as { name?: unknown } | null | undefined)?.name
  return name === 'TimeoutError' ? 'timeout' : name === 'AbortError' ? 'cancel' : 'abort'
}

/** What hosts add to a request beyond the standard, and a copy would lose. */
const HOST_PROPERTIES = ['ip', 'runtime', 'waitUntil'] as const

/** The same request with another signal. */
export function withSignal(request: Request, signal: AbortSignal): Request {
  const copy = new Request(request, { signal })
  for (const name of HOST_PROPERTIES) {
    const value = (request as unknown as Record<string, unknown>)[name]
    if (value !== undefined && (copy as unknown as Record<string, unknown>)[name] !== value) {
      Object.defineProperty(copy, name, { value, configurable: true })
    }
  }
  return copy
}
