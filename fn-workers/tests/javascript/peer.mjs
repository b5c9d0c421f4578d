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

const operations = {
  /** Makes the value of a text by `toCrossJSON`, and writes it as a client of Start does. */
  async reserialise(text) {
    const value = fromCrossJSON(JSON.parse(text), { refs: new Map(), plugins })
    return JSON.stringify(await toJSONAsync(value, { plugins }))
  },

  /** Writes the value of an expression as a client of Start does. */
  async write(expression) {
    return JSON.stringify(await toJSONAsync((0, eval)(`(${expression})`), { plugins }))
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
