import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { pathToFileURL } from 'node:url'

import { serve } from 'srvx'
import { staticMiddleware } from 'srvx/static'

const USAGE = 'usage: node serve-node.mjs APP_DIR [PORT]   (APP_DIR holds dist/, PORT defaults to 3000, 0 picks one)'

const { positionals } = parseArgs({ allowPositionals: true })
const [appDir, port = '3000'] = positionals
if (!appDir || !/^\d+$/.test(port)) {
  console.error(USAGE)
  process.exit(64)
}

const dist = resolve(appDir, 'dist')
const bundle = await import(pathToFileURL(resolve(dist, 'server/server.js')).href)

const server = serve({
  port: Number(port),
  hostname: '127.0.0.1',
  silent: true,
  middleware: [staticMiddleware({ dir: resolve(dist, 'client') })],
  fetch: (request) => bundle.default.fetch(request),
})
await server.ready()
console.log(`listening on ${server.url}`)
