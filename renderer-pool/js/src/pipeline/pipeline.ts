/** A definition at work: its server, its hooks, its counters. */

import { Exchange, type ErrorCode } from './exchange.ts'
import { HookError, HookRunner } from './hook.ts'
import { DEFAULT_LIMITS, type HostLimits, type PipelineControl, type ServerInfo } from './host.ts'
import { Registry, type Counter } from './metrics.ts'
import { DEFAULT_ABORT_DELAY, type Hooks } from './options.ts'
import { AppServer } from './server_app.ts'
import { nothing } from './shapes.ts'

/** What a host may hand to `fetch`. */
export interface FetchOptions {
  /** Given to hooks as `context.host`, to endpoints as `context`. */
  context?: unknown
  /** Sends a `103 Early Hints`. */
  onEarlyHints?: (event: EarlyHintsEvent) => void | Promise<void>
  responseLinkHeader?: unknown
}

/** As TanStack Start tells its hosts. */
export interface EarlyHintsEvent {
  phase: 'static' | 'dynamic'
  hints: readonly unknown[]
  /** Values of `Link` fields. */
  links: string[]
  allHints: readonly unknown[]
  allLinks: string[]
}

/** The part of a definition that all its requests share. */
export class Pipeline implements PipelineControl {
  readonly version = 1
  readonly hooks: Hooks
  readonly runner: HookRunner
  readonly #registry = new Registry()
  readonly #errors: Counter<'code'>
  readonly #app = new AppServer(this.#registry)
  #created: Promise<void> | undefined

  constructor(hooks: Hooks) {
    this.hooks = hooks
    this.#errors = this.#registry.counter({
      name: 'render_errors_total',
      help: 'Errors of page renders, by what ended or disturbed them.',
      labels: ['code'],
    })
    const failures = this.#registry.counter({
      name: 'hook_failures_total',
      help: 'Hooks of the render pipeline that failed.',
      labels: ['hook', 'kind'],
    })
    this.runner = new HookRunner(DEFAULT_LIMITS.hookTimeoutMs, failures)
  }

  create(limits: HostLimits = DEFAULT_LIMITS): Promise<void> {
    this.#created ??= this.#create(limits)
    return this.#created
  }

  async #create(limits: HostLimits) {
    this.runner.timeoutMs = limits.hookTimeoutMs
    this.#registry.limit(limits)
    const { onServerCreated } = this.hooks
    if (onServerCreated) await this.runner.run('onServerCreated', () => onServerCreated(this.#app), nothing)
    this.#app.close()
  }

  async started(info: ServerInfo) {
    const { onServerStarted } = this.hooks
    if (!onServerStarted) return
    // It is logged; the isolate serves all the same.
    await this.runner.run('onServerStarted', () => onServerStarted(info), nothing).catch(ignore)
  }

  takeMetrics() {
    return this.#registry.take()
  }

  /** Answers through the app's middleware and endpoints, with `page` behind them. */
  async answer(
    request: Request,
    options: FetchOptions | undefined,
    page: (request: Request) => Promise<Response>,
  ): Promise<Response> {
    // Where no host does it: in Node, or under `vite dev`.
    if (this.#created === undefined) await this.create()
    else await this.#created
    return this.#app.answer(request, options?.context, page)
  }

  /** A new page request. */
  exchange(request: Request, options: FetchOptions | undefined): Exchange {
    const exchange: Exchange = new Exchange(
      request,
      options?.context,
      this.hooks.abortDelay ?? DEFAULT_ABORT_DELAY,
      {
        onError: (code, error) => this.#tell(exchange, code, error),
        onLateWrite: () => {
          const cause = 'context.write() was called when nothing could be sent any more, or too much was waiting'
          this.runner.failed('write', new HookError('write', 'late', cause))
        },
      },
    )
    return exchange
  }

  #tell(exchange: Exchange, code: ErrorCode, error: unknown) {
    this.#errors.inc({ code })
    const { onError } = this.hooks
    const { route, elapsed } = exchange
    if (onError) {
      const told = () => onError({ context: exchange as never, code, error, route, elapsed })
      void this.runner.run('onError', told, nothing).catch(ignore)
    } else if (code === 'render' && !(error instanceof HookError)) {
      console.error(`the render of ${route} failed:`, error)
    } else if (code === 'timeout') {
      console.warn(`the render of ${route} was given up after ${Math.round(elapsed)} ms`)
    }
  }
}

/** A hook's failure has been counted and logged where it happened. */
function ignore(): void {}
