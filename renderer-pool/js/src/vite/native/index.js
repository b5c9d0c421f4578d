/**
 * The part for functions in Rust.
 *
 * - `workers`: the option `native`.
 * - `types`: what the workers print of their functions.
 * - `calls`: whether the app calls what there is.
 * - `dev`: the workers beside `vite dev`; `process` starts one, `link` asks it, in `frames`; `routes` sends it what its
 *   routes answer, found by `paths`; `forwarding` is for what its functions call in other workers.
 */

import { problemsIn } from './calls.js'
import { nativeDevelopment } from './dev.js'
import { updateTypes } from './types.js'
import { readWorkers } from './workers.js'

/** @param given the option `native`; nothing is done without it */
export function nativeFunctions(given) {
  if (given === undefined) return []
  const app = { workers: readWorkers(given), root: '', functions: new Map(), owners: new Map(), routes: new Map() }
  return [nativeTypes(app), nativeDevelopment(app)]
}

/** Writes the types before anything is built, and refuses calls of what no worker has. */
function nativeTypes(app) {
  return {
    name: 'isopod:native',
    async configResolved(config) {
      app.root = config.root
      Object.assign(app, await functionsOf(app))
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

/** All functions of all workers by their names: the methods, and whose they are; and whose the routes are, by patterns. */
export async function functionsOf({ workers, root }) {
  const [functions, owners, routes] = [new Map(), new Map(), new Map()]
  for (const worker of workers) {
    const declared = await updateTypes(worker, root)
    for (const pattern of declared.routes) {
      if (routes.has(pattern)) throw new Error(`isopod(): two workers have a route '${pattern}'`)
      routes.set(pattern, worker)
    }
    for (const [name, method] of declared.functions) {
      if (functions.has(name)) throw new Error(`isopod(): two workers have a function '${name}'`)
      functions.set(name, method)
      owners.set(name, worker)
    }
  }
  return { functions, owners, routes }
}
