import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { Await, createRootRoute, createRoute, createRouter, HeadContent, Outlet, redirect, Scripts } from '@tanstack/react-router'
import { createElement as h, Suspense } from 'react'

import { defineRenderPipeline } from '@isopod/app/pipeline'
import { react } from '@isopod/app/react'
import { tanstackRouter } from '@isopod/app/tanstack-react-router'

import { get } from './support/pages.js'

const App = ({ children }) => children

function pipelineOf(options, hooks = {}) {
  const root = createRootRoute({
    component: () => h('html', null, h('head', null, h(HeadContent)), h('body', null, h(Outlet), h(Scripts))),
    notFoundComponent: () => h('em', null, 'nothing'),
  })
  const note = createRoute({ getParentRoute: () => root, path: '/notes/$id', ...options })
  const create = () => createRouter({ routeTree: root.addChildren([note]) })
  return defineRenderPipeline({ render: react(App, { router: tanstackRouter(create) }), ...hooks })
}

describe('TanStack Router in React', () => {
  test('a page is loaded, rendered and handed over', async () => {
    let route, router
    const pipeline = pipelineOf(
      { loader: ({ params }) => ({ title: `note ${params.id}` }), component: function Note() { return h('h1', null, 'note') } },
      { onRouterReady: ({ context }) => void ({ route, router } = context), onShellReady: () => ({ footer: '<!--f-->' }) },
    )
    const response = await pipeline.fetch(get('/notes/7'))
    const html = await response.text()
    assert.equal(response.status, 200)
    assert.equal(route, '/notes/$id')
    assert.ok(router.state.matches.length > 1)
    assert.match(html, /<h1>note<\/h1>/)
    assert.match(html, /\$_TSR/)
    assert.match(html, /note 7/, 'the loader’s data')
    assert.match(html, /<\/body><\/html><!--f-->$/)
  })

  test('redirects and missing pages have their status', async () => {
    const pipeline = pipelineOf({ loader: () => { throw redirect({ to: '/', statusCode: 301 }) } })
    const moved = await pipeline.fetch(get('/notes/1'))
    assert.deepEqual([moved.status, moved.headers.get('location')], [301, '/'])
    const nowhere = await pipeline.fetch(get('/nowhere'))
    assert.equal(nowhere.status, 404)
    await nowhere.text()
  })

  test('a page that never ends is given up: the fallback stays, the page ends', async () => {
    const told = []
    const never = new Promise(() => {})
    const pipeline = pipelineOf(
      {
        loader: () => ({ later: never }),
        component: () => h(Suspense, { fallback: h('u', null, 'wait') }, h(Await, { promise: never, children: (value) => value })),
      },
      { abortDelay: 100, onError: ({ code }) => told.push(code) },
    )
    const html = await (await pipeline.fetch(get('/notes/1'))).text()
    assert.match(html, /<u>wait<\/u>/)
    assert.deepEqual(told, ['timeout'])
  })

  test('a crawler gets one document', async () => {
    const pipeline = pipelineOf(
      {
        loader: () => ({ later: new Promise((done) => setTimeout(done, 10, 'in place')) }),
        component: function Note() { return h('p', null, 'whole') },
      },
      { onRouterReady: () => ({ isStream: false }) },
    )
    const response = await pipeline.fetch(get('/notes/1'))
    const html = await response.text()
    assert.equal(Number(response.headers.get('content-length')), new TextEncoder().encode(html).length)
    assert.match(html, /<p>whole<\/p>/)
  })
})
