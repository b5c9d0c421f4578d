import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'

import { launchBrowser, Visitor } from './visitor.js'

const url = process.env.ISOPOD_URL_NOTES_SOLID

describe('notes-solid', { skip: !url && 'ISOPOD_URL_NOTES_SOLID is not set' }, () => {
  let browser
  const visitor = () => Visitor.arrive(browser, { name: 'notes-solid', url: new URL(url) })

  before(async () => {
    browser = await launchBrowser()
  })
  after(() => browser?.close())

  test('the page hydrates', async () => {
    const ada = await visitor()
    assert.equal(await ada.open('/'), 200)
    await ada.sees('#counter', 'Count: 0')
    await ada.page.waitForFunction(() => self.$_TSR === undefined, null, { timeout: 10_000 })
    await ada.page.click('#counter')
    await ada.sees('#counter', 'Count: 1')
    await ada.leave()
  })

  test('a late part takes its place', async () => {
    const ada = await visitor()
    assert.equal(await ada.open('/deferred'), 200)
    await ada.sees('#later', 'worth the wait')
    await ada.leave()
  })
})
