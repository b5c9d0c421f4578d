import assert from 'node:assert/strict'
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { spawn } from 'node:child_process'
import { join, resolve } from 'node:path'
import { after, before, describe, test } from 'node:test'

import { launchBrowser, Visitor } from './visitor.js'

const APPS = process.env.ISOPOD_APPS_DIR ?? resolve(import.meta.dirname ?? new URL('.', import.meta.url).pathname, '../apps')
const SOURCE = join(APPS, 'notes-react-router')

/** `vite dev` of a copy of the app, so that its sources can be changed. */
async function develop() {
  const root = await mkdtemp(join(APPS, '.notes-dev-'))
  for (const entry of ['src', 'public', 'package.json', 'vite.config.ts', 'tsconfig.json']) {
    await cp(join(SOURCE, entry), join(root, entry), { recursive: true })
  }
  await symlink(join(SOURCE, 'node_modules'), join(root, 'node_modules'))
  const vite = spawn(process.execPath, ['node_modules/vite/bin/vite.js', '--host', '127.0.0.1', '--port', '0'], { cwd: root })
  const stop = async () => {
    const ended = new Promise((done) => vite.once('exit', done))
    vite.kill()
    await ended
    await rm(root, { recursive: true })
  }
  let said = ''
  const url = await new Promise((found, failed) => {
    vite.stderr.on('data', (text) => (said += text))
    vite.stdout.on('data', (text) => {
      said += text
      const local = /http:\/\/127\.0\.0\.1:\d+/.exec(said.replaceAll(/\u001b\[\d+m/g, ''))
      if (local) found(new URL(local[0]))
    })
    vite.once('exit', () => failed(new Error(`vite dev ended: ${said}`)))
  })
  const change = async (file, from, to) => {
    const path = join(root, 'src', file)
    const text = await readFile(path, 'utf8')
    assert.ok(text.includes(from), `${from} is not in ${file}`)
    await writeFile(path, text.replace(from, to))
  }
  return { name: 'notes-dev', url, change, stop }
}

describe('notes-react-router in development', () => {
  let app, browser

  before(async () => {
    app = await develop()
    browser = await launchBrowser()
  })
  after(async () => {
    await browser?.close()
    await app?.stop()
  })

  test('the same definition renders, with styles in place and hydrated', async () => {
    const ada = await Visitor.arrive(browser, app)
    ada.page.setDefaultTimeout(60_000)
    assert.equal(await ada.open('/notes/2'), 200)
    await ada.sees('h2', 'Shells')
    await ada.page.click('#counter')
    await ada.sees('#counter', 'Count: 1')
    const html = await (await fetch(new URL('/notes/2', app.url))).text()
    assert.match(html, /<!-- header \/notes\/:id -->/)
    assert.match(html, /<style type="text\/css" data-vite-dev-id="[^"]*note\.css">[^<]*rgb\(1, 2, 3\)/)
    assert.equal((await fetch(new URL('/health', app.url))).headers.get('x-middleware'), 'ran')
    assert.equal((await fetch(new URL('/skipped', app.url))).status, 404)
    await ada.leave()
  })

  test('a changed component is replaced where it stands, and its state stays', async () => {
    const ada = await Visitor.arrive(browser, app)
    ada.page.setDefaultTimeout(60_000)
    await ada.open('/')
    await ada.sees('h1', 'Notes on rendering')
    await ada.page.click('#counter')
    await ada.sees('#counter', 'Count: 1')
    await app.change('routes/home.tsx', 'Notes on rendering', 'Notes on replacing')
    await ada.sees('h1', 'Notes on replacing')
    await ada.sees('#counter', 'Count: 1')
    assert.deepEqual(ada.documents, ['/'])
    const html = await (await fetch(app.url)).text()
    assert.match(html, /Notes on replacing/, 'the server renders the change as well')
    await app.change('app.css', 'margin: 2rem', 'margin: 7px')
    await ada.page.waitForFunction(() => getComputedStyle(document.body).marginTop === '7px')
    assert.deepEqual(ada.documents, ['/'])
    await ada.leave()
  })
})
