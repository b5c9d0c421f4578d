import { AsyncLocalStorage } from 'node:async_hooks'
import { resolve } from 'node:path'

import { CLIENT, SERVER } from '../environments.js'
import { functionsOf } from './index.js'
import { startWorker } from './process.js'
import { nativeRoutes } from './routes.js'

const HOST = Symbol.for('isopod.host')

/** What reads and writes as Start's client does, of whichever framework the app has. */
const CLIENTS = ['@tanstack/react-start/client-rpc', '@tanstack/solid-start/client-rpc']

/** Fields of the browser's request that are not the function's. */
const OWN_FIELDS = /^(?:accept|connection|content-.*|expect|host|keep-alive|te|transfer-encoding|upgrade|x-tsr-.*)$/

/** How long after a change a worker is started again: builds write several files. */
const SETTLE_MS = 100

/** Runs the workers beside `vite dev`, and sends them what the app calls. */
export function nativeDevelopment(app) {
  return {
    name: 'isopod:native-dev',
    apply: 'serve',
    async configureServer(server) {
      if (app.workers.every(({ worker }) => worker === undefined)) return
      const workers = app.workers.filter(({ worker }) => worker !== undefined).map((worker) => new Running(worker, server, app, (name) => linkFor(name)))
      const linkFor = async (name) => {
        const owner = workers.find((running) => running.is(app.owners.get(name)))
        if (owner === undefined) throw new Error(`no worker that runs has the native function '${name}'`)
        return owner.link()
      }
      const requests = new AsyncLocalStorage()
      server.middlewares.use((req, res, next) => requests.run({ req, res }, next))
      server.middlewares.use(nativeRoutes(app, (worker) => workers.find((running) => running.is(worker)).link()))
      const host = new Host(server, app, linkFor, requests)
      globalThis[HOST] = { callNative: (name, data, options) => host.call(name, data, options) }
      await Promise.all(workers.map((worker) => worker.start()))
      const close = server.close.bind(server)
      server.close = async () => {
        workers.forEach((worker) => worker.stop())
        await close()
      }
    },
  }
}

/** A worker that runs, and runs anew when what it watches changes. */
class Running {
  #worker
  #server
  #app
  #linkFor
  #link
  #problem
  #timer
  #starting = Promise.resolve()

  constructor(worker, server, app, linkFor) {
    this.#linkFor = linkFor
    this.#worker = worker
    this.#server = server
    this.#app = app
    const watched = worker.watch.map((path) => resolve(app.root, path))
    if (watched.length === 0) return
    server.watcher.add(watched)
    server.watcher.on('all', (_, file) => {
      if (!watched.some((path) => file === path || file.startsWith(`${path}/`))) return
      clearTimeout(this.#timer)
      this.#timer = setTimeout(() => this.#restart(), SETTLE_MS)
    })
  }

  /** Whether it runs now. */
  start() {
    this.#starting = this.#starting.then(() => this.#startNow())
    return this.#starting
  }

  stop() {
    clearTimeout(this.#timer)
    this.#link?.close()
  }

  /** Whether this is the worker that an option describes. */
  is(worker) {
    return this.#worker === worker
  }

  /** The link to it, once it runs; one that has died is started again. */
  async link() {
    await this.#starting
    if (this.#link?.hasEnded && !(await this.start())) throw this.#problem
    if (this.#link === undefined) throw this.#problem
    return this.#link
  }

  async #startNow() {
    try {
      const link = await startWorker(this.#worker.worker, this.#app.root, {
        print: (line) => this.#server.config.logger.info(line, { timestamp: true }),
        onError: (message) => this.#show(message),
        onEnd: (message) => this.#show(message),
        linkFor: this.#linkFor,
      })
      this.#link?.close()
      this.#link = link
      return true
    } catch (error) {
      // The one before goes on.
      this.#problem = error
      this.#show(error.message)
      return false
    }
  }

  /** Once its types are written: the command may build it first. */
  async #restart() {
    try {
      Object.assign(this.#app, await functionsOf(this.#app))
      if (!(await this.start())) return
      // A name that was unknown may be known now.
      this.#server.environments[SERVER].moduleGraph.invalidateAll()
      this.#server.environments[CLIENT].hot.send({ type: 'full-reload' })
    } catch (error) {
      this.#show(error.message)
    }
  }

  #show(message) {
    this.#server.config.logger.error(message, { timestamp: true })
    this.#server.environments[CLIENT].hot.send({ type: 'error', err: { message, stack: '', plugin: 'isopod:native-dev' } })
  }
}

/** What `native()` finds instead of the gateway. */
class Host {
  #server
  #app
  #linkFor
  #requests
  #client

  constructor(server, app, linkFor, requests) {
    this.#server = server
    this.#app = app
    this.#linkFor = linkFor
    this.#requests = requests
  }

  async call(name, data, { signal, context } = {}) {
    const link = await this.#linkFor(name)
    const store = this.#requests.getStore()
    if (store) store.left ??= leaving(store.res)
    const ends = [signal, store?.left].filter(Boolean)
    const fetch = async (url, { method, headers, body }) => {
      const query = url.includes('?') ? url.slice(url.indexOf('?')) : ''
      const request = new Request(`http://localhost/_serverFn/${name}${query}`, { method, headers, body })
      for (const [field, value] of Object.entries(store?.req.headers ?? {})) {
        if (!OWN_FIELDS.test(field)) request.headers.set(field, String(value))
      }
      const response = await link.fetch(name, request, ends.length > 0 ? AbortSignal.any(ends) : undefined)
      if (store) passOn(response.headers, store.res)
      return response
    }
    const createClientRpc = await this.#startClient()
    const answer = await createClientRpc(name)({ method: this.#app.functions.get(name), data, context, fetch })
    if (answer instanceof Response) return answer
    if (answer.error !== undefined) throw answer.error
    return answer.result
  }

  async #startClient() {
    this.#client ??= this.#load()
    return this.#client
  }

  async #load() {
    const { runner } = this.#server.environments[SERVER]
    for (const name of CLIENTS) {
      const found = await this.#server.environments[SERVER].pluginContainer.resolveId(name, undefined)
      if (found) return (await runner.import(name)).createClientRpc
    }
    throw new Error(`native functions need TanStack Start in development: none of ${CLIENTS.join(', ')} is installed`)
  }
}

/** Fires when the browser leaves before it has its response. */
function leaving(res) {
  const left = new AbortController()
  res.once('close', () => res.writableFinished || left.abort(new Error('the browser has left')))
  return left.signal
}

const ADDED = Symbol('isopod.added')

/** Cookies that a function sets go out with the app's own response. */
function passOn(headers, res) {
  const cookies = headers.getSetCookie()
  if (cookies.length === 0 || res.headersSent) return
  if (res[ADDED] !== undefined) return void res[ADDED].push(...cookies)
  res[ADDED] = cookies
  const writeHead = res.writeHead.bind(res)
  res.writeHead = (...args) => {
    const fields = args.findIndex((arg) => typeof arg === 'object' && arg !== null)
    const added = res[ADDED].flatMap((cookie) => ['set-cookie', cookie])
    if (fields === -1) res.appendHeader('set-cookie', res[ADDED])
    else if (Array.isArray(args[fields])) args[fields] = [...args[fields].flat(), ...added]
    else args[fields] = { ...args[fields], 'set-cookie': [args[fields]['set-cookie'] ?? [], res[ADDED]].flat() }
    return writeHead(...args)
  }
}
