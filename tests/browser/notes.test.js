import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'

import { notesUnderTest } from './apps.js'
import { launchBrowser, Visitor } from './visitor.js'

const app = notesUnderTest()

describe('notes-react-router', { skip: app === undefined && 'ISOPOD_URL_NOTES is not set' }, () => {
  let browser
  const visitor = () => Visitor.arrive(browser, app)

  before(async () => {
    browser = await launchBrowser()
  })
  after(() => browser?.close())

  test('the page hydrates, with the state that the server left', async () => {
    const ada = await visitor()
    assert.equal(await ada.open('/notes/2?locale=de'), 200)
    await ada.sees('h2', 'Shells')
    await ada.page.click('#counter')
    await ada.sees('#counter', 'Count: 1')
    assert.equal(await ada.page.locator('html').getAttribute('lang'), 'de')
    await ada.sees('#visits', '1')
    await ada.leave()
  })

  test('styles of the matched route are there before anything is painted', async () => {
    const ada = await visitor()
    await ada.open('/notes/2')
    const order = await ada.page.evaluate(() => {
      const link = document.querySelector('head link[rel="stylesheet"][href*="note"]')
      return link !== null && link.sheet !== null
    })
    assert.ok(order)
    const border = await ada.page.locator('.note').evaluate((note) => getComputedStyle(note).borderTopColor)
    assert.equal(border, 'rgb(1, 2, 3)')
    await ada.leave()
  })

  test('deferred data arrives behind the shell, and the late state with it', async () => {
    const ada = await visitor()
    assert.equal(await ada.open('/deferred'), 200)
    await ada.sees('#now', 'The shell is here at once.')
    await ada.sees('#later', 'worth 200 ms of patience')
    await ada.page.waitForSelector('html[data-rendered="1"]', { state: 'attached' })
    await ada.leave()
  })

  test('the client’s router loads from the server: data, promises, redirects', async () => {
    const ada = await visitor()
    await ada.open('/')
    await ada.page.click('nav a[href="/notes/2"]')
    await ada.sees('h2', 'Shells')
    const border = await ada.page.locator('.note').evaluate((note) => getComputedStyle(note).borderTopColor)
    assert.equal(border, 'rgb(1, 2, 3)')
    await ada.page.click('nav a[href="/deferred"]')
    await ada.sees('#later', 'worth 200 ms of patience')
    await ada.page.click('nav a[href="/old"]')
    await ada.sees('h2', 'Streams')
    assert.deepEqual(ada.documents, ['/'])
    await ada.leave()
  })

  test('a form acts on the server, with and without a mistake', async () => {
    const ada = await visitor()
    await ada.open('/notes/new')
    await ada.page.click('#create')
    await ada.sees('#refused', 'A note needs a title.')
    await ada.page.fill('input[name="title"]', 'Written in a browser')
    await ada.page.click('#create')
    await ada.sees('h2', 'Written in a browser')
    assert.deepEqual(ada.documents, ['/notes/new'])
    await ada.leave('422 /notes/new')
  })

  test('errors of loaders are shown by their boundary', async () => {
    const ada = await visitor()
    assert.equal(await ada.open('/notes/99'), 404)
    await ada.sees('#error', '404: There is no note 99.')
    await ada.leave('404 /notes/99')
  })
})
