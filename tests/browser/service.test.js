import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'

import { runtime, servicesUnderTest } from './apps.js'
import { launchBrowser, Visitor } from './visitor.js'

const DEADLINE_MS = 10_000
const FIRST_THREADS = ['What a seal holds', 'A deadline for everything', 'Windows under load', 'Permits that drop']

/** 20 MiB of words. */
const LONG = 'threads '.repeat((20 << 20) / 8)

/** Asks until the answer is as wanted. */
async function eventually(what, ask, wanted) {
  const deadline = Date.now() + DEADLINE_MS
  for (;;) {
    const answer = await ask()
    if (wanted(answer)) return answer
    assert.ok(Date.now() < deadline, `${what}; at last ${JSON.stringify(answer)}`)
  }
}

for (const app of runtime === 'isopod' ? servicesUnderTest() : []) {
  describe(`the threads service of threads-${app.name}`, () => {
    let browser
    before(async () => {
      browser = await launchBrowser()
    })
    after(() => browser?.close())

    let visitors = 0
    /** A visitor with a name of its own, signed in, on the page of the service. */
    async function signedIn(name) {
      const unique = `${name} ${app.name} ${process.pid} ${++visitors}`
      const visitor = await Visitor.arrive(browser, app)
      await visitor.open('/service/sign-in')
      await visitor.page.fill('#name', unique)
      await visitor.page.click('#sign-in')
      await visitor.sees('h1', `Threads of ${unique}`)
      visitor.name = unique
      return visitor
    }

    const titles = (visitor) => visitor.page.locator('#threads a').allTextContents()
    const json = async (visitor, path) => (await visitor.page.request.get(new URL(path, app.url).href)).json()
    /** Does something that calls a server function; resolves to its status, and what the console says of that. */
    async function answered(visitor, act) {
      const answer = visitor.page.waitForResponse((response) => response.url().includes('/_serverFn/'))
      await act()
      const status = (await answer).status()
      return { status, errors: status < 400 ? [] : [`${status} ${new URL((await answer).url()).pathname}`] }
    }

    test('a redirect from Rust leads to the sign-in and back, and JavaScript reads the session', async () => {
      const ada = await Visitor.arrive(browser, app)
      assert.equal(await ada.open('/service'), 200)
      await ada.sees('h1', 'Who are you?')
      assert.deepEqual(ada.documents, ['/service', '/service/sign-in'])
      await ada.page.fill('#name', 'A')
      const { status, errors } = await answered(ada, () => ada.page.click('#sign-in'))
      assert.equal(status, 422)
      await ada.sees('#problem', 'name: length is lower than 2')
      await ada.page.fill('#name', `Ada ${app.name}`)
      await ada.page.click('#sign-in')
      await ada.sees('h1', `Threads of Ada ${app.name}`)
      assert.equal(new URL(ada.page.url()).pathname, '/service')
      await ada.leave(...errors)
    })

    test('loaders call Rust, on the server and in the browser', async () => {
      const ada = await signedIn('Ada')
      assert.deepEqual(await titles(ada), FIRST_THREADS)
      await ada.reload()
      await ada.sees('h1', `Threads of ${ada.name}`)
      assert.deepEqual(await titles(ada), FIRST_THREADS)
      await ada.sees('#counts', '4 threads, 0 with a star')
      await ada.page.click('#threads a')
      await ada.sees('#title', FIRST_THREADS[0])
      await ada.reload()
      await ada.sees('#title', FIRST_THREADS[0])
      await ada.screenshot('service-thread')
      await ada.leave()
    })

    test('the browser calls Rust directly and through the bundle', async () => {
      const ada = await signedIn('Ada')
      for (const way of ['direct', 'bundle']) {
        const [query, found] = way === 'direct' ? ['window', '1: Windows under load'] : ['seal', '1: What a seal holds']
        await ada.page.fill('#query', query)
        await ada.page.click(`#search-${way}`)
        await ada.sees('#found', found)
      }
      await ada.leave()
    })

    test('other server functions and server routes call Rust', async () => {
      const ada = await signedIn('Ada')
      await ada.page.click('.star')
      await ada.sees('#counts', '4 threads, 1 with a star')
      await ada.sees('.star', 'Starred')
      await ada.screenshot('service')
      const { threads, total } = await json(ada, '/service/api')
      assert.deepEqual([threads.map(({ title }) => title), total], [FIRST_THREADS.slice(0, 2), 4])
      await ada.leave()
    })

    test('what is wrong is shown by its field', async () => {
      const ada = await signedIn('Ada')
      await ada.page.click('#threads a')
      await ada.sees('#title', FIRST_THREADS[0])
      const errors = []
      for (const way of ['direct', 'bundle']) {
        await ada.page.fill('#new-title', 'ab')
        await ada.page.fill('#new-labels', `fine ${way === 'direct' ? 'x' : 'fine y'}`)
        const refusal = await answered(ada, () => ada.page.click(`#rename-${way}`))
        if (way === 'direct') assert.equal(refusal.status, 422)
        errors.push(...refusal.errors)
        const label = way === 'direct' ? 1 : 2
        await ada.sees('#problem', `labels[${label}]: length is lower than 2; title: length is lower than 3`)
      }
      await ada.screenshot('service-refused')
      await ada.page.fill('#new-title', 'A better title')
      await ada.page.fill('#new-labels', 'rust v8')
      await ada.page.click('#rename-direct')
      await ada.sees('#title', 'A better title')
      await ada.sees('#labels', 'rust, v8')
      await ada.page.fill('#new-title', 'The best title')
      await ada.page.click('#rename-bundle')
      await ada.sees('#title', 'The best title')
      await ada.leave(...errors)
    })

    for (const way of ['direct', 'bundle']) {
      test(`a file of 20 MiB becomes a thread, and one that is no text is refused (${way})`, async () => {
        const ada = await signedIn('Ada')
        const image = { name: 'image.png', mimeType: 'image/png', buffer: Buffer.from([0x89, 0x50, 0xff]) }
        await ada.page.setInputFiles(`#file-${way}`, image)
        const { errors } = await answered(ada, () => ada.page.click(`#upload-${way}`))
        await ada.sees(`#problem-${way}`, 'file: is no text: byte 0 is not UTF-8')

        const words = { name: 'long words.txt', mimeType: 'text/plain', buffer: Buffer.from(LONG) }
        await ada.page.setInputFiles(`#file-${way}`, words)
        await ada.page.click(`#upload-${way}`)
        await ada.sees('#title', 'long words.txt')
        await ada.sees('#size', `${LONG.length / 8} words, ${LONG.length} bytes`)
        await ada.leave(...errors)
      })

      test(`a stream from Rust arrives value by value, dates as dates (${way})`, async () => {
        const ada = await signedIn('Ada')
        await ada.page.click(`#follow-${way}`)
        const titles = FIRST_THREADS.slice(0, 3).map((title) => `${title} (dated)`)
        await ada.sees('#followed', `all of ${titles.join(', ')}`)
        await ada.leave()
      })
    }

    test('a server route in Rust answers beside those of the app', async () => {
      const ada = await signedIn('Ada')
      const { request } = ada.page
      const feed = (limit) => new URL(`/service/feed/${limit}`, app.url).href
      assert.equal(await (await request.get(feed(2))).text(), `${FIRST_THREADS[0]}\n${FIRST_THREADS[1]}\n`)
      const head = await request.head(feed(2))
      assert.deepEqual([head.status(), await head.text()], [200, ''])
      const options = await request.fetch(feed(2), { method: 'OPTIONS' })
      assert.deepEqual([options.status(), options.headers().allow], [204, 'GET, POST, HEAD, OPTIONS'])
      const put = await request.put(feed(2))
      assert.deepEqual([put.status(), put.headers().allow], [405, 'GET, POST, HEAD, OPTIONS'])
      const posted = await request.post(feed(1), { data: Buffer.alloc(1 << 20), headers: { origin: app.url.origin } })
      assert.equal(await posted.text(), String(1 << 20))
      await ada.leave()
    })

    test("what is another's, or gone, is not found", async () => {
      const ada = await signedIn('Ada')
      const link = await ada.page.locator('#threads a').first().getAttribute('href')
      const grace = await signedIn('Grace')
      assert.equal(await grace.open(link), 404)
      await grace.sees('#not-found h1', 'Not found')
      await grace.leave(`404 ${link}`)

      const other = await ada.page.context().newPage()
      await other.goto(new URL(link, app.url).href)
      await other.waitForSelector('html[data-hydrated="true"]')
      await other.click('#remove')
      await other.waitForFunction(() => document.querySelectorAll('#threads li').length === 3)
      await other.close()
      await ada.page.click('#threads a')
      await ada.sees('#not-found h1', 'Not found')
      await ada.leave()
    })

    test('Rust reads the session that JavaScript has sealed', async () => {
      const ada = await signedIn('Ada')
      await ada.page.click('#guest')
      await ada.sees('h1', 'Threads of Guest')
      await ada.sees('#counts', '0 threads, 0 with a star')
      await ada.page.click('#sign-out')
      await ada.sees('h1', 'Who are you?')
      await ada.leave()
    })

    for (const way of ['bundle', 'direct']) {
      test(`a navigation cancels the function in Rust (${way})`, async () => {
        const ada = await signedIn('Ada')
        const waits = () => json(ada, '/service/waits')
        await ada.page.click(`#wait-${way}`)
        await eventually('the function runs', waits, ({ running }) => running === 1)
        await ada.page.click('nav a[href="/"]')
        await ada.sees('h1', 'Threads')
        const { running } = await eventually('the function is cancelled', waits, ({ cancelled }) => cancelled === 1)
        assert.equal(running, 0)
        await ada.leave()
      })
    }
  })
}
