import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'

import { appsUnderTest, runtime } from './apps.js'
import { launchBrowser, Visitor } from './visitor.js'

for (const app of appsUnderTest()) {
  describe(`threads-${app.name}`, () => {
    let browser
    const visitor = () => Visitor.arrive(browser, app)

    before(async () => {
      browser = await launchBrowser()
    })
    after(() => browser?.close())

    test('runs where it should', async () => {
      const hello = await fetch(new URL('/api/hello', app.url)).then((response) => response.json())
      assert.deepEqual(hello, { hello: 'world', method: 'GET', runtime })
    })

    test('the home page hydrates', async () => {
      const ada = await visitor()
      assert.equal(await ada.open('/'), 200)
      await ada.sees('h1', 'Threads')
      assert.equal(await ada.page.title(), 'Threads')
      assert.equal(await ada.page.locator('#threads li').count(), 20)
      assert.equal(await ada.page.locator('nav').evaluate((nav) => getComputedStyle(nav).display), 'flex')

      await ada.sees('#counter', 'Count: 0')
      await ada.page.click('#counter')
      await ada.page.click('#counter')
      await ada.sees('#counter', 'Count: 2')
      await ada.screenshot('home')
      await ada.leave()
    })

    test('links navigate without a page load', async () => {
      const ada = await visitor()
      await ada.open('/')
      await ada.page.click('nav a[href="/links-100"]')
      await ada.sees('h1', '100 links')
      assert.equal(await ada.page.locator('#links a').count(), 100)

      await ada.page.click('#links a[href="/threads/42"]')
      await ada.sees('#thread', 'Thread 42 by Grace, 11 messages')
      assert.equal(new URL(ada.page.url()).pathname, '/threads/42')

      await ada.page.goBack()
      await ada.sees('h1', '100 links')
      assert.deepEqual(ada.documents, ['/'])
      await ada.leave()
    })

    test('a thread can be renamed', async () => {
      const ada = await visitor()
      await ada.open('/threads/7')
      await ada.sees('#title', 'Hydration under load')
      await ada.page.fill('#rename-title', 'A better title')
      await ada.page.click('#rename-submit')
      await ada.sees('#title', 'A better title')
      await ada.reload()
      await ada.sees('#title', 'A better title')
      await ada.leave()

      const barbara = await visitor()
      await barbara.open('/threads/7')
      await barbara.sees('#title', 'Hydration under load')
      await barbara.leave()
    })

    test('a title that is too short is refused', async () => {
      const ada = await visitor()
      await ada.open('/threads/7')
      await ada.page.fill('#rename-title', 'ab')
      await ada.page.click('#rename-submit')
      await ada.sees('#rename-error', 'The title needs at least 3 characters')
      await ada.sees('#title', 'Hydration under load')
      await ada.screenshot('rename-refused')
      await ada.leave()
    })

    test('a deferred value arrives after the shell', async () => {
      const ada = await visitor()
      assert.equal(await ada.open('/deferred'), 200)
      await ada.sees('#shell', 'The shell is here at once.')
      await ada.sees('#deferred-value', 'worth 300 ms of patience')
      assert.equal(await ada.page.locator('#deferred-pending').count(), 0)
      await ada.leave()
    })

    test('a deferred value arrives after a navigation, too', async () => {
      const ada = await visitor()
      await ada.open('/')
      await ada.page.click('nav a[href="/deferred"]')
      await ada.sees('#deferred-value', 'worth 300 ms of patience')
      assert.deepEqual(ada.documents, ['/'])
      await ada.leave()
    })

    test('a cookie counts the visits', async () => {
      const ada = await visitor()
      await ada.open('/visits')
      await ada.sees('#visits', '1')
      await ada.reload()
      await ada.sees('#visits', '2')
      await ada.open('/')
      await ada.page.click('nav a[href="/visits"]')
      await ada.sees('#visits', '3')
      await ada.leave()
    })

    test('a redirect leads home', async () => {
      const ada = await visitor()
      assert.equal(await ada.open('/old'), 200)
      await ada.sees('h1', 'Threads')
      assert.deepEqual(ada.documents, ['/old', '/'])
      await ada.leave()
    })

    for (const path of ['/nowhere', '/threads/999']) {
      test(`${path} is not found`, async () => {
        const ada = await visitor()
        assert.equal(await ada.open(path), 404)
        await ada.sees('#not-found h1', 'Not found')
        await ada.page.click('#not-found a')
        await ada.sees('h1', 'Threads')
        await ada.leave(`404 ${path}`)
      })
    }

    test('a loader that throws shows the error page', async () => {
      const ada = await visitor()
      assert.equal(await ada.open('/boom'), 500)
      await ada.sees('#error .error', 'boom from the loader')
      await ada.page.click('#error a')
      await ada.sees('h1', 'Threads')
      await ada.leave('500 /boom', ...app.caught('boom from the loader'))
    })

    test('a component that throws shows the error page', async () => {
      const ada = await visitor()
      assert.equal(await ada.open('/boom-render'), 200)
      await ada.sees('#error .error', 'boom from the render')
      await ada.leave(...app.caught('boom from the render'))
    })

    test('native functions answer the loader and the browser', { skip: runtime === 'node' && 'no gateway' }, async () => {
      const ada = await visitor()
      assert.equal(await ada.open('/native'), 200)
      assert.ok((await ada.page.locator('#native-threads li').count()) > 0)
      await ada.sees('#native-markdown strong', 'Rust')

      await ada.page.fill('#md-input', 'From the *browser*<script>window.owned = true</script>')
      await ada.page.click('#md-render')
      await ada.sees('#native-markdown em', 'browser')
      assert.equal(await ada.page.locator('#native-markdown script').count(), 0)
      await ada.screenshot('native')
      await ada.leave()
    })

    test('a direct function answers the browser', { skip: runtime === 'node' && 'no gateway' }, async () => {
      const ada = await visitor()
      await ada.open('/native')
      await ada.page.fill('#search-query', 'session cookies')
      await ada.page.fill('#search-limit', '1')
      await ada.page.click('#search')
      await ada.sees('#search-found', 'Session cookies that rotate')

      const refusal = ada.page.waitForResponse((response) => response.status() === 422)
      await ada.page.fill('#search-limit', '1000')
      await ada.page.click('#search')
      await ada.sees('#search-failure', 'limit: must be 1 to 100, not 1000')
      await ada.leave(`422 ${new URL((await refusal).url()).pathname}`)
    })

    test('without a gateway, native functions say what is missing', { skip: runtime === 'isopod' && 'has a gateway' }, async () => {
      const ada = await visitor()
      assert.equal(await ada.open('/native'), 500)
      const message = await ada.page.textContent('#error .error')
      assert.match(message, /^The native function 'threads\.list' runs in the Isopod gateway, which is not here/)
      await ada.leave('500 /native', ...app.caught(message))
    })
  })
}
