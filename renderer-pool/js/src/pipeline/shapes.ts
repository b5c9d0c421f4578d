/** What hooks may return, checked at run time: an app need not be written in TypeScript. */

import { ShapeError } from './hook.ts'

export interface RequestDecision<AppProps = Record<string, unknown>> {
  /** Given to the component tree and to every later hook. */
  appProps?: AppProps
  /** Send a `103 Early Hints` with the page's chunks and styles before it is rendered. Default: false. */
  hasEarlyHints?: boolean
  /** Leave the request to the gateway, which answers from its static files or with 404. */
  shouldSkip?: boolean
  /** End the request: with `response` if there is one, else by closing the connection without an answer. */
  shouldCancel?: boolean
  /** What to send when `shouldCancel` is set. */
  response?: Response
}

export interface RouterDecision {
  /** Send the page as it renders; else once it is complete, with its length. Default: true. */
  isStream?: boolean
}

export interface ShellDecision {
  /** HTML before the page. */
  header?: string
  /** HTML behind the page: the last bytes of the response. */
  footer?: string
}

type Kind = 'boolean' | 'string' | 'object' | 'response'

const fits: Record<Kind, (value: unknown) => boolean> = {
  boolean: (value) => typeof value === 'boolean',
  string: (value) => typeof value === 'string',
  object: isObject,
  response: (value) => value instanceof Response,
}

/** Checks an object whose keys are known; nothing returned means that nothing is decided. */
function decision<T>(kinds: Record<string, Kind>) {
  const allowed = Object.entries(kinds).map(([key, kind]) => `${key}: ${kind}`)
  return (value: unknown): T => {
    if (value === undefined || value === null) return {} as T
    if (!isObject(value)) {
      throw new ShapeError(`returned ${describe(value)}; it may return nothing or { ${allowed.join(', ')} }`)
    }
    for (const [key, part] of Object.entries(value)) {
      const kind = kinds[key]
      if (kind === undefined) {
        throw new ShapeError(`returned the unknown key '${key}'; it may return { ${allowed.join(', ')} }`)
      }
      if (part !== undefined && !fits[kind](part)) {
        throw new ShapeError(`returned ${describe(part)} as '${key}', which must be a ${kind}`)
      }
    }
    return value as T
  }
}

export const requestDecision = decision<RequestDecision>({
  appProps: 'object',
  hasEarlyHints: 'boolean',
  shouldSkip: 'boolean',
  shouldCancel: 'boolean',
  response: 'response',
})

export const routerDecision = decision<RouterDecision>({ isStream: 'boolean' })

export const shellDecision = decision<ShellDecision>({ header: 'string', footer: 'string' })

/** A chunk may be replaced by text; nothing returned leaves it as it is. */
export function chunk(value: unknown): string | undefined {
  if (value === undefined || typeof value === 'string') return value
  throw new ShapeError(`returned ${describe(value)}; it may return nothing or the chunk's HTML as a string`)
}

/** State is an object of named values. */
export function state(value: unknown): Record<string, unknown> {
  if (value === undefined || value === null) return {}
  if (isObject(value)) return value
  throw new ShapeError(`returned ${describe(value)}; it may return nothing or an object of named values`)
}

export function fatalPage(value: unknown): string | undefined {
  if (value === undefined || typeof value === 'string') return value
  throw new ShapeError(`returned ${describe(value)}; it may return nothing or the page's HTML as a string`)
}

export function nothing(): void {}

export function isObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}

export function describe(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'object') return `a ${value.constructor?.name ?? 'object'}`
  if (typeof value === 'string') return `the string ${JSON.stringify(value.slice(0, 40))}`
  return typeof value === 'function' ? 'a function' : `the ${typeof value} ${String(value)}`
}
