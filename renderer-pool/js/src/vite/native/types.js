import { execFile } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'

import { commandOf } from './workers.js'

/** A worker's own build may be in its command, as with `cargo run`. */
const EMIT_WITHIN_MS = 10 * 60 * 1000
const MAX_TYPES_BYTES = 16 * 1024 * 1024

/** A function's line in what `--emit-types` prints. */
const FUNCTION = /^ {4}'([A-Za-z0-9._-]+)': \{ method: '(GET|POST)';/gm

/** A route's line. */
const ROUTE = /^ {4}'(\/(?:[^'\\]|\\.)*)': (?:'[A-Z]+'(?: \| )?)+$/gm

/**
 * Asks a worker for its types and writes them where the app wants them; without a worker reads what is there.
 *
 * @returns {Promise<{ functions: Map<string, string>, routes: string[] }>} the functions' methods by their names, and
 *   the routes' patterns
 */
export async function updateTypes({ worker, types }, root) {
  const file = resolve(root, types)
  const known = await readIfThere(file)
  if (worker === undefined) {
    if (known === undefined) throw new Error(`isopod(): there is no ${types}, and no 'native.worker' that would write it`)
    return declaredIn(known)
  }
  const emitted = await emit(commandOf(worker, root), root)
  // A file that is written again would be built again.
  if (emitted !== known) {
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, emitted)
  }
  return declaredIn(emitted)
}

/** What a file of types declares. */
export function declaredIn(types) {
  const functions = new Map([...types.matchAll(FUNCTION)].map(([, name, method]) => [name, method]))
  const routes = [...types.matchAll(ROUTE)].map(([, pattern]) => pattern.replaceAll(/\\(.)/g, '$1'))
  return { functions, routes }
}

function emit([program, ...args], root) {
  const options = { cwd: root, timeout: EMIT_WITHIN_MS, maxBuffer: MAX_TYPES_BYTES }
  return new Promise((found, failed) => {
    execFile(program, [...args, '--emit-types'], options, (error, stdout, stderr) => {
      if (!error) return found(stdout)
      const said = stderr.trim() || error.message
      failed(new Error(`the fn worker ${[program, ...args].join(' ')} does not print its types:\n${said}`, { cause: error }))
    })
  })
}

async function readIfThere(file) {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (error.code === 'ENOENT') return undefined
    throw error
  }
}
