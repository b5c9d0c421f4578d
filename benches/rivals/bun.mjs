// bun bun.mjs APP_DIR PORT
import { resolve } from 'node:path'

import { answers, filesBelow } from './files.mjs'

const [appDir, port] = process.argv.slice(2)
const dist = resolve(appDir, 'dist')
const { default: bundle } = await import(resolve(dist, 'server/server.js'))
const fetch = answers(filesBelow(resolve(dist, 'client')), bundle)
const server = Bun.serve({ port: Number(port), hostname: '127.0.0.1', idleTimeout: 60, fetch })
console.log(`listening on http://127.0.0.1:${server.port}`)
