/**
 * The part for functions in Rust.
 *
 * - `workers`: the option `native`.
 * - `types`: what the workers print of their functions.
 * - `calls`: whether the app calls what there is.
 */

import { problemsIn } from './calls.js'
import { updateTypes } from './types.js'
import { readWorkers } from './workers.js'

/** @param given the option `native`; nothing is done without it */
export function nativeFunctions(given) {
  if (given === undefined) return []
  const app = { workers: readWorkers(given), root: '', functions: new Map() }
  return [nativeTypes(app)]
}

/** Writes the types before anything is built, and refuses calls of what no worker has. */
function nativeTypes(app) {
  return {
    name: 'isopod:native',
    async configResolved(config) {
      app.root = config.root
      app.functions = await functionsOf(app)
    },
    transform: {
      order: 'post',
      handler(code, file) {
        if (!code.includes('@isopod/app/native')) return
        for (const { message, warning, at } of problemsIn(this.parse(code), app.functions)) {
          if (warning !== undefined) this.warn({ message: warning, id: file, pos: at })
          else this.error({ message, id: file, pos: at })
        }
      },
    },
  }
}

/** All functions of all workers. */
export async function functionsOf({ workers, root }) {
  const functions = new Map()
  for (const worker of workers) {
    for (const [name, method] of await updateTypes(worker, root)) {
      if (functions.has(name)) throw new Error(`isopod(): two workers have a function '${name}'`)
      functions.set(name, method)
    }
  }
  return functions
}
