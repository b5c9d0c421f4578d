import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { createRootRoute, createRoute, createRouter, Outlet, redirect } from '@tanstack/solid-router'
import { createComponent, ssr } from 'solid-js/web'

import { defineRenderPipeline } from '@isopod/app/pipeline'
import { solid } from '@isopod/app/solid'
import { tanstackRouter } from '@isopod/app/tanstack-solid-router'

import { get } from './support/pages.js'

// What the compiler makes of a document around the router's page.
const App = (props) => ssr(['<html><head></head><body>', '</body></html>'], props.children)

function pipelineOf(options, hooks = {}) {
  const root = createRootRoute({ component: () => createComponent(Outlet, {}) })
  const note = createRoute({ getParentRoute: () => root, path: '/notes/$id', ...options })
  const create = () => createRouter({ routeTree: root.addChildren([note]) })
  return defineRenderPipeline({ render: solid(App, { router: tanstackRouter(create) }), ...hooks })
}

describe('TanStack Router in Solid', () => {
  test('a page is loaded, rendered and handed over', async () => {
    let route
    const pipeline = pipelineOf(
      { loader: ({ params }) => ({ title: `note ${params.id}` }), component: () => ssr('<h1>note</h1>') },
      { onRouterReady: ({ context }) => void ({ route } = context), onShellReady: () => ({ footer: '<!--f-->' }) },
    )
    const response = await pipeline.fetch(get('/notes/7'))
    const html = await response.text()
    assert.equal(response.status, 200)
    assert.equal(route, '/notes/$id')
    assert.match(html, /^<!DOCTYPE html><html><head>/)
    assert.match(html, /<h1>note<\/h1>/)
    assert.match(html, /<\/body><\/html><!--f-->$/)
  })

  test('redirects have their status', async () => {
    const pipeline = pipelineOf({ loader: () => { throw redirect({ to: '/', statusCode: 301 }) } })
    const moved = await pipeline.fetch(get('/notes/1'))
    assert.deepEqual([moved.status, moved.headers.get('location')], [301, '/'])
  })
})
