import assert from 'node:assert/strict'
import { fileURLToPath } from 'node:url'

import { chromium } from 'playwright-core'

const DEADLINE_MS = 10_000
const SCREENSHOTS = fileURLToPath(new URL('screenshots', import.meta.url))
const RESOURCE_ERROR = /^Failed to load resource: the server responded with a status of (\d+)/

export function launchBrowser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
  })
}

/** A person with an empty browser profile, on one page of one app. */
export class Visitor {
  #app
  #context
  #errors = []
  /** Paths of the documents that were loaded, in order. */
  documents = []

  static async arrive(browser, app) {
    const context = await browser.newContext()
    context.setDefaultTimeout(DEADLINE_MS)
    return new Visitor(app, context, await context.newPage())
  }

  constructor(app, context, page) {
    this.#app = app
    this.#context = context
    this.page = page
    page.on('console', (message) => message.type() === 'error' && this.#errors.push(describe(message)))
    page.on('pageerror', (error) => this.#errors.push(`uncaught ${error}`))
    page.on('request', (request) => {
      if (request.isNavigationRequest()) this.documents.push(new URL(request.url()).pathname)
    })
  }

  /** Loads `path` and waits until the app is interactive; resolves to the document's status. */
  async open(path) {
    const response = await this.page.goto(new URL(path, this.#app.url).href)
    await this.hydrated()
    return response.status()
  }

  async reload() {
    await this.page.reload()
    await this.hydrated()
  }

  hydrated() {
    return this.page.waitForSelector('html[data-hydrated="true"]')
  }

  /** Waits until the first element that matches has exactly this text. */
  async sees(selector, text) {
    const hasText = ([selector, text]) => document.querySelector(selector)?.textContent === text
    await this.page.waitForFunction(hasText, [selector, text]).catch(async () => {
      const found = await this.page.locator(selector).allTextContents()
      assert.fail(`${selector} should say ${JSON.stringify(text)}; found ${JSON.stringify(found)}`)
    })
  }

  async screenshot(name) {
    if (!process.env.ISOPOD_SCREENSHOTS) return
    await this.page.screenshot({ path: `${SCREENSHOTS}/${this.#app.name}-${name}.png`, fullPage: true })
  }

  /** Leaves, having seen these console and page errors and no others. */
  async leave(...expectedErrors) {
    await this.page.evaluate(() => undefined)
    assert.deepEqual(this.#errors, expectedErrors)
    await this.#context.close()
  }
}

/** A resource error as `status path`, any other by its first line. */
function describe(message) {
  const status = RESOURCE_ERROR.exec(message.text())?.[1]
  if (!status) return message.text().split('\n')[0]
  return `${status} ${new URL(message.location().url).pathname}`
}
