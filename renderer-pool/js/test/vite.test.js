import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'

import { isopod } from '@isopod/app/vite'
import { parseAst } from 'vite'

import { directIn } from '../src/vite/direct.js'
import { filesOf } from '../src/vite/manifest.js'
import { patternsIn } from '../src/vite/routes.js'

const TEXT = 'export const words = "to be compressed";\n'.repeat(100)

async function project(t, files) {
  const root = await mkdtemp(join(tmpdir(), 'isopod-vite-'))
  t.after(() => rm(root, { recursive: true }))
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(root, name)), { recursive: true })
    await writeFile(join(root, name), content)
  }
  return root
}

// What Vite hands to `buildApp`, as far as the plugins look at it.
function builder(root) {
  const environment = (outDir) => ({ config: { root, build: { outDir } } })
  return {
    config: { root },
    environments: { client: environment('dist/client'), ssr: environment('dist/server') },
  }
}

const plugin = (name, options) => isopod(options).find((plugin) => plugin.name === `isopod:${name}`)

describe('options', () => {
  test('each part can be left out', () => {
    const names = (options) => isopod(options).map((plugin) => plugin.name.slice('isopod:'.length))
    assert.deepEqual(names({ pages: false }), ['self-contained', 'routes', 'direct-functions', 'manifest', 'precompress'])
    assert.deepEqual(names({ pages: false, selfContained: false, precompress: false }), ['routes', 'direct-functions', 'manifest'])
    assert.deepEqual(names({ pages: false, manifest: false }), ['self-contained', 'precompress'])
  })

  test('what is none is refused with what there is', () => {
    assert.throws(() => isopod({ selfcontained: true }), /no option 'selfcontained'; there are selfContained, external/)
    assert.throws(() => isopod({ precompress: 'yes' }), /'precompress' is "yes", it must be a boolean/)
    assert.throws(() => isopod({ external: 'pg' }), /'external' is "pg", it must be a list of package names/)
  })
})

describe('the server bundle', () => {
  const context = { resolve: async (id) => ({ id: `/resolved/${id}` }) }
  const resolve = (id, importer) => plugin('self-contained').resolveId.call(context, id, importer)

  test('carries its packages, in the server environment alone', () => {
    const { configEnvironment } = plugin('self-contained', { external: ['sharp'] })
    assert.deepEqual(configEnvironment('ssr'), { resolve: { noExternal: true, external: ['sharp'] } })
    assert.equal(configEnvironment('client'), undefined)
  })

  test('takes the quickest entries', async () => {
    assert.deepEqual(await resolve('react-dom/server', '/app/x.js'), { id: '/resolved/react-dom/server.node' })
    assert.deepEqual(await resolve('srvx', '/app/x.js'), { id: '/resolved/srvx/generic' })
    assert.equal(resolve('react-dom', '/app/x.js'), undefined)
  })

  test("loads Node's modules for React when they are first used", async () => {
    const react = '/app/node_modules/react-dom/cjs/react-dom-server.node.production.js'
    for (const [id, name] of [['util', 'TextEncoder'], ['crypto', 'createHash'], ['stream', 'Readable']]) {
      const source = plugin('self-contained').load(resolve(id, react))
      const lazy = await import(`data:text/javascript,${encodeURIComponent(source)}`)
      assert.equal(typeof lazy[name], 'function')
      assert.equal(resolve(id, '/app/node_modules/pg/lib/index.js'), undefined)
    }
    assert.equal(resolve('fs', react), undefined)
  })

  test("streams of Node's are still there for TanStack's handlers", async () => {
    const handler = '/app/node_modules/@tanstack/router-core/dist/esm/ssr/transformStreamWithRouter.js'
    const source = plugin('self-contained').load(resolve('node:stream', handler))
    const { PassThrough, Readable } = await import(`data:text/javascript,${encodeURIComponent(source)}`)
    const through = new PassThrough()
    through.end('words')
    assert.equal(await new Response(Readable.toWeb(through)).text(), 'words')
    assert.equal(resolve('node:util', handler), undefined)
  })
})

describe('the manifest', () => {
  const bundle = Object.fromEntries(
    [
      { fileName: 'assets/index-BX3a.js', type: 'chunk', isEntry: true },
      { fileName: 'assets/page-C9aa.js', type: 'chunk', isEntry: false },
      { fileName: 'assets/logo.svg', type: 'asset' },
      { fileName: 'assets/page-C9aa.js.map', type: 'asset' },
    ].map((file) => [file.fileName, file]),
  )
  const output = {
    entryFileNames: 'assets/[name]-[hash].js',
    chunkFileNames: 'assets/[name]-[hash:8].js',
    assetFileNames: 'assets/[name][extname]',
  }

  test('knows what has its hash in its name', () => {
    assert.deepEqual(filesOf(output, bundle), {
      immutable: ['assets/index-BX3a.js', 'assets/page-C9aa.js'],
      sourceMaps: ['assets/page-C9aa.js.map'],
    })
    const byFunction = { ...output, entryFileNames: () => 'index.js' }
    assert.deepEqual(filesOf(byFunction, bundle).immutable, ['assets/page-C9aa.js'])
  })

  test("lists the router's patterns once each", () => {
    const tree = `
      export interface FileRoutesByFullPath {
        '/threads/$id': typeof ThreadsIdRoute
        '/': typeof IndexRoute
      }
      export interface FileRoutesByTo { '/other': typeof OtherRoute }`
    assert.deepEqual(patternsIn(tree), ['/', '/threads/$id'])
    assert.deepEqual(patternsIn('export const routeTree = {}'), [])
  })

  test('lies beside both outputs', async (t) => {
    const root = await project(t, {
      'package.json': '{ "dependencies": { "react": "^19", "absent": "1" } }',
      'node_modules/react/package.json': '{ "version": "19.3.1" }',
      'dist/server/server.js': '',
    })
    const manifest = plugin('manifest')
    manifest.generateBundle.call({ environment: { name: 'client' } }, output, bundle)
    await manifest.buildApp.handler(builder(root))
    assert.deepEqual(JSON.parse(await readFile(join(root, 'dist/isopod.json'), 'utf8')), {
      format: 1,
      functions: { base: '/_serverFn/', direct: {} },
      routes: [],
      immutable: ['client/assets/index-BX3a.js', 'client/assets/page-C9aa.js'],
      sourceMaps: [],
      packages: { react: '19.3.1' },
    })
  })

  test('a package.json that is none fails the build and is named', async (t) => {
    const root = await project(t, { 'package.json': '{', 'dist/server/server.js': '' })
    await assert.rejects(plugin('manifest').buildApp.handler(builder(root)), /package\.json cannot be read/)
  })
})

describe('compressed variants', () => {
  test('hold the same bytes, where they save some', async (t) => {
    const root = await project(t, {
      'dist/client/assets/app.js': TEXT,
      'dist/client/small.css': 'a{}',
      'dist/client/photo.png': TEXT,
    })
    await plugin('precompress').buildApp.handler(builder(root))
    const assets = await readdir(join(root, 'dist/client/assets'))
    assert.deepEqual(assets.filter((name) => name !== 'app.js.zst').sort(), ['app.js', 'app.js.br', 'app.js.gz'])
    assert.deepEqual((await readdir(join(root, 'dist/client'))).sort(), ['assets', 'photo.png', 'small.css'])
    const variant = (suffix) => readFile(join(root, `dist/client/assets/app.js${suffix}`))
    assert.equal(brotliDecompressSync(await variant('.br')).toString(), TEXT)
    assert.equal(gunzipSync(await variant('.gz')).toString(), TEXT)
  })
})

describe('direct functions', () => {
  // As Start's compiler leaves a server function.
  const compiled = (chain, options = '{ direct: true }', name = "'threads.list'") => `
    import { createServerRpc } from '@tanstack/react-start/server-rpc'
    const list_handler = createServerRpc({ id: 'abc', name: 'list', filename: 'a.ts' }, (opts) => list.__executeServer(opts))
    export const list = ${chain}.handler(list_handler, native(${name}, ${options}))`
  const found = (...source) => directIn(parseAst(compiled(...source)))

  test('are known by the ids that clients call', () => {
    assert.deepEqual(found("createServerFn({ method: 'GET' })"), [{ id: 'abc', name: 'threads.list' }])
    assert.deepEqual(found("createServerFn().validator(nativeInput('threads.list'))"), [{ id: 'abc', name: 'threads.list' }])
    assert.deepEqual(found("createServerFn({ method: 'GET' })", '{ direct: false }'), [])
    assert.deepEqual(directIn(parseAst('export const other = 1; other.handler(1, 2)')), [])
  })

  test('have no part in JavaScript that would not run', () => {
    const problem = (...source) => found(...source)[0].problem
    assert.match(problem('createServerFn().middleware([log])'), /middleware in JavaScript would not run/)
    assert.match(problem('createServerFn().validator((x) => x)'), /validator in JavaScript would not run/)
    assert.match(problem('createServerFn().inputValidator((x) => x)'), /validator in JavaScript would not run/)
    assert.match(problem('authed()'), /authed\(\) may add middleware/)
    assert.match(problem('base'), /not made by createServerFn/)
    assert.match(problem('createServerFn()', '{ direct: true }', 'NAME'), /must be a plain string/)
  })

  test('stop the build where they are refused', () => {
    const build = plugin('direct-functions')
    const context = { parse: parseAst, error: ({ message }) => { throw new Error(message) } }
    const source = compiled('createServerFn().validator((x) => x)')
    assert.throws(() => build.transform.handler.call(context, source, 'a.ts'), /leave `direct` out/)
  })
})
