// The entry of a Watt application: what `create` returns, Watt makes listen. APP_DIR and SRVX come with the environment.
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

const load = (path) => import(pathToFileURL(path).href)

export async function create() {
  const srvx = join(process.env.BENCH_PACKAGES, 'node_modules/srvx/dist')
  const [{ serve }, { staticMiddleware }] = await Promise.all([
    load(join(srvx, 'adapters/node.mjs')),
    load(join(srvx, 'static.mjs')),
  ])
  const dist = resolve(process.env.BENCH_APP, 'dist')
  const { default: bundle } = await load(resolve(dist, 'server/server.js'))
  const server = serve({
    manual: true,
    silent: true,
    middleware: [staticMiddleware({ dir: resolve(dist, 'client') })],
    fetch: (request) => bundle.fetch(request),
  })
  return server.node.server
}
