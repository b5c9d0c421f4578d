import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'

const EXTENSIONS = ['tsx', 'ts', 'jsx', 'js', 'mts', 'mjs']

/**
 * The files an app starts from, absolute; `undefined` when it has no server entry by convention.
 *
 * - `server`: exports the render pipeline by default; `src/server.*` unless given
 * - `client`: starts the client; `src/client.*` unless given
 * - `html`: the document around the app, `index.html`, when it marks a place for the app
 *
 * @throws {TypeError} when a given entry is not there, or a server entry has no client beside it
 */
export function findEntries(root, given = {}) {
  const server = entry(root, 'server', given.server)
  if (server === undefined) return undefined
  const client = entry(root, 'client', given.client)
  const html = join(root, 'index.html')
  if (client === undefined) {
    throw new TypeError(`isopod(): ${server} has no client beside it: add src/client.tsx, or name it with 'entries'`)
  }
  return { server, client, html: existsSync(html) ? html : undefined }
}

function entry(root, name, given) {
  if (given === undefined) {
    return EXTENSIONS.map((extension) => join(root, 'src', `${name}.${extension}`)).find(existsSync)
  }
  const path = resolve(root, given)
  if (!existsSync(path)) throw new TypeError(`isopod(): the ${name} entry '${given}' is not there: ${path}`)
  return path
}
