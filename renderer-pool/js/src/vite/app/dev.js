import { readFile } from 'node:fs/promises'

import { CLIENT, SERVER } from '../environments.js'
import { sendResponse, toRequest } from './node_http.js'
import { SERVER_ENTRY, splitTemplate } from './server_entry.js'

const PIPELINE = Symbol.for('isopod.pipeline')
const OUTCOME = Symbol.for('isopod.outcome')
const ASSETS = Symbol.for('isopod.assets')

const STYLE = /\.(?:css|scss|sass|less|styl|stylus|pcss|postcss)(?:$|\?)/
const EMPTY = '<!doctype html><html><head></head><body></body></html>'

/** Serves the app's definition behind Vite's own server, modules and styles as they are now. */
export function devServer(app) {
  return {
    name: 'isopod:dev-server',
    apply: 'serve',
    configureServer(server) {
      if (!app.active) return
      const pages = new Pages(server, app)
      return () => server.middlewares.use((req, res, next) => pages.answer(req, res).then((done) => done || next(), next))
    },
  }
}

class Pages {
  #server
  #app
  /** The definition whose lifecycle has begun. */
  #current

  constructor(server, app) {
    this.#server = server
    this.#app = app
  }

  /** Whether it was answered. */
  async answer(req, res) {
    // Vite has rewritten the URL of what it serves itself.
    const url = req.originalUrl ?? req.url
    const definition = await this.#definition()
    globalThis[ASSETS] = await this.#assets(url)
    const request = toRequest(req, res, url)
    const onEarlyHints = ({ links }) => void (links.length > 0 && res.writeEarlyHints?.({ link: links }))
    const response = await definition.fetch(request, { context: {}, onEarlyHints })
    if (response[OUTCOME] === 'skip') return false
    if (response[OUTCOME] === 'cancel') req.socket.destroy()
    else await sendResponse(response, req, res)
    return true
  }

  async #definition() {
    const { default: definition } = await this.#server.environments[SERVER].runner.import(SERVER_ENTRY)
    if (typeof definition?.fetch !== 'function') {
      throw new TypeError(`${this.#app.entries.server}: its default export has no function 'fetch'`)
    }
    if (this.#current !== definition) {
      const control = definition[PIPELINE]
      await control?.create()
      this.#current = definition
      const address = this.#server.resolvedUrls?.local[0]?.replace(/\/$/, '') ?? ''
      await control?.started({ address, buildId: 'development', isolate: '0.0', first: true })
    }
    return definition
  }

  async #assets(url) {
    const { html } = this.#app.entries
    const document = await this.#server.transformIndexHtml(url, html ? await readFile(html, 'utf8') : EMPTY)
    const styles = await this.#styles()
    if (html) {
      return { template: splitTemplate(document), collect: () => ({ entries: [], preloads: [], styles: [], head: styles }) }
    }
    const head = /<head>([^]*?)<\/head>/i.exec(document)?.[1] ?? ''
    const entry = this.#server.config.base + this.#app.entries.client.slice(this.#app.root.length + 1).replaceAll('\\', '/')
    return { template: undefined, collect: () => ({ entries: [entry], preloads: [], styles: [], head: head + styles }) }
  }

  /** The styles of all modules that the server has loaded, in place: Vite's client takes them over by their ids. */
  async #styles() {
    const { moduleGraph } = this.#server.environments[SERVER]
    const found = new Map()
    const visit = (module, seen) => {
      if (module === undefined || seen.has(module)) return
      seen.add(module)
      if (STYLE.test(module.url)) found.set(module.id, module.url)
      else for (const imported of module.importedModules) visit(imported, seen)
    }
    visit(moduleGraph.getModuleById(`\0${SERVER_ENTRY}`), new Set())
    const parts = await Promise.all(
      [...found].map(async ([id, url]) => {
        const direct = url + (url.includes('?') ? '&' : '?') + 'direct'
        const result = await this.#server.environments[CLIENT].transformRequest(direct)
        const css = (result?.code ?? '').replaceAll('</style', '<\\/style')
        return `<style type="text/css" data-vite-dev-id="${id.replaceAll('"', '&quot;')}">${css}</style>`
      }),
    )
    return parts.join('')
  }
}

