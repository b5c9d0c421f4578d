import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { createElement as h, Suspense } from 'react'
import { Await, data, Outlet, redirect, useLoaderData, useRouteError } from 'react-router'

import { defineRenderPipeline } from '@isopod/app/pipeline'
import { react } from '@isopod/app/react'
import { reactRouter } from '@isopod/app/react-router'

import { chunksOf, deferred, get, runScripts, withConsole } from './support/pages.js'

function Document({ children, locale }) {
  return h('html', { lang: locale ?? 'en' }, h('head', null, h('title', null, 'Notes')), h('body', null, children))
}

function Note() {
  const { title, later } = useLoaderData()
  const value = h(Await, { resolve: later, errorElement: h('i', null, 'no') }, (value) => h('b', null, value))
  return h('main', null, h('h1', null, title), later && h(Suspense, { fallback: h('u', null, 'wait') }, value))
}

function Caught() {
  const error = useRouteError()
  return h('em', null, error.status ?? error.message)
}

function pipelineOf(children, options = {}) {
  const routes = [{ id: 'root', path: '/', Component: Outlet, ErrorBoundary: Caught, children }]
  return defineRenderPipeline({ render: react(Document, { router: reactRouter(routes) }), ...options })
}

describe('pages', () => {
  test('are matched, loaded and rendered in the document, with the app’s props', async () => {
    let route
    const pipeline = pipelineOf([{ path: 'notes/:id', loader: ({ params }) => ({ title: params.id }), Component: Note }], {
      onRequest: () => ({ appProps: { locale: 'de' } }),
      onRouterReady: ({ context }) => void (route = context.route),
    })
    const html = await (await pipeline.fetch(get('/notes/7'))).text()
    assert.match(html, /^<!DOCTYPE html><html lang="de"><head>.*<title>Notes<\/title>.*<h1>7<\/h1>/)
    assert.equal(route, '/notes/:id')
    const { loaderData, errors } = runScripts(html).$isopodRouter
    assert.deepEqual(Object.values(loaderData).filter(Boolean), [{ title: '7' }])
    assert.equal(errors, null)
  })

  test('deferred data streams behind the shell, to the page and to the client', async () => {
    const later = deferred()
    const pipeline = pipelineOf([{ index: true, id: 'home', loader: () => ({ title: 'x', later: later.promise }), Component: Note }])
    const reader = (await pipeline.fetch(get())).body.pipeThrough(new TextDecoderStream()).getReader()
    let html = (await reader.read()).value
    assert.match(html, /<u>wait<\/u>/)
    assert.ok(!html.includes('</body>'))
    later.resolve('at last')
    for (let part; !(part = await reader.read()).done; ) html += part.value
    assert.match(html, /<b>at last<\/b>/)
    assert.match(html, /<\/body><\/html>$/)
    assert.equal(await runScripts(html).$isopodRouter.loaderData.home.later, 'at last')
  })

  test('each request has a router of its own', async () => {
    const routers = new Set()
    const pipeline = pipelineOf([{ index: true, loader: () => ({ title: 'x' }), Component: Note }], {
      onRouterReady: ({ context }) => void routers.add(context.router),
    })
    await (await pipeline.fetch(get())).text()
    await (await pipeline.fetch(get())).text()
    assert.equal(routers.size, 2)
  })

  test('statuses, headers, cookies and redirects are the loaders’ and actions’', async () => {
    const cookies = (name) => ({ headers: { 'set-cookie': `${name}=1`, 'cache-control': name } })
    const pipeline = pipelineOf([
      { path: 'made', loader: () => data({ title: 't' }, { status: 202, ...cookies('loader') }), action: () => data('ok', cookies('action')), Component: Note },
      { path: 'old', loader: () => redirect('/made', { status: 308, headers: { 'set-cookie': 'r=1' } }), Component: Note },
      { path: 'gone', loader: () => { throw data('gone', { status: 410 }) }, Component: Note },
    ], { onRequest: (_request, { context }) => context.response.headers.append('set-cookie', 'own=1') })
    const made = await pipeline.fetch(get('/made'))
    assert.deepEqual([made.status, made.headers.getSetCookie(), made.headers.get('cache-control')], [202, ['own=1', 'loader=1'], 'loader'])
    await made.text()
    const posted = await pipeline.fetch(get('/made', { method: 'POST', body: new URLSearchParams({ a: '1' }) }))
    assert.deepEqual([posted.headers.getSetCookie(), posted.headers.get('cache-control')], [['own=1', 'loader=1', 'action=1'], 'action'])
    await posted.text()
    const old = await pipeline.fetch(get('/old'))
    assert.deepEqual([old.status, old.headers.get('location'), old.headers.getSetCookie()], [308, '/made', ['r=1', 'own=1']])
    const gone = await pipeline.fetch(get('/gone'))
    assert.equal(gone.status, 410)
    const html = await gone.text()
    assert.match(html, /<em>410<\/em>/)
    assert.deepEqual(Object.values(runScripts(html).$isopodRouter.errors), [{ kind: 'response', status: 410, statusText: 'Internal Server Error', data: 'gone' }])
    const nowhere = await pipeline.fetch(get('/nowhere'))
    assert.equal(nowhere.status, 404)
    await nowhere.text()
  })

  test('a loader’s error is shown by its boundary, told once, without its stack', async () => {
    const told = []
    const pipeline = pipelineOf([{ path: 'boom', loader: () => { throw new Error('boom') }, Component: Note }], {
      onError: ({ code, error, route }) => told.push([code, error.message, route]),
    })
    const response = await pipeline.fetch(get('/boom'))
    const html = await response.text()
    assert.equal(response.status, 500)
    assert.match(html, /<em>boom<\/em>/)
    assert.ok(!html.includes('react_router.test.js'))
    assert.deepEqual(told, [['render', 'boom', '/boom']])
  })

  test('a component’s error behind the shell is told once', async () => {
    const told = []
    const Bad = () => { throw new Error('bad') }
    const pipeline = pipelineOf([{ index: true, Component: () => h(Suspense, { fallback: 'f' }, h(Bad)) }], {
      onError: ({ code, error }) => told.push([code, error.message]),
    })
    const response = await pipeline.fetch(get())
    assert.equal(response.status, 200)
    await response.text()
    assert.deepEqual(told, [['render', 'bad']])
  })
})

describe('giving up', () => {
  test('pending boundaries become the client’s work, React is told why, the data rejects', async () => {
    const told = []
    const pipeline = pipelineOf([{ index: true, id: 'home', loader: () => ({ title: 'x', later: new Promise(() => {}) }), Component: Note }], {
      abortDelay: 50,
      onError: ({ code }) => told.push(code),
    })
    const html = await (await pipeline.fetch(get())).text()
    assert.match(html, /<u>wait<\/u>/)
    assert.match(html, /\$RX\("B:0"/, 'React marks the boundary as one to render on the client')
    assert.match(html, /<\/body><\/html>$/)
    assert.deepEqual(told, ['timeout'])
    await assert.rejects(runScripts(html).$isopodRouter.loaderData.home.later, /gave this page up/)
  })

  test('a loader that never ends is answered with 504, and its signal aborts', async () => {
    let signal
    const pipeline = pipelineOf([{ index: true, loader: ({ request }) => ((signal = request.signal), new Promise(() => {})), Component: Note }], {
      abortDelay: 30,
      onError() {},
    })
    assert.equal((await pipeline.fetch(get())).status, 504)
    assert.equal(signal.reason.name, 'TimeoutError')
  })
})

describe('requests for data', () => {
  const pipeline = pipelineOf([
    { path: 'api', loader: () => Response.json({ a: 1 }), action: async ({ request }) => new Response(await request.text(), { status: 201 }) },
    { id: 'note', path: 'notes/:id', loader: ({ params, request }) => ({ title: params.id, url: request.url, later: Promise.resolve('l') }), action: () => redirect('/notes/1'), Component: Note },
    { id: 'with', path: 'with', loader: () => data({ later: Promise.resolve('p') }, { headers: { 'x-a': '1' } }), action: () => data({ no: 1 }, { status: 422 }), Component: Note },
    { id: 'bad', path: 'bad', loader: () => { throw data({ why: 'x' }, { status: 409 }) }, Component: Note },
  ], { onError() {} })

  test('a route without a component answers by itself', async () => {
    assert.deepEqual(await (await pipeline.fetch(get('/api'))).json(), { a: 1 })
    const posted = await pipeline.fetch(get('/api', { method: 'POST', body: 'hi' }))
    assert.deepEqual([posted.status, await posted.text()], [201, 'hi'])
  })

  test('the client’s router gets a route’s data, promises, errors and redirects', async () => {
    const { remoteAction, remoteLoader } = await import('@isopod/app/client/react-router')
    const form = () => ({ method: 'POST', body: new URLSearchParams({ a: '1' }) })
    const kept = globalThis.fetch
    globalThis.fetch = (url, init) => pipeline.fetch(new Request(url, init))
    try {
      const value = await remoteLoader('note')({ request: get('/notes/7?q=1') })
      assert.equal(value.title, '7')
      assert.equal(value.url, 'http://app.test/notes/7?q=1')
      assert.equal(await value.later, 'l')
      const thrown = await remoteLoader('bad')({ request: get('/bad') }).then(assert.fail, (thrown) => thrown)
      assert.deepEqual([thrown.status, thrown.data], [409, { why: 'x' }])
      assert.equal(await (await remoteLoader('with')({ request: get('/with') })).later, 'p')
      assert.deepEqual(await remoteAction('with')({ request: get('/with', form()) }), { no: 1 })
      const answer = await remoteAction('note')({ request: get('/notes/7', form()) })
      assert.deepEqual([answer.status, answer.headers.get('location')], [302, '/notes/1'])
    } finally {
      globalThis.fetch = kept
    }
  })

  test('a route that is none is a client’s mistake', async () => {
    const response = await pipeline.fetch(get('/notes/7?_data=none'))
    assert.ok(response.status >= 400 && response.status < 500, String(response.status))
  })
})

test('HEAD has the head of the page, and nobody is told that it ends there', async () => {
  const told = []
  const pipeline = pipelineOf([{ index: true, loader: () => data({ title: 'x', later: new Promise(() => {}) }, { status: 203 }), Component: Note }], {
    onError: ({ code }) => told.push(code),
    onShellReady: ({ context }) => context.response.headers.set('x-a', '1'),
  })
  const response = await pipeline.fetch(get('/', { method: 'HEAD' }))
  assert.deepEqual([response.status, response.headers.get('x-a'), response.body], [203, '1', null])
  await new Promise(setImmediate)
  assert.deepEqual(told, [])
})

test('a page for a crawler holds everything in its place', async () => {
  const pipeline = pipelineOf([{ index: true, loader: () => ({ title: 'x', later: Promise.resolve('in place') }), Component: Note }], {
    onRouterReady: () => ({ isStream: false }),
  })
  const response = await pipeline.fetch(get())
  const html = await response.text()
  assert.equal(Number(response.headers.get('content-length')), new TextEncoder().encode(html).length)
  assert.match(html, /<b>in place<\/b>/)
  assert.ok(!html.includes('<u>wait</u>'))
})

test('the whole shell is one chunk', async () => {
  const pipeline = pipelineOf([{ index: true, loader: () => ({ title: 'x'.repeat(50_000) }), Component: Note }])
  const { value: chunks } = await withConsole(async () => chunksOf(await pipeline.fetch(get())))
  assert.match(chunks[0], /<\/main>/)
})
