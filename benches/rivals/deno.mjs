// deno run -A deno.mjs APP_DIR PORT
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

import { answers, filesBelow } from './files.mjs'

const [appDir, port] = Deno.args
const dist = resolve(appDir, 'dist')
const { default: bundle } = await import(pathToFileURL(resolve(dist, 'server/server.js')).href)
const onListen = ({ port }) => console.log(`listening on http://127.0.0.1:${port}`)
Deno.serve({ port: Number(port), hostname: '127.0.0.1', onListen }, answers(filesBelow(resolve(dist, 'client')), bundle))
