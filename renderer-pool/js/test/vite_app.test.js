import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'

import { parseSync } from 'rolldown/experimental'

import { isopod } from '@isopod/app/vite'

import { findEntries } from '../src/vite/app/entries.js'
import { annotated, lazyFunctions } from '../src/vite/app/lazy.js'
import { filesOf } from '../src/vite/app/manifest.js'
import { splitTemplate } from '../src/vite/app/server_entry.js'

async function project(t, files) {
  const root = await mkdtemp(join(tmpdir(), 'isopod-vite-app-'))
  t.after(() => rm(root, { recursive: true }))
  for (const file of files) {
    await mkdir(dirname(join(root, file)), { recursive: true })
    await writeFile(join(root, file), '')
  }
  return root
}

describe('entries', () => {
  test('are found by convention', async (t) => {
    const root = await project(t, ['src/server.tsx', 'src/client.ts'])
    const entries = { server: join(root, 'src/server.tsx'), client: join(root, 'src/client.ts'), html: undefined }
    assert.deepEqual(findEntries(root), entries)
  })

  test('a document around the app is one', async (t) => {
    const root = await project(t, ['src/server.js', 'src/client.js', 'index.html'])
    assert.equal(findEntries(root).html, join(root, 'index.html'))
  })

  test('an app without a server entry is none of ours', async (t) => {
    assert.equal(findEntries(await project(t, ['src/client.tsx'])), undefined)
  })

  test('what is missing is named', async (t) => {
    const root = await project(t, ['src/server.tsx'])
    assert.throws(() => findEntries(root), /server\.tsx has no client beside it: add src\/client\.tsx/)
    assert.throws(() => findEntries(root, { server: 'src/entry.ts' }), /the server entry 'src\/entry\.ts' is not there/)
  })
})

test('where Start builds the app, nothing is done', async (t) => {
  const root = await project(t, ['src/server.ts', 'src/client.ts'])
  const app = isopod().find(({ name }) => name === 'isopod:app')
  assert.equal(app.config({ root, plugins: [[{ name: 'tanstack-start-core:config' }]] }), undefined)
  assert.equal(app.config({ root, plugins: [] }).appType, 'custom')
})

test('a page needs its entry, its modules, what they import, and their styles', () => {
  const manifest = {
    'src/client.tsx': { file: 'assets/client.js', isEntry: true, imports: ['_shared.js'], css: ['assets/client.css'] },
    '_shared.js': { file: 'assets/shared.js', imports: ['src/client.tsx'], css: ['assets/shared.css'] },
    'src/note.tsx': { file: 'assets/note.js', isDynamicEntry: true, imports: ['_shared.js'], css: ['assets/note.css'] },
  }
  assert.deepEqual(filesOf(manifest, 'src/client.tsx', '/base/'), {
    entry: {
      scripts: ['/base/assets/shared.js', '/base/assets/client.js'],
      styles: ['/base/assets/shared.css', '/base/assets/client.css'],
    },
    modules: {
      'src/note.tsx': {
        scripts: ['/base/assets/client.js', '/base/assets/shared.js', '/base/assets/note.js'],
        styles: ['/base/assets/client.css', '/base/assets/shared.css', '/base/assets/note.css'],
      },
    },
  })
})

test('a template is split where the app belongs', () => {
  assert.deepEqual(splitTemplate('<div id="root"><!--app-html--></div>'), { header: '<div id="root">', footer: '</div>' })
  assert.deepEqual(splitTemplate('a<!-- ssr-outlet -->b'), { header: 'a', footer: 'b' })
  assert.throws(() => splitTemplate('<div></div>'), /put <!--app-html-->/)
})

describe('lazy functions', () => {
  const found = (code) =>
    lazyFunctions(parseSync('a.js', code).program).map(({ start, end, sources }) => [code.slice(start, end), sources])

  test('are those nearest to an import on demand', () => {
    assert.deepEqual(found("const a = { lazy: () => import('./a') }"), [["() => import('./a')", ['./a']]])
    const object = "const r = { lazy: { Component: async () => (await import('./b')).B, loader: () => import('./c') } }"
    assert.deepEqual(found(object).map(([, sources]) => sources), [['./b'], ['./c']])
    const both = "const l = async function () { const [a] = await Promise.all([import('./a'), import('./b')]); return a }"
    assert.deepEqual(found(both).map(([, sources]) => sources), [['./a', './b']])
  })

  test('declarations, methods and unknown names are left alone', () => {
    assert.deepEqual(found("async function load() { return import('./a') }"), [])
    assert.deepEqual(found("const o = { lazy() { return import('./a') } }"), [])
    assert.deepEqual(found("class A { load() { return import('./a') } }"), [])
    assert.deepEqual(found('const a = (name) => import(name)'), [])
  })

  test('carry what they load', () => {
    const code = 'const a = () => 1, b = () => 2'
    const edits = [
      { start: 10, end: 17, modules: ['src/a.tsx'] },
      { start: 23, end: 30, modules: ['src/b.tsx'] },
    ]
    const [a, b] = new Function(`${annotated(code, edits)}; return [a, b]`)()
    assert.deepEqual([a(), a[Symbol.for('isopod.modules')]], [1, ['src/a.tsx']])
    assert.deepEqual([b(), b[Symbol.for('isopod.modules')]], [2, ['src/b.tsx']])
  })
})
