import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { chmod, cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { after, before, describe, test } from 'node:test'

import { launchBrowser, Visitor } from './visitor.js'

const APPS = process.env.ISOPOD_APPS_DIR ?? resolve(import.meta.dirname, '../apps')
const WORKER = process.env.ISOPOD_THREADS_WORKER

/** `vite dev` of a copy of an app beside the others, with the real worker behind a script that can be changed. */
async function develop(framework) {
  const source = join(APPS, `threads-${framework}`)
  const root = await mkdtemp(join(APPS, `.service-dev-${framework}-`))
  for (const entry of ['src', 'package.json', 'vite.config.ts', 'tsconfig.json']) {
    await cp(join(source, entry), join(root, entry), { recursive: true })
  }
  const script = join(root, 'worker')
  const runs = (command) => writeFile(script, `#!/bin/sh\n${command}\n`)
  await runs(`exec ${WORKER} "$@"`)
  await chmod(script, 0o755)
  const config = join(root, 'vite.config.ts')
  const written = await readFile(config, 'utf8')
  await writeFile(config, written.replace('{ worker: process.env.THREADS_WORKER }', "{ worker: './worker', watch: 'worker' }"))
  await symlink(join(source, 'node_modules'), join(root, 'node_modules'))
  const env = { ...process.env, SERVICE_PASSWORD: 'a password of at least thirty-two characters' }
  const vite = spawn(process.execPath, ['node_modules/vite/bin/vite.js', '--host', '127.0.0.1', '--port', '0'], { cwd: root, env })
  const stop = async () => {
    if (vite.exitCode === null) {
      const ended = new Promise((done) => vite.once('exit', done))
      vite.kill()
      await ended
    }
    await rm(root, { recursive: true })
  }
  let said = ''
  vite.stderr.on('data', (text) => (said += text))
  const url = await new Promise((found, failed) => {
    vite.stdout.on('data', (text) => {
      said += text
      const local = /http:\/\/127\.0\.0\.1:\d+/.exec(said.replaceAll(/\u001b\[\d+m/g, ''))
      if (local) found(new URL(local[0]))
    })
    vite.once('exit', () => failed(new Error(`vite dev ended: ${said}`)))
  })
  const workerId = async () => Number(await readFile(join(root, 'worker.pid'), 'utf8'))
  return { name: `${framework}-dev`, url, stop, runs, workerId, said: () => said }
}

for (const framework of WORKER ? ['react', 'solid'] : []) {
  describe(`the threads service of threads-${framework} in development`, () => {
    let app, browser, ada

    before(async () => {
      app = await develop(framework)
      browser = await launchBrowser()
      ada = await Visitor.arrive(browser, app)
      // Vite packs dependencies for the browser as it meets them: pages that came too early have to be loaded again.
      ada.page.setDefaultTimeout(10_000)
      for (let tries = 1; !(await ada.open('/').catch(() => false)); tries++) assert.ok(tries < 6, app.said())
      ada.page.setDefaultTimeout(60_000)
    })
    after(async () => {
      await browser?.close()
      await app?.stop()
    })

    const overlay = () => ada.page.locator('vite-error-overlay .message-body').textContent()

    test('what the app calls goes to the worker, with cookies in both directions', async () => {
      assert.equal(await ada.open('/service'), 200)
      await ada.sees('h1', 'Who are you?')
      await ada.page.fill('#name', 'A')
      await ada.page.click('#sign-in')
      await ada.sees('#problem', 'name: length is lower than 2')
      await ada.page.fill('#name', 'Ada')
      await ada.page.click('#sign-in')
      await ada.sees('h1', 'Threads of Ada')
      await ada.sees('#counts', '4 threads, 0 with a star')
      await ada.page.click('#threads a')
      await ada.sees('#title', 'What a seal holds')
    })

    test('streams, forms and what is wrong with a call go both ways', async () => {
      const threads = ['What a seal holds', 'A deadline for everything', 'Windows under load']
      for (const way of ['direct', 'bundle']) {
        await ada.open('/service')
        await ada.page.click(`#follow-${way}`)
        await ada.sees('#followed', `all of ${threads.map((title) => `${title} (dated)`).join(', ')}`)
        const image = { name: 'image.png', mimeType: 'image/png', buffer: Buffer.from([0x89, 0x50, 0xff]) }
        await ada.page.setInputFiles(`#file-${way}`, image)
        await ada.page.click(`#upload-${way}`)
        await ada.sees(`#problem-${way}`, 'file: is no text: byte 0 is not UTF-8')
        // Several windows.
        const words = { name: `${way} words.txt`, mimeType: 'text/plain', buffer: Buffer.from('threads '.repeat(1 << 17)) }
        await ada.page.setInputFiles(`#file-${way}`, words)
        await ada.page.click(`#upload-${way}`)
        await ada.sees('#title', `${way} words.txt`)
        await ada.sees('#size', `${1 << 17} words, ${1 << 20} bytes`)
        threads.unshift(`${way} words.txt`)
        threads.pop()
      }
    })

    test("the worker's routes answer, and the app's go on", async () => {
      const { request } = ada.page
      const feed = new URL('/service/feed/2', app.url).href
      assert.equal(await (await request.get(feed)).text(), 'bundle words.txt\ndirect words.txt\n')
      const posted = await request.post(feed, { data: Buffer.alloc(1 << 20) })
      assert.equal(await posted.text(), String(1 << 20))
      const head = await request.head(feed)
      assert.deepEqual([head.status(), await head.text()], [200, ''])
      const put = await request.put(feed)
      assert.deepEqual([put.status(), put.headers().allow], [405, 'GET, POST, HEAD, OPTIONS'])
      const own = await (await request.get(new URL('/service/api', app.url).href)).json()
      assert.equal(own.total, 6)
    })

    test('a worker that does not start shows in the overlay, and the one before goes on', async () => {
      await app.runs('echo "two functions are named a" >&2; exit 65')
      assert.match(await overlay(), /does not print its types:\ntwo functions are named a/)
      await ada.open('/service')
      await ada.sees('h1', 'Threads of Ada')
    })

    test('a worker that ends shows in the overlay, and runs again after the next change', async () => {
      await app.runs(`[ "$1" = --emit-types ] && exec ${WORKER} "$@"; echo "out of luck" >&2; exit 70`)
      assert.match(await overlay(), /has ended \(exit code 70\): out of luck/)
      const reloaded = ada.page.waitForEvent('load')
      await app.runs(`exec ${WORKER} "$@"`)
      await reloaded
      await ada.hydrated()
      // Its threads were in memory.
      await ada.sees('#counts', '0 threads, 0 with a star')
    })

    test('a worker that dies is started again by the next call', async () => {
      const reloaded = ada.page.waitForEvent('load')
      await app.runs(`echo $$ > worker.pid; exec ${WORKER} "$@"`)
      await reloaded
      await ada.open('/service')
      await ada.sees('#counts', '0 threads, 0 with a star')
      process.kill(await app.workerId(), 'SIGKILL')
      assert.match(await overlay(), /has ended \(SIGKILL\)/)
      await ada.open('/service')
      await ada.sees('#counts', '0 threads, 0 with a star')
    })

    test("what fails in Rust shows in the overlay with Rust's words", async () => {
      await app.runs(`SERVICE_DATABASE=/dev/full exec ${WORKER} "$@"`)
      assert.match(await overlay(), /the state `threads_worker::store::Store` cannot be made/)
    })
  })
}
