// An app's static files in memory, for servers that have no static files of their own.
import { readdirSync, readFileSync } from 'node:fs'
import { extname, join, relative } from 'node:path'

const TYPES = {
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
}

/** Path below the site -> what `new Response(body, { headers })` takes. */
export function filesBelow(directory) {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true })
  return new Map(
    entries
      .filter((entry) => entry.isFile())
      .map((entry) => {
        const path = join(entry.parentPath, entry.name)
        const headers = { 'content-type': TYPES[extname(path)] ?? 'application/octet-stream' }
        return [`/${relative(directory, path)}`, { body: readFileSync(path), headers }]
      }),
  )
}

/** A handler for everything: a file by its path, else the app's bundle. */
export function answers(files, bundle) {
  return (request) => {
    const path = request.url.slice(request.url.indexOf('/', 8)).split('?', 1)[0]
    const file = files.get(path)
    return file ? new Response(file.body, { headers: file.headers }) : bundle.fetch(request)
  }
}
