import assert from 'node:assert'
import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks'
import { Buffer } from 'node:buffer'
import crypto from 'node:crypto'
import dns from 'node:dns/promises'
import { EventEmitter, once } from 'node:events'
import fs from 'node:fs'
import http from 'node:http'
import { createRequire } from 'node:module'
import net, { type AddressInfo } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { performance } from 'node:perf_hooks'
import querystring from 'node:querystring'
import { PassThrough, Readable, pipeline } from 'node:stream'
import { pipeline as pipelinePromise } from 'node:stream/promises'
import { StringDecoder } from 'node:string_decoder'
import { setTimeout as sleep } from 'node:timers/promises'
import url from 'node:url'
import util from 'node:util'
import v8 from 'node:v8'
import vm from 'node:vm'
import { MessageChannel as NodeChannel } from 'node:worker_threads'
import zlib from 'node:zlib'

const require = createRequire(import.meta.url)

const cases: Record<string, () => unknown> = {
  assert: () => assert.throws(() => assert.deepStrictEqual({ a: 1 }, { a: 2 }), assert.AssertionError),
  buffer: () => assert.equal(Buffer.from('café').toString('base64'), 'Y2Fmw6k='),
  'fs sync': () => assert.ok(fs.readFileSync(import.meta.filename, 'utf8').length > 0 && fs.existsSync(import.meta.dirname)),
  'fs streams': async () => {
    let bytes = 0
    for await (const chunk of fs.createReadStream(import.meta.filename)) bytes += chunk.length
    assert.equal(bytes, fs.statSync(import.meta.filename).size)
  },
  'fs missing': () => assert.throws(() => fs.readFileSync(path.join(import.meta.dirname, 'missing')), { code: 'ENOENT' }),
  'fs callback': () => util.promisify(fs.stat)(import.meta.dirname),
  'crypto hash': () =>
    assert.equal(crypto.createHash('md5').update('abc').digest('hex'), '900150983cd24fb0d6963f7d28e17f72'),
  'crypto hmac': () => assert.equal(crypto.createHmac('sha256', 'k').update('v').digest().length, 32),
  'crypto scrypt': () => assert.equal(crypto.scryptSync('p', 'salt', 32).length, 32),
  'crypto gcm': () => {
    const [key, iv] = [crypto.randomBytes(32), crypto.randomBytes(12)]
    const cipher = crypto.createCipheriv('aes-256-gcm', key, iv)
    const sealed = Buffer.concat([cipher.update('secret'), cipher.final()])
    const decipher = crypto.createDecipheriv('aes-256-gcm', key, iv).setAuthTag(cipher.getAuthTag())
    assert.equal(Buffer.concat([decipher.update(sealed), decipher.final()]).toString(), 'secret')
  },
  'crypto sign': () => {
    const { publicKey, privateKey } = crypto.generateKeyPairSync('ed25519')
    assert.ok(crypto.verify(null, Buffer.from('x'), publicKey, crypto.sign(null, Buffer.from('x'), privateKey)))
  },
  'web crypto': async () => assert.equal((await crypto.webcrypto.subtle.digest('SHA-256', Buffer.from('x'))).byteLength, 32),
  timing: () => assert.ok(crypto.timingSafeEqual(Buffer.from('a'), Buffer.from('a'))),
  dns: async () => assert.ok((await dns.lookup('localhost')).address),
  events: async () => {
    const emitter = new EventEmitter()
    queueMicrotask(() => emitter.emit('ready', 7))
    assert.deepEqual(await once(emitter, 'ready'), [7])
  },
  http: async () => {
    const server = http.createServer((request, response) => response.end(`${request.method} ${request.url}`))
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/x`
    assert.equal(await (await fetch(address)).text(), 'GET /x')
    const [response] = await once(http.get(address), 'response')
    let body = ''
    for await (const chunk of response) body += chunk
    assert.equal(body, 'GET /x')
    server.close()
  },
  net: async () => {
    const server = net.createServer((socket) => socket.end('bye'))
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const socket = net.connect((server.address() as AddressInfo).port, '127.0.0.1')
    let heard = ''
    for await (const chunk of socket) heard += chunk
    assert.equal(heard, 'bye')
    server.close()
  },
  'require json': () => assert.equal(require('pg/package.json').name, 'pg'),
  'require commonjs': () => assert.equal(typeof require('pg').Pool, 'function'),
  'require missing': () => assert.throws(() => require('no-such-package'), { code: 'MODULE_NOT_FOUND' }),
  'require addon': () => {
    const addon = path.join(os.tmpdir(), 'x.node')
    fs.writeFileSync(addon, '')
    assert.throws(() => require(addon), /native addon/)
  },
  os: () => assert.ok(os.hostname() && os.cpus().length > 0 && os.tmpdir() && os.EOL === '\n' && os.platform() === 'linux'),
  process: async () => {
    assert.equal(process.env.NODE_ENV, 'production')
    assert.ok(process.version.startsWith('v26.') && !('deno' in process.versions) && process.pid > 0 && process.cwd())
    assert.ok(process.memoryUsage().heapUsed > 0 && process.hrtime.bigint() > 0n && process.uptime() >= 0)
    await new Promise<void>((resolve) => process.nextTick(resolve))
  },
  querystring: () => assert.equal(querystring.stringify({ a: [1, 2] }), 'a=1&a=2'),
  stream: async () => {
    const upper = new PassThrough({ transform: (chunk, _encoding, done) => done(null, String(chunk).toUpperCase()) })
    const words: string[] = []
    await pipelinePromise(Readable.from(['a', 'b']), upper, async (source) => {
      for await (const word of source) words.push(String(word))
    })
    assert.equal(words.join(''), 'AB')
    const web = Readable.toWeb(Readable.from([Buffer.from('hello')])) as unknown as ReadableStream
    assert.equal(await new Response(web).text(), 'hello')
    await new Promise<void>((resolve, reject) =>
      pipeline(Readable.from(['x']), new PassThrough().resume(), (error) => (error ? reject(error) : resolve())),
    )
  },
  'string decoder': () => assert.equal(new StringDecoder('utf8').write(Buffer.from('é')), 'é'),
  timers: async () => {
    const timer = setTimeout(() => {}, 1e6)
    assert.equal(typeof timer.unref, 'function')
    clearTimeout(timer.unref())
    assert.equal(await sleep(1, 'slept'), 'slept')
    await new Promise((resolve) => setImmediate(resolve))
  },
  'perf hooks': () => assert.ok(performance.now() > 0),
  url: () => assert.equal(url.fileURLToPath(import.meta.url), import.meta.filename),
  util: () => {
    assert.equal(util.inspect({ a: new Map([[1, { b: 2 }]]) }), '{ a: Map(1) { 1 => { b: 2 } } }')
    assert.equal(util.format('%s %d', 'a', 1), 'a 1')
  },
  v8: () => assert.deepEqual(v8.deserialize(v8.serialize({ a: 1n })), { a: 1n }),
  vm: () => assert.equal(vm.runInNewContext('x + 1', { x: 1 }), 2),
  'message channel': async () => {
    const { port1, port2 } = new NodeChannel()
    port1.postMessage('over')
    assert.deepEqual(await once(port2, 'message'), ['over'])
    port1.close()
  },
  zlib: async () => {
    const gzipped = await util.promisify(zlib.gzip)('text'.repeat(100))
    assert.equal(zlib.gunzipSync(gzipped).toString(), 'text'.repeat(100))
    assert.equal(zlib.brotliDecompressSync(zlib.brotliCompressSync('text')).toString(), 'text')
  },
  'async context': async () => {
    const storage = new AsyncLocalStorage<number>()
    const seen: (number | undefined)[] = []
    const see = () => void seen.push(storage.getStore())
    await storage.run(7, async () => {
      await null
      see()
      await new Promise<void>((resolve) => setTimeout(() => (see(), resolve()), 1))
      await new Promise<void>((resolve) => setImmediate(() => (see(), resolve())))
      await new Promise<void>((resolve) => process.nextTick(() => (see(), resolve())))
      await new Promise<void>((resolve) => fs.stat('/', () => (see(), resolve())))
      const resource = new AsyncResource('x')
      storage.run(8, () => resource.runInAsyncScope(see))
    })
    assert.deepEqual(seen, [7, 7, 7, 7, 7, 7])
    assert.equal(storage.getStore(), undefined)
  },
  globals: () => {
    assert.ok(globalThis === global && Buffer === globalThis.Buffer && process === globalThis.process)
    assert.deepEqual([typeof setImmediate, typeof clearImmediate, typeof queueMicrotask], Array(3).fill('function'))
  },
}

export async function checks() {
  const results: Record<string, string> = {}
  for (const [name, run] of Object.entries(cases)) {
    try {
      await run()
      results[name] = 'ok'
    } catch (error) {
      results[name] = String((error as Error).stack)
    }
  }
  return results
}
