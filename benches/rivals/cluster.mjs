// node cluster.mjs APP_DIR PORT WORKERS SRVX_PACKAGE
//
// Workers that end are replaced; SIGHUP replaces all of them, one after the other, each before the old one ends.
import cluster from 'node:cluster'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

const [appDir, wantedPort, workers, packages] = process.argv.slice(2)

if (cluster.isPrimary) await lead()
else await work()

async function lead() {
  const port = Number(wantedPort) || (await freePort())
  const current = new Set()
  const start = async () => {
    const worker = cluster.fork({ BENCH_PORT: String(port) })
    await once(worker, 'message')
    current.add(worker)
  }
  cluster.on('exit', (worker) => {
    if (current.delete(worker)) start()
  })
  process.on('SIGHUP', async () => {
    for (const old of [...current]) {
      await start()
      current.delete(old)
      old.disconnect()
    }
  })
  await Promise.all(Array.from({ length: Number(workers) }, start))
  console.log(`listening on http://127.0.0.1:${port}`)
}

async function work() {
  const load = (path) => import(pathToFileURL(path).href)
  const srvx = join(packages, 'node_modules/srvx/dist')
  const [{ serve }, { staticMiddleware }] = await Promise.all([
    load(join(srvx, 'adapters/node.mjs')),
    load(join(srvx, 'static.mjs')),
  ])
  const dist = resolve(appDir, 'dist')
  const { default: bundle } = await load(resolve(dist, 'server/server.js'))
  const server = serve({
    port: Number(process.env.BENCH_PORT),
    hostname: '127.0.0.1',
    reusePort: true,
    silent: true,
    middleware: [staticMiddleware({ dir: resolve(dist, 'client') })],
    fetch: (request) => bundle.fetch(request),
  })
  await server.ready()
  process.send('ready')
}

async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address()
  probe.close()
  await once(probe, 'close')
  return port
}
