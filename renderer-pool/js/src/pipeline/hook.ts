/** Runs hooks: each is bounded in time, its failure names it. */

import type { Counter } from './metrics.ts'

export type HookName =
  | 'onServerCreated'
  | 'onServerStarted'
  | 'onRequest'
  | 'onRouterReady'
  | 'onShellReady'
  | 'onResponse'
  | 'getState'
  | 'onShellError'
  | 'onError'
  | 'write'

/** How a hook failed: the `kind` label of `app_hook_failures_total`. */
export type HookFailure = 'threw' | 'timeout' | 'shape' | 'late'

/** A hook failed. Its message names the hook; `cause` is what the hook threw. */
export class HookError extends Error {
  override name = 'HookError'
  readonly hook: HookName
  readonly kind: HookFailure

  constructor(hook: HookName, kind: HookFailure, message: string, options?: ErrorOptions) {
    super(`${hook}: ${message}`, options)
    this.hook = hook
    this.kind = kind
  }
}

/** What a hook returned cannot be used; the message says what it may return. */
export class ShapeError extends Error {
  override name = 'ShapeError'
}

/** The hooks' runner of one pipeline. */
export class HookRunner {
  timeoutMs: number
  readonly #failures: Counter<'hook' | 'kind'>

  constructor(timeoutMs: number, failures: Counter<'hook' | 'kind'>) {
    this.timeoutMs = timeoutMs
    this.#failures = failures
  }

  /**
   * Calls a hook and checks what it returned.
   *
   * @throws {HookError} when it throws, rejects, takes too long, or returns what `check` refuses; it is logged then
   */
  async run<T>(hook: HookName, call: () => unknown, check: (value: unknown) => T): Promise<T> {
    try {
      const returned = call()
      // What is there at once costs no timer.
      const value = isThenable(returned) ? await this.#within(hook, returned) : returned
      return check(value)
    } catch (error) {
      throw this.failed(hook, error)
    }
  }

  /** Makes a hook's failure known: counts and logs it. */
  failed(hook: HookName, error: unknown): HookError {
    const failure = asHookError(hook, error)
    this.#failures.inc({ hook, kind: failure.kind })
    console.error(failure)
    return failure
  }

  async #within(hook: HookName, pending: PromiseLike<unknown>): Promise<unknown> {
    let timer: ReturnType<typeof setTimeout> | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(new HookError(hook, 'timeout', `did not resolve within ${this.timeoutMs} ms (hook_timeout)`))
      }, this.timeoutMs)
    })
    try {
      return await Promise.race([pending, late])
    } finally {
      clearTimeout(timer)
    }
  }
}

function asHookError(hook: HookName, error: unknown): HookError {
  if (error instanceof HookError) return error
  if (error instanceof ShapeError) return new HookError(hook, 'shape', error.message)
  const message = error instanceof Error ? error.message : String(error)
  return new HookError(hook, 'threw', `threw: ${message}`, { cause: error })
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return value !== null && typeof value === 'object' && typeof (value as { then?: unknown }).then === 'function'
}
