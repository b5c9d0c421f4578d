// Profiles, heap snapshots and the inspector, read by the programs that people read them with.
import assert from 'node:assert/strict'
import fs from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'

import CDP from 'chrome-remote-interface'
import snapshots from 'heapsnapshot-parser'
import { chromium } from 'playwright-core'

import { Gateway } from './harness.js'

const APP = `
class Kept { constructor(number) { this.number = number } }
globalThis.kept = Array.from({ length: 1000 }, (_, number) => new Kept(number))

function burnsTime(until) {
  let sum = 0
  while (performance.now() < until) for (let i = 0; i < 1000; i++) sum += Math.sqrt(i)
  return sum
}

function loader(name) {
  const greeting = 'hello ' + name
  return greeting
}

export default {
  fetch(request) {
    const { pathname, searchParams } = new URL(request.url)
    if (pathname === '/burn') return new Response(String(burnsTime(performance.now() + 200)))
    return new Response(loader(searchParams.get('name') ?? 'nobody'))
  },
}
`

describe('examinations', () => {
  let gateway
  before(async () => (gateway = await Gateway.serving({ 'server/server.js': APP }, '--debug-endpoints', 'true')))
  after(() => gateway.stop())

  test('speedscope shows where the time of a profile went', async () => {
    const [answer] = await Promise.all([
      gateway.examine('/debug/profile?isolate=0.0&seconds=2'),
      (async () => {
        for (let i = 0; i < 5; i++) await (await gateway.get('/burn')).text()
      })(),
    ])
    assert.equal(answer.status, 200)
    assert.match(answer.headers.get('content-disposition'), /\.cpuprofile"$/)
    const text = await answer.text()
    const profile = JSON.parse(text)
    assert.ok(profile.endTime - profile.startTime >= 2_000_000, 'times are microseconds')
    assert.equal(profile.samples.length, profile.timeDeltas.length)
    assert.ok(profile.nodes.some((node) => node.callFrame.functionName === 'burnsTime'))

    const directory = await fs.mkdtemp(path.join(os.tmpdir(), 'isopod-profile-'))
    const file = path.join(directory, 'isolate.cpuprofile')
    await fs.writeFile(file, text)
    const browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: ['--no-sandbox', '--disable-gpu', '--allow-file-access-from-files'],
    })
    try {
      const page = await browser.newPage()
      const speedscope = new URL('node_modules/speedscope/dist/release/index.html', import.meta.url)
      await page.goto(`${speedscope}#view=sandwich`)
      await page.locator('input[type=file]').setInputFiles(file)
      await page.getByText('burnsTime').first().waitFor()
    } finally {
      await browser.close()
      await fs.rm(directory, { recursive: true })
    }
  })

  test('a parser finds the objects of a heap snapshot', async () => {
    const answer = await gateway.examine('/debug/heapsnapshot?isolate=0')
    assert.equal(answer.status, 200)
    assert.match(answer.headers.get('content-disposition'), /\.heapsnapshot"$/)
    const snapshot = snapshots.parse(await answer.text())
    const kept = snapshot.nodes.filter((node) => node.type === 'object' && node.name === 'Kept')
    assert.equal(kept.length, 1000)
    assert.ok(kept[0].referrers.length > 0)
    assert.equal(await (await gateway.get('/?name=x')).text(), 'hello x', 'the isolate goes on')
  })

  test('one at a time', async () => {
    const first = gateway.examine('/debug/profile?seconds=1')
    await gateway.logged(/an isolate is examined.*1000/)
    const second = await gateway.examine('/debug/heapsnapshot')
    assert.equal(second.status, 409)
    assert.match(await second.text(), /already/)
    assert.equal((await first).status, 200)
    assert.equal((await gateway.examine('/debug/profile?seconds=1')).status, 200)
  })

  test('what cannot be is told', async () => {
    for (const [wanted, status, said] of [
      ['/debug/profile?isolate=7', 404, /there are: 0\.0/],
      ['/debug/profile?seconds=9999', 400, /1 to 300/],
      ['/debug/other', 404, /\/debug\/profile/],
    ]) {
      const answer = await gateway.examine(wanted)
      assert.equal(answer.status, status, wanted)
      assert.match(await answer.text(), said)
    }
    const page = await fetch(new URL('/debug/heapsnapshot', gateway.admin), {
      method: 'POST',
      headers: { origin: 'http://evil.test' },
    })
    assert.equal(page.status, 403)
  })
})

test('a result that is too long is refused', async () => {
  const flags = ['--debug-endpoints', 'true', '--debug-limit', '1MiB']
  const gateway = await Gateway.serving({ 'server/server.js': APP }, ...flags)
  const answer = await gateway.examine('/debug/heapsnapshot')
  assert.equal(answer.status, 507)
  assert.match(await answer.text(), /1048576 bytes that `debug_limit` allows/)
  assert.equal(await (await gateway.get('/')).text(), 'hello nobody')
  await gateway.stop()
})

test('they are off unless they are turned on', async () => {
  const gateway = await Gateway.serving({ 'server/server.js': APP })
  const answer = await gateway.examine('/debug/heapsnapshot')
  assert.equal(answer.status, 404)
  assert.match(await answer.text(), /--debug-endpoints true/)
  await gateway.stop()
})

test("Chrome's protocol stops a loader, looks into it and lets it go on", async () => {
  const gateway = await Gateway.serving({ 'server/server.js': APP }, '--inspect', '127.0.0.1:0')
  const [, host, port] = await gateway.logged(/"address":"(127\.0\.0\.1):(\d+)"/)
  const rebound = await fetch(`http://${host}:${port}/json/list`).then((answer) => answer.json())
  assert.equal(rebound.length, 1)

  const client = await CDP({ host, port: Number(port), local: true })
  const { Debugger, Runtime } = client
  const scripts = []
  Debugger.scriptParsed((script) => scripts.push(script))
  await Promise.all([Runtime.enable(), Debugger.enable()])
  const bundle = scripts.find((script) => script.url.endsWith('/server/server.js'))
  assert.ok(bundle, 'the bundle is among the scripts')
  const line = APP.split('\n').findIndex((text) => text.includes('return greeting'))
  await Debugger.setBreakpointByUrl({ url: bundle.url, lineNumber: line })

  const paused = Debugger.paused()
  const answer = gateway.get('/?name=world')
  const { callFrames } = await paused
  assert.equal(callFrames[0].functionName, 'loader')
  const callFrameId = callFrames[0].callFrameId
  const { result } = await Debugger.evaluateOnCallFrame({ callFrameId, expression: 'greeting' })
  assert.equal(result.value, 'hello world')
  await Debugger.evaluateOnCallFrame({ callFrameId, expression: 'void (globalThis.seen = name)' })
  await Debugger.resume()
  assert.equal(await (await answer).text(), 'hello world')
  const seen = await Runtime.evaluate({ expression: 'seen' })
  assert.equal(seen.result.value, 'world')
  await client.close()
  assert.equal(await (await gateway.get('/?name=again')).text(), 'hello again')
  await gateway.stop()
})
