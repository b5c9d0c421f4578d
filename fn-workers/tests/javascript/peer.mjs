// Answers questions of the Rust tests, a line of JSON each, with the packages of the app in the first argument.
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'

const app = createRequire(`${process.argv[2]}/package.json`)
const load = (name, from = app) => import(pathToFileURL(from.resolve(name)).href)
const start = createRequire(app.resolve('@tanstack/react-start/package.json'))
const router = createRequire(app.resolve('@tanstack/react-router/package.json'))

const { fromCrossJSON, toJSONAsync } = await load('seroval')
const { URLPlugin } = await load('seroval-plugins/web')
const { defaultSerovalPlugins } = await load('@tanstack/router-core/ssr/client', router)
const plugins = [...defaultSerovalPlugins, URLPlugin]
const file = (path) => import(pathToFileURL(`${process.argv[2]}/node_modules/@tanstack/${path}`).href)
const { serverFnFetcher } = await file('start-client-core/dist/esm/client-rpc/serverFnFetcher.js')
const { runWithStartContext } = await file('start-storage-context/dist/esm/index.js')

/** What the caller of a server function sees: a value, or what the call rejects with. */
const call = (options, fetch) =>
  runWithStartContext({ startOptions: {} }, () => serverFnFetcher('/_serverFn/x', [options], fetch))

const h3 = createRequire(`${process.argv[2]}/../package.json`).resolve('h3')

const operations = {
  /** Adds to the count in a session of h3, and tells its data and the cookies that it sets. */
  async session({ cookie, config: { iterations, ...config } }) {
    const { H3Event, useSession } = await import(pathToFileURL(h3).href)
    const event = new H3Event(new Request('http://localhost/', { headers: { cookie } }))
    const defaults = { saltBits: 256, iterations, minPasswordlength: 32 }
    const seal = {
      encryption: { ...defaults, algorithm: 'aes-256-cbc' },
      integrity: { ...defaults, algorithm: 'sha256' },
    }
    const session = await useSession(event, { ...config, seal })
    await session.update((data) => ({ count: (data.count ?? 0) + 1 }))
    return { data: { ...session.data }, cookies: event.res.headers.getSetCookie() }
  },

  /** Makes the value of a text by `toCrossJSON`, and writes it as a client of Start does. */
  async reserialise(text) {
    const value = fromCrossJSON(JSON.parse(text), { refs: new Map(), plugins })
    return JSON.stringify(await toJSONAsync(value, { plugins }))
  },

  /** Writes the value of an expression as a client of Start does. */
  async write(expression) {
    return JSON.stringify(await toJSONAsync((0, eval)(`(${expression})`), { plugins }))
  },

  /** What Start's client sends for a call. */
  async request({ method, expression, context }) {
    let sent
    const data = (0, eval)(`(${expression})`)
    const options = { method, data, context: context === undefined ? undefined : (0, eval)(`(${context})`) }
    await call(options, async (url, init) => {
      const request = new Request(new URL(url, 'http://localhost'), init)
      const body = Buffer.from(await request.arrayBuffer()).toString('base64')
      sent = { url: request.url, method, headers: [...request.headers], body }
      return new Response('1', { headers: { 'content-type': 'application/json' } })
    })
    return sent
  },

  /** What Start's client makes of a response; an expression is asked about the result, `it`, or the error. */
  async answer({ status, headers, body, expression }) {
    const response = () => new Response(status === 204 ? null : Buffer.from(body, 'base64'), { status, headers })
    const ask = (it) => new Function('it', `return (async () => (${expression}))()`)(it)
    let it
    try {
      const answer = await call({ method: 'GET' }, async () => response())
      it = answer !== null && typeof answer === 'object' && 'error' in answer ? { error: answer.error } : answer
    } catch (error) {
      it = { thrown: error }
    }
    return await ask(it)
  },

  /** Reads a text as a client of Start does and asks an expression about the value, `it`. */
  read({ text, expression }) {
    const it = fromCrossJSON(JSON.parse(text), { refs: new Map(), plugins })
    return new Function('it', `return (${expression})`)(it)
  },
}

for await (const line of createInterface({ input: process.stdin })) {
  const { operation, input } = JSON.parse(line)
  let answer
  try {
    answer = { value: (await operations[operation](input)) ?? null }
  } catch (error) {
    answer = { error: String(error?.cause?.stack ?? error?.stack ?? error) }
  }
  process.stdout.write(JSON.stringify(answer) + '\n')
}
