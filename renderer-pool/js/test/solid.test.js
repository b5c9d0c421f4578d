import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { createResource, onCleanup, Suspense } from 'solid-js'
import { createComponent, escape, ssr, ssrHydrationKey } from 'solid-js/web'

import { defineRenderPipeline } from '@isopod/app/pipeline'
import { reactRouter } from '@isopod/app/react-router'
import { solid } from '@isopod/app/solid'

import { deferred, get, readThen } from './support/pages.js'

// What the compiler makes of `<html><body><p>{text()}</p></body></html>`.
const page = (body) => ssr(['<html><head></head><body>', '</body></html>'], body)
const text = (value) => ssr(['<p', '>', '</p>'], ssrHydrationKey(), escape(value))

function Later(props) {
  const [value] = createResource(() => props.load())
  onCleanup(() => props.onDispose?.())
  return createComponent(Suspense, {
    fallback: ssr('<i>wait</i>'),
    get children() {
      return text(value() ?? '')
    },
  })
}

describe('pages', () => {
  test('stream behind a shell with a doctype and what hydration needs', async () => {
    const later = deferred()
    const App = (props) => page([text(props.name), createComponent(Later, { load: () => later.promise })])
    const pipeline = defineRenderPipeline({ render: solid(App), onRequest: () => ({ appProps: { name: 'Ada' } }) })
    const html = await readThen(await pipeline.fetch(get()), () => later.resolve('at last'))
    assert.match(html, /^<!DOCTYPE html><html><head><script>window._\$HY/)
    assert.match(html, />Ada<\/p>/)
    assert.match(html, /<i>wait<\/i>/)
    assert.match(html, /<template id=[^>]*><p[^>]*>at last<\/p><\/template>/)
    assert.match(html, /<\/body><\/html>$/)
  })

  test('are whole for a crawler', async () => {
    const App = () => page(createComponent(Later, { load: async () => 'in place' }))
    const pipeline = defineRenderPipeline({ render: solid(App), onRouterReady: () => ({ isStream: false }) })
    const response = await pipeline.fetch(get())
    const html = await response.text()
    assert.match(html, />in place<\/p>/)
    assert.ok(!html.includes('<template'))
    assert.equal(Number(response.headers.get('content-length')), new TextEncoder().encode(html).length)
  })

  test('show what React Router’s static handler has loaded', async () => {
    const routes = [{ id: 'note', path: '/notes/:id', loader: ({ params }) => ({ title: `note ${params.id}` }), element: null }]
    const App = (props) => page(text(props.context.router.loaderData.note.title))
    const pipeline = defineRenderPipeline({ render: solid(App, { router: reactRouter(routes) }) })
    const html = await (await pipeline.fetch(get('/notes/3'))).text()
    assert.match(html, />note 3<\/p>/)
    assert.match(html, /\$isopodRouter/)
  })
})

describe('giving up', () => {
  for (const [code, end] of [
    ['timeout', () => {}],
    ['abort', (context) => context.abort()],
  ]) {
    test(`on ${code} what was created is disposed of, and the stream ends`, async () => {
      let context
      let disposed = 0
      const told = []
      const App = () => page(createComponent(Later, { load: () => new Promise(() => {}), onDispose: () => (disposed += 1) }))
      const pipeline = defineRenderPipeline({
        render: solid(App),
        abortDelay: code === 'timeout' ? 300 : 5000,
        onRequest: (_request, extra) => void (context = extra.context),
        onError: ({ code }) => told.push(code),
      })
      const html = await readThen(await pipeline.fetch(get()), () => end(context))
      assert.match(html, /before the data was there/, 'Solid ended by itself, and told the client')
      assert.match(html, /<i>wait<\/i>/)
      assert.match(html, /<\/body><\/html>$/)
      assert.deepEqual(told, [code])
      assert.equal(disposed, 1)
    })
  }

  test('a component that throws fails the shell', async () => {
    const told = []
    const App = () => {
      throw new Error('bad')
    }
    const pipeline = defineRenderPipeline({ render: solid(App), onError: ({ code, error }) => told.push([code, error.message]) })
    const response = await pipeline.fetch(get())
    assert.equal(response.status, 500)
    await response.text()
    assert.deepEqual(told, [['render', 'bad']])
  })
})
