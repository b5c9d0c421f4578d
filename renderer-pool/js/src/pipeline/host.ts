/**
 * What the isolate and the pipeline must agree on; the other side is `boot/pipeline.js` of the renderer.
 *
 * The default export of a bundle carries {@link PIPELINE}; a response may carry {@link OUTCOME}.
 */

import type { MetricsSnapshot } from './metrics.ts'

/** Under this symbol a definition carries its {@link PipelineControl}. */
export const PIPELINE = Symbol.for('isopod.pipeline')

/** Under this symbol a response says that it is none: `'skip'` or `'cancel'`. */
export const OUTCOME = Symbol.for('isopod.outcome')

/** How a request ends without a response of its own. */
export type Outcome = 'skip' | 'cancel'

/** What the host decides. */
export interface HostLimits {
  /** How long a hook may take, in milliseconds. */
  hookTimeoutMs: number
  /** The most metrics that an app may register. */
  maxMetrics: number
  /** The most label sets that one metric may have. */
  maxSeries: number
}

/** Where nobody decides: in Node, or under `vite dev`. */
export const DEFAULT_LIMITS: HostLimits = { hookTimeoutMs: 5000, maxMetrics: 64, maxSeries: 100 }

/** What is known once the gateway listens. */
export interface ServerInfo {
  /** Where clients connect, such as `http://127.0.0.1:3000`. */
  address: string
  /** Names the build that is served; changes with every build. */
  buildId: string
  /** Which isolate this is, such as `0.0`: its renderer process and its number there. */
  isolate: string
  /** Whether this isolate was chosen for what is to be done once for the whole server. */
  first: boolean
}

/** A definition as its host drives it. */
export interface PipelineControl {
  /** Changes when an older host would misread it. */
  readonly version: 1
  /** Calls `onServerCreated`, once. A rejection means that the app cannot run. */
  create(limits: HostLimits): Promise<void>
  /** Calls `onServerStarted`. Never rejects. */
  started(info: ServerInfo): Promise<void>
  /** The app's metrics if they changed since the last call. */
  takeMetrics(): MetricsSnapshot | null
}

/** A response that stands for `outcome`; where no isolate reads it, it says so to the client. */
export function outcomeResponse(outcome: Outcome): Response {
  const response =
    outcome === 'skip'
      ? new Response('404 Not Found\n', { status: 404, headers: { 'content-type': 'text/plain; charset=utf-8' } })
      : new Response(null, { status: 499 })
  Object.defineProperty(response, OUTCOME, { value: outcome })
  return response
}

/** What `response` stands for, if it is no response of its own. */
export function outcomeOf(response: Response): Outcome | undefined {
  return (response as { [OUTCOME]?: Outcome })[OUTCOME]
}
