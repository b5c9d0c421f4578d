import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { withPipeline } from '@isopod/app/pipeline'

import { deferred, get, runScripts } from './support/pages.js'

const html = { 'content-type': 'text/html; charset=utf-8' }
const page = '<!DOCTYPE html><html><head></head><body><p>one</p></body></html>'

describe('hooks around a handler of its own', () => {
  test('reach its pages, and it hears of the app’s props', async () => {
    let passed
    const handler = (_request, opts) => {
      passed = opts
      return new Response(page, { status: 203, headers: { ...html, 'set-cookie': 'a=1', 'content-length': '99' } })
    }
    const wrapped = withPipeline(handler, {
      onRequest: () => ({ appProps: { who: 'Ada' } }),
      onShellReady: () => ({ header: '<!--h-->', footer: '<!--f-->' }),
      onResponse: ({ html }) => html.replace('one', 'two'),
      getState: ({ context }) => context.appProps,
    })
    const response = await wrapped.fetch(get(), { context: { requestId: 'r1' } })
    assert.deepEqual(passed.context, { requestId: 'r1', appProps: { who: 'Ada' } })
    assert.deepEqual([response.status, response.headers.get('set-cookie'), response.headers.get('content-length')], [203, 'a=1', null])
    const text = await response.text()
    assert.match(text, /^<!--h--><!DOCTYPE html><html><head><script>/)
    assert.match(text, /<p>two<\/p><script>.*<\/body><\/html><!--f-->$/)
    assert.equal(runScripts(text).$isopod.s.who, 'Ada')
  })

  test('leave data and redirects as they are', async () => {
    const wrapped = withPipeline(
      { fetch: ({ url }) => (url.endsWith('/old') ? Response.redirect('http://app.test/', 301) : Response.json({ a: 1 })) },
      { onShellReady: () => ({ header: 'never' }), onResponse: () => 'never' },
    )
    assert.equal((await wrapped.fetch(get('/old'))).status, 301)
    assert.deepEqual(await (await wrapped.fetch(get('/api'))).json(), { a: 1 })
  })

  test('the handler’s request aborts on timeout, and its error is told once', async () => {
    const told = []
    const handler = ({ signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    const wrapped = withPipeline(handler, { abortDelay: 20, onError: ({ code, route }) => told.push([code, route]) })
    const response = await wrapped.fetch(get('/slow'))
    assert.equal(response.status, 504)
    assert.deepEqual(told, [['timeout', '/slow']])
  })

  test('a page can be sent whole', async () => {
    const second = deferred()
    const body = new ReadableStream({
      async start(controller) {
        controller.enqueue(new TextEncoder().encode('<p>one</p>'))
        controller.enqueue(new TextEncoder().encode(await second.promise))
        controller.close()
      },
    })
    const wrapped = withPipeline(() => new Response(body, { headers: html }), { onRouterReady: () => ({ isStream: false }) })
    const answer = wrapped.fetch(get())
    second.resolve('<p>two</p>')
    const response = await answer
    assert.equal(response.headers.get('content-length'), '20')
    assert.equal(await response.text(), '<p>one</p><p>two</p>')
  })

  test('what is no handler is refused', () => {
    assert.throws(() => withPipeline({}), /takes a handler/)
    assert.throws(() => withPipeline(() => new Response(), { render: 1 }), /no option 'render'/)
  })
})
