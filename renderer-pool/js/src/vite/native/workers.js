import { existsSync } from 'node:fs'
import { resolve } from 'node:path'

/** Where a worker's types are written unless the app says otherwise, from the app's root. */
export const DEFAULT_TYPES = 'src/native.d.ts'

/** What the option `native` may hold. */
const NAMES = ['worker', 'types', 'watch']

/**
 * The fn workers of an app, from the option `native`.
 *
 * @param given one worker, or a list
 * @throws {TypeError} at what is none
 */
export function readWorkers(given) {
  const workers = (Array.isArray(given) ? given : [given]).map(readWorker)
  const twice = workers.find(({ types }, at) => workers.findIndex((other) => other.types === types) !== at)
  if (twice) throw new TypeError(`isopod(): two workers write their types to ${twice.types}: give one another 'types'`)
  return workers
}

function readWorker(given) {
  if (typeof given !== 'object' || given === null) {
    throw new TypeError(`isopod(): 'native' is ${JSON.stringify(given)}, it must be an object such as { worker: 'target/release/worker' }`)
  }
  const unknown = Object.keys(given).find((name) => !NAMES.includes(name))
  if (unknown !== undefined) {
    throw new TypeError(`isopod(): 'native' has no '${unknown}'; there are ${NAMES.join(', ')}`)
  }
  const { worker, types = DEFAULT_TYPES, watch = [] } = given
  if (worker !== undefined && (typeof worker !== 'string' || worker.trim() === '')) {
    throw new TypeError(`isopod(): 'native.worker' is ${JSON.stringify(worker)}, it must be a program's path or a command`)
  }
  if (typeof types !== 'string') {
    throw new TypeError(`isopod(): 'native.types' is ${JSON.stringify(types)}, it must be a file's path`)
  }
  const watched = typeof watch === 'string' ? [watch] : watch
  if (!Array.isArray(watched) || watched.some((path) => typeof path !== 'string')) {
    throw new TypeError(`isopod(): 'native.watch' is ${JSON.stringify(watch)}, it must be a path or a list of paths`)
  }
  return { worker, types, watch: watched }
}

/**
 * A worker's program and its first arguments: a path, or a command with arguments between spaces.
 *
 * @param {string} worker @param {string} root paths are relative to it
 * @returns {[string, ...string[]]}
 */
export function commandOf(worker, root) {
  const whole = resolve(root, worker)
  if (existsSync(whole)) return [whole]
  const [program, ...args] = worker.trim().split(/\s+/)
  return [program.includes('/') ? resolve(root, program) : program, ...args]
}
