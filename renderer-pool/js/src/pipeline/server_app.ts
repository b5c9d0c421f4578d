/** What `onServerCreated` is given: middleware and endpoints around the app, its metrics, its log. */

import type { MetricsRegistry } from './metrics.ts'

/** Answers a request. */
export type Handler = (request: Request, params: EndpointParams) => Response | Promise<Response>

/** Runs around everything behind it; `next` may be given another request, and may be called once. */
export type Middleware = (
  request: Request,
  next: (request?: Request) => Promise<Response>,
) => Response | Promise<Response>

export interface EndpointParams {
  /** The values of `:name` segments, decoded; that of a last `*` has the name `*`. */
  params: Record<string, string>
  /** What the host or a caller of `fetch` handed over as `opts.context`. */
  context: unknown
}

export interface Log {
  debug(message: string, fields?: Record<string, unknown>): void
  info(message: string, fields?: Record<string, unknown>): void
  warn(message: string, fields?: Record<string, unknown>): void
  error(message: string, fields?: Record<string, unknown>): void
}

export interface ServerApp {
  /** Adds middleware; the first added is the outermost. */
  use(middleware: Middleware): this
  /** Adds an endpoint outside the app: an exact path, `:name` segments, and `*` as the last segment. */
  get(path: string, handler: Handler): this
  post(path: string, handler: Handler): this
  /** Metrics that the gateway shows in `/metrics`, with the prefix `app_`. */
  readonly metrics: MetricsRegistry
  /** Lines in the gateway's log, with the id of the request that they belong to. */
  readonly log: Log
}

interface Endpoint {
  method: string
  pattern: RegExp
  names: string[]
  handler: Handler
}

/** Middleware and endpoints of one isolate. */
export class AppServer implements ServerApp {
  readonly metrics: MetricsRegistry
  readonly log: Log = consoleLog
  readonly #middleware: Middleware[] = []
  readonly #endpoints: Endpoint[] = []
  #closed = false

  constructor(metrics: MetricsRegistry) {
    this.metrics = metrics
  }

  use(middleware: Middleware): this {
    this.#open('use')
    if (typeof middleware !== 'function') throw new TypeError('app.use() takes (request, next) => Response')
    this.#middleware.push(middleware)
    return this
  }

  get(path: string, handler: Handler): this {
    return this.#endpoint('GET', path, handler)
  }

  post(path: string, handler: Handler): this {
    return this.#endpoint('POST', path, handler)
  }

  /** From here on nothing can be added: other isolates would not have it. */
  close() {
    this.#closed = true
  }

  /** Answers with middleware, endpoints, and `page` behind them. */
  async answer(request: Request, context: unknown, page: (request: Request) => Promise<Response>): Promise<Response> {
    if (this.#middleware.length === 0) return this.#route(request, context, page)
    const run = async (index: number, request: Request): Promise<Response> => {
      const middleware = this.#middleware[index]
      if (middleware === undefined) return this.#route(request, context, page)
      let called = false
      const response = await middleware(request, (other = request) => {
        if (called) return Promise.reject(new Error('middleware: next() was called twice'))
        called = true
        return run(index + 1, other)
      })
      if (!(response instanceof Response)) {
        throw new TypeError(`middleware ${middleware.name || `number ${index + 1}`} must return a Response`)
      }
      return response
    }
    return run(0, request)
  }

  async #route(request: Request, context: unknown, page: (request: Request) => Promise<Response>): Promise<Response> {
    const endpoint = this.#endpoints.length === 0 ? undefined : this.#match(request)
    if (endpoint === undefined) return page(request)
    const response = await endpoint.handler(request, { params: endpoint.params, context })
    if (response instanceof Response) return response
    throw new TypeError(`the endpoint ${request.method} ${new URL(request.url).pathname} must return a Response`)
  }

  #match(request: Request): { handler: Handler; params: Record<string, string> } | undefined {
    const path = new URL(request.url).pathname
    // What answers GET answers HEAD (RFC 9110, section 9.3.2); the host sends no body then.
    const method = request.method === 'HEAD' ? 'GET' : request.method
    for (const { method: own, pattern, names, handler } of this.#endpoints) {
      const found = own === method ? pattern.exec(path) : null
      if (found === null) continue
      const params: Record<string, string> = Object.create(null)
      for (const [i, name] of names.entries()) {
        const value = decoded(found[i + 1] ?? '')
        if (value === undefined) return undefined
        params[name] = value
      }
      return { handler, params }
    }
    return undefined
  }

  #endpoint(method: string, path: string, handler: Handler): this {
    const verb = method.toLowerCase()
    this.#open(verb)
    if (typeof path !== 'string' || !path.startsWith('/')) {
      throw new TypeError(`app.${verb}() takes a path that begins with '/', it was given ${JSON.stringify(path)}`)
    }
    if (typeof handler !== 'function') throw new TypeError(`app.${verb}('${path}') takes a function`)
    const names: string[] = []
    const segments = path.slice(1).split('/')
    const parts = segments.map((segment, i) => {
      if (segment === '*' && i === segments.length - 1) {
        names.push('*')
        return '(.*)'
      }
      if (!/^:\w+$/.test(segment)) return segment.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
      names.push(segment.slice(1))
      return '([^/]+)'
    })
    this.#endpoints.push({ method, pattern: new RegExp(`^/${parts.join('/')}$`), names, handler })
    return this
  }

  #open(verb: string) {
    if (this.#closed) throw new Error(`app.${verb}() can be called only while onServerCreated runs`)
  }
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

function line(message: string, fields?: Record<string, unknown>): string {
  if (fields === undefined) return message
  const parts = Object.entries(fields).map(([name, value]) => {
    const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value))
    return `${name}=${/[\s"=]/.test(text) ? JSON.stringify(text) : text}`
  })
  return [message, ...parts].join(' ')
}

const consoleLog: Log = {
  debug: (message, fields) => console.debug(line(message, fields)),
  info: (message, fields) => console.info(line(message, fields)),
  warn: (message, fields) => console.warn(line(message, fields)),
  error: (message, fields) => console.error(line(message, fields)),
}
