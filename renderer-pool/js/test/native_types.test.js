import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'

import { isopod } from '@isopod/app/vite'
import { build } from 'vite'

import { declaredIn } from '../src/vite/native/types.js'
import { commandOf } from '../src/vite/native/workers.js'

const HERE = fileURLToPath(new URL('.', import.meta.url))
/** What a real worker prints: its own tests hold this file to it. */
const PRINTED = join(HERE, '../../../tests/apps/threads-react/src/native.d.ts')
const TSC = join(HERE, '../node_modules/typescript/bin/tsc')

/** A directory inside of this package, so that it can import the package by its name. */
async function project(t, files) {
  const root = await mkdtemp(join(HERE, '.native-'))
  t.after(() => rm(root, { recursive: true }))
  await mkdir(join(root, 'src'))
  for (const [name, content] of Object.entries(files)) await writeFile(join(root, name), content)
  return root
}

const TYPES = `declare module '@isopod/app/native' {
  interface NativeFunctions {
    'threads.list': { method: 'GET'; input: null; output: number }
    'threads.rename': { method: 'POST'; input: null; output: null }
  }
}
export {}
`

async function worker(root, script) {
  await writeFile(join(root, 'worker'), `#!/bin/sh\n${script}\n`)
  await chmod(join(root, 'worker'), 0o755)
}

const PRINTS = `[ "$1" = --emit-types ] || exit 64\ncat <<'END'\n${TYPES}END`

function built(root, native) {
  return build({
    root,
    configFile: false,
    logLevel: 'silent',
    plugins: [isopod({ pages: false, precompress: false, manifest: false, native })],
    build: { write: false, rollupOptions: { input: join(root, 'src/entry.js'), external: /^@/ } },
  })
}

const calling = (code) => `import { native, nativeInput } from '@isopod/app/native'\nimport { createServerFn } from '@x/start'\n${code}\n`

describe('the option', () => {
  test('takes one worker or several, and says what it does not take', () => {
    for (const [native, told] of [
      ['target/worker', /'native' is "target\/worker", it must be an object/],
      [{ wroker: 'x' }, /'native' has no 'wroker'; there are worker, types, watch/],
      [{ worker: 7 }, /'native.worker' is 7, it must be a program's path or a command/],
      [[{ worker: 'a' }, { worker: 'b' }], /two workers write their types to src\/native.d.ts/],
    ]) {
      assert.throws(() => isopod({ native }), told)
    }
    assert.ok(isopod({ native: [{ worker: 'a' }, { worker: 'b', types: 'b.d.ts' }] }))
  })

  test('a worker is a path, with spaces too, or a command', async (t) => {
    const root = await project(t, { 'my worker': '' })
    assert.deepEqual(commandOf('my worker', root), [join(root, 'my worker')])
    assert.deepEqual(commandOf('cargo run --bin x --', root), ['cargo', 'run', '--bin', 'x', '--'])
    assert.deepEqual(commandOf('../bin/x --fast', '/app'), ['/bin/x', '--fast'])
  })
})

describe('the build', () => {
  test('writes what the worker prints, once', async (t) => {
    const root = await project(t, { 'src/entry.js': calling("export const list = native('threads.list')") })
    await worker(root, PRINTS)
    await built(root, { worker: './worker' })
    const file = join(root, 'src/native.d.ts')
    assert.equal(await readFile(file, 'utf8'), TYPES)
    const { mtimeMs } = await stat(file)
    await built(root, { worker: './worker' })
    assert.equal((await stat(file)).mtimeMs, mtimeMs)
  })

  test('takes the types that are there without a worker, and says when there are none', async (t) => {
    const root = await project(t, { 'src/entry.js': calling("export const list = native('threads.list')") })
    await assert.rejects(built(root, {}), /there is no src\/native\.d\.ts, and no 'native\.worker' that would write it/)
    await writeFile(join(root, 'src/native.d.ts'), TYPES)
    await built(root, {})
  })

  test('refuses what no worker has', async (t) => {
    for (const [code, told] of [
      ["export const list = native('threads.lits')", /no native function 'threads.lits': did you mean 'threads.list'\?/],
      ["export const input = nativeInput('nothing')", /no native function 'nothing': there are threads.list, threads.rename/],
      [
        "export const rename = createServerFn().handler(native('threads.rename'))",
        /'threads.rename' is called with POST: write createServerFn\(\{ method: 'POST' \}\)/,
      ],
      [
        "export const list = createServerFn({ method: 'POST' }).validator(x => x).handler((call) => native('threads.list')(call))",
        /'threads.list' is called with GET/,
      ],
    ]) {
      const root = await project(t, { 'src/entry.js': calling(code), 'src/native.d.ts': TYPES })
      await assert.rejects(built(root, {}), told, code)
    }
  })

  test('follows the import, not the word', async (t) => {
    const code = `import { native as rust } from '@isopod/app/native'
      const native = (name) => name
      export const all = [native('not.rust'), rust('threads.list')]`
    const root = await project(t, { 'src/entry.js': code, 'src/native.d.ts': TYPES })
    await built(root, {})
    await writeFile(join(root, 'src/entry.js'), code.replace('threads.list', 'threads.none'))
    await assert.rejects(built(root, {}), /no native function 'threads.none'/)
  })

  test('shows what the worker says when it does not print', async (t) => {
    const root = await project(t, { 'src/entry.js': '' })
    await worker(root, 'echo "two functions are named a" >&2; exit 65')
    await assert.rejects(built(root, { worker: './worker' }), /does not print its types:\ntwo functions are named a/)
  })
})

describe('the types', () => {
  const check = (root) =>
    new Promise((done) => {
      execFile(process.execPath, [TSC, '--noEmit', '--project', root], (error, stdout) => done({ ok: !error, said: stdout }))
    })

  const CONFIG = JSON.stringify({
    compilerOptions: {
      target: 'ES2022', module: 'ESNext', moduleResolution: 'Bundler', lib: ['ES2023', 'DOM'], strict: true, types: [],
    },
    include: ['src'],
  })

  const RIGHT = `import { native, nativeInput } from '@isopod/app/native'
import type { Page } from './native'
export const page: Promise<Page> = native('service.list')({ data: { limit: 3 }, method: 'GET' })
export const all = native('service.list')({})
export const when: Promise<Date> = native('service.read')({ data: { id: 1 } }).then((thread) => thread.updatedAt)
export const renamed = nativeInput('service.rename')({ id: 1, title: 'New' })
export const nothing: null = await native('service.star')({ data: { id: 1, starred: true } })
`

  test('of a real worker fit right calls', async (t) => {
    const root = await project(t, { 'tsconfig.json': CONFIG, 'src/calls.ts': RIGHT })
    await copyFile(PRINTED, join(root, 'src/native.d.ts'))
    const { functions, routes } = declaredIn(await readFile(PRINTED, 'utf8'))
    assert.equal(functions.get('service.rename'), 'POST')
    assert.deepEqual(routes, ['/service/feed/$limit'])
    const odd = "  interface NativeRoutes {\n    '/it\\'s/$': 'GET'\n    '/none': string\n  }"
    assert.deepEqual(declaredIn(odd).routes, ["/it's/$"])
    assert.deepEqual(await check(root), { ok: true, said: '' })
  })

  test('refuse each wrong call', async (t) => {
    const wrong = [
      "native('service.lits')",
      "native('service.read')({ data: { id: '1' } })",
      "native('service.read')({ data: {} })",
      "native('service.list')({ data: { limit: 1, starred: 'yes' } })",
      "native('service.rename')({ method: 'GET' })",
      "nativeInput('service.rename')({ id: 1 })",
      "native('service.list')({}).then((page) => page.treads)",
    ]
    const lines = wrong.map((code) => `export const wrong_${wrong.indexOf(code)} = ${code}`)
    const source = `import { native, nativeInput } from '@isopod/app/native'\n${lines.join('\n')}\n`
    const root = await project(t, { 'tsconfig.json': CONFIG, 'src/calls.ts': source })
    await copyFile(PRINTED, join(root, 'src/native.d.ts'))
    const { ok, said } = await check(root)
    assert.ok(!ok)
    wrong.forEach((code, at) => assert.match(said, new RegExp(`calls\\.ts[:(]${at + 2}[:,]`), `${code}\n${said}`))
  })
})
