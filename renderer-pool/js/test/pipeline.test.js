import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { defineRenderPipeline, isCrawler } from '@isopod/app/pipeline'

import { chunksOf, deferred, get, PAGE, runScripts, withConsole, written } from './support/pages.js'

const PIPELINE = Symbol.for('isopod.pipeline')
const OUTCOME = Symbol.for('isopod.outcome')
const LIMITS = { hookTimeoutMs: 50, maxMetrics: 4, maxSeries: 3 }

describe('the way of a page', () => {
  test('hooks run in their order, around the page', async () => {
    const calls = []
    const note = (name, value) => (...args) => {
      calls.push(name)
      return typeof value === 'function' ? value(...args) : value
    }
    const pipeline = defineRenderPipeline({
      render: written(PAGE),
      onServerCreated: note('onServerCreated'),
      onRequest: note('onRequest', { appProps: { who: 'Ada' } }),
      onRouterReady: note('onRouterReady', {}),
      onShellReady: note('onShellReady', { header: '<!--h-->', footer: '<!--f-->' }),
      onResponse: note('onResponse', ({ html }) => html.toUpperCase()),
      getState: note('getState', { a: 1 }),
    })
    const html = await (await pipeline.fetch(get())).text()
    assert.deepEqual(calls, [
      'onServerCreated', 'onRequest', 'onRouterReady', 'onShellReady', 'getState', 'onResponse', 'onResponse', 'getState',
    ])
    assert.ok(html.startsWith('<!--h--><!DOCTYPE HTML>'))
    assert.match(html, /<P>TWO<\/P><script>[^]*<\/BODY><\/HTML><!--f-->$/)
  })

  test('status, headers and cookies are the hooks’ to set until the shell is ready', async () => {
    const pipeline = defineRenderPipeline({
      render: written(PAGE),
      onShellReady({ context }) {
        context.response.status = 201
        context.response.headers.append('set-cookie', 'a=1')
        context.response.headers.append('set-cookie', 'b=2')
      },
    })
    const response = await pipeline.fetch(get())
    assert.equal(response.status, 201)
    assert.deepEqual(response.headers.getSetCookie(), ['a=1', 'b=2'])
    assert.equal(response.headers.get('content-type'), 'text/html; charset=utf-8')
  })

  test('a page that is no stream is one text with its length', async () => {
    const pipeline = defineRenderPipeline({
      render: written(['<p>\u20ac', '</p>']),
      onRouterReady: ({ context }) => ({ isStream: !isCrawler(context.request) }),
    })
    const bot = await pipeline.fetch(get('/', { headers: { 'user-agent': 'Googlebot/2.1' } }))
    assert.equal(bot.headers.get('content-length'), '10')
    assert.equal(await bot.text(), '<p>\u20ac</p>')
    const browser = await pipeline.fetch(get('/', { headers: { 'user-agent': 'Mozilla/5.0 Chrome/140.0' } }))
    assert.equal(browser.headers.get('content-length'), null)
  })

  test('a skipped and a cancelled request say so to their host', async () => {
    const skip = defineRenderPipeline({ render: written(PAGE), onRequest: () => ({ shouldSkip: true }) })
    const skipped = await skip.fetch(get())
    assert.equal(skipped[OUTCOME], 'skip')
    assert.equal(skipped.status, 404)
    const cancel = defineRenderPipeline({ render: written(PAGE), onRequest: () => ({ shouldCancel: true }) })
    assert.equal((await cancel.fetch(get()))[OUTCOME], 'cancel')
    const answer = new Response('no', { status: 403 })
    const own = defineRenderPipeline({ render: written(PAGE), onRequest: () => ({ shouldCancel: true, response: answer }) })
    assert.equal(await own.fetch(get()), answer)
  })

  test('early hints go out before anything is loaded', async () => {
    globalThis[Symbol.for('isopod.assets')] = {
      collect: () => ({ entries: ['/e.js'], preloads: ['/p.js'], styles: ['/s.css'], head: '' }),
    }
    try {
      const order = []
      const pipeline = defineRenderPipeline({
        render: written(PAGE, { onRender: () => order.push('render') }),
        onRequest: () => ({ hasEarlyHints: true }),
      })
      const onEarlyHints = ({ links }) => order.push(links)
      const html = await (await pipeline.fetch(get(), { onEarlyHints })).text()
      assert.deepEqual(order, [
        ['</s.css>; rel=preload; as=style', '</e.js>; rel=modulepreload; as=script', '</p.js>; rel=modulepreload; as=script'],
        'render',
      ])
      assert.match(html, /<head><link rel="stylesheet" href="\/s.css"><link rel="modulepreload" href="\/e.js">/)
      assert.match(html, /<p>one<\/p><script type="module" async src="\/e.js"><\/script><p>two/)
    } finally {
      delete globalThis[Symbol.for('isopod.assets')]
    }
  })
})

describe('chunks', () => {
  test('end between characters and outside of tags', async () => {
    const euro = new TextEncoder().encode('<p>a\u20acb</p>')
    const seen = []
    const pipeline = defineRenderPipeline({
      render: written([euro.slice(0, 5), euro.slice(5), '<i title="', '1">x</i>']),
      onResponse({ html }) {
        seen.push(html)
      },
    })
    assert.equal(await (await pipeline.fetch(get())).text(), '<p>a\u20acb</p><i title="1">x</i>')
    assert.equal(seen.join(''), '<p>a\u20acb</p><i title="1">x</i>')
    for (const chunk of seen) assert.ok(!/<[^>]*$/.test(chunk), chunk)
  })

  test('the renderer is asked for no more than is read', async () => {
    let pulled = 0
    const endless = new ReadableStream({
      pull(controller) {
        pulled += 1
        controller.enqueue(new TextEncoder().encode('<p>'.padEnd(32 * 1024, 'x')))
      },
    }, { highWaterMark: 0 })
    const view = { name: 'endless', render: async () => ({ stream: endless, allReady: Promise.resolve() }) }
    const pipeline = defineRenderPipeline({ render: { ...written([]), view }, onResponse: async ({ html }) => html })
    const reader = (await pipeline.fetch(get())).body.getReader()
    await reader.read()
    await new Promise((resolve) => setTimeout(resolve, 20))
    assert.ok(pulled <= 4, `pulled ${pulled}`)
    await reader.cancel()
  })

  test('context.write stands between chunks, in order', async () => {
    const second = deferred()
    let context
    const pipeline = defineRenderPipeline({
      render: written(['<p>one</p>', second.promise]),
      onRequest: (_request, extra) => void (context = extra.context),
    })
    const reader = (await pipeline.fetch(get())).body.pipeThrough(new TextDecoderStream()).getReader()
    assert.equal((await reader.read()).value, '<p>one</p>')
    const next = reader.read()
    assert.equal(context.write('<script>late</script>'), true)
    assert.equal((await next).value, '<script>late</script>')
    second.resolve('<p>two</p>')
    assert.equal((await reader.read()).value, '<p>two</p>')
    assert.equal((await reader.read()).done, true)
  })
})

describe('state', () => {
  test('is there before the document’s own scripts, and once more at its end', async () => {
    let renders = 0
    const pipeline = defineRenderPipeline({
      render: written(['<!DOCTYPE html><html><head><script>own</script></head><body>', '</body></html>']),
      getState: () => ({ same: { a: new Date(0), b: '</script><!--' }, count: ++renders, ['__proto__']: 'x' }),
    })
    const [first, ...rest] = await chunksOf(await pipeline.fetch(get()))
    assert.ok(first.indexOf('$isopod') < first.indexOf('own'))
    assert.ok(!first.includes('</script><!--'))
    const early = runScripts(first).$isopod
    assert.deepEqual({ ...early.s.same }, { a: new Date(0), b: '</script><!--' })
    assert.equal(early.s.count, 1)
    assert.equal(Object.keys(early.s).includes('__proto__'), true)
    const late = rest.join('')
    assert.ok(!late.includes('same'), 'what did not change is not sent again')
    assert.equal(runScripts(first + late).$isopod.s.count, 2)
    assert.equal(runScripts(first + late).$isopod.e, 1)
    assert.match(late, /<\/script><\/body><\/html>$/)
  })

  test('carries the nonce', async () => {
    const pipeline = defineRenderPipeline({
      render: written(PAGE),
      onRequest: (_request, { context }) => void (context.nonce = 'n"1'),
      getState: () => ({ a: 1 }),
    })
    const html = await (await pipeline.fetch(get())).text()
    assert.equal(html.match(/<script nonce="n&quot;1">/g).length, 2)
  })
})

describe('giving up', () => {
  test('abortDelay ends the render, is told once, and the page ends whole', async () => {
    const told = []
    let signal
    const never = new Promise(() => {})
    const pipeline = defineRenderPipeline({
      render: written(['<html><body>shell', never], { onRender: (exchange) => (signal = exchange.signal) }),
      abortDelay: 30,
      onError: ({ code, error, route, elapsed }) => told.push({ code, name: error.name, route, elapsed }),
    })
    const html = await (await pipeline.fetch(get())).text()
    assert.equal(html, '<html><body>shell')
    assert.ok(signal.aborted)
    assert.equal(told.length, 1)
    assert.equal(told[0].code, 'timeout')
    assert.equal(told[0].name, 'TimeoutError')
    assert.ok(told[0].elapsed >= 25)
  })

  test('a client that leaves cancels the render, cleanups run, and it is told once', async () => {
    const told = []
    let ended = 0
    let aborted
    const client = new AbortController()
    const pipeline = defineRenderPipeline({
      render: written(['shell', new Promise(() => {})]),
      onRequest(_request, { context }) {
        context.onEnd(() => (ended += 1))
        context.signal.addEventListener('abort', () => (aborted = context.signal.reason))
      },
      onError: ({ code }) => told.push(code),
    })
    const response = await pipeline.fetch(get('/', { signal: client.signal }))
    const reader = response.body.getReader()
    await reader.read()
    client.abort(new DOMException('gone', 'AbortError'))
    await reader.cancel(client.signal.reason)
    assert.equal(aborted.name, 'AbortError')
    assert.deepEqual(told, ['cancel'])
    assert.equal(ended, 1)
  })

  test('the app may give a render up itself', async () => {
    const told = []
    const pipeline = defineRenderPipeline({
      render: written(['shell', new Promise(() => {})]),
      onShellReady: ({ context }) => context.abort(),
      onError: ({ code }) => told.push(code),
    })
    assert.equal(await (await pipeline.fetch(get())).text(), 'shell')
    assert.deepEqual(told, ['abort'])
  })

  test('a router that never loads is answered with 504', async () => {
    const router = { name: 'stuck', handle: ({ signal }) => new Promise((_, no) => signal.addEventListener('abort', () => no(signal.reason))) }
    const told = []
    const pipeline = defineRenderPipeline({
      render: { ...written([]), router },
      abortDelay: 20,
      onError: ({ code }) => told.push(code),
      onShellError: ({ context, error }) => `<h1>${context.response.status} ${error.name}</h1>`,
    })
    const response = await pipeline.fetch(get())
    assert.equal(response.status, 504)
    assert.equal(await response.text(), '<h1>504 TimeoutError</h1>')
    assert.deepEqual(told, ['timeout'])
  })
})

describe('a shell that fails', () => {
  const failing = { ...written([]), view: { name: 'failing', render: () => Promise.reject(new Error('secret')) } }

  test('is answered with a page that tells nothing', async () => {
    const { value: response, lines } = await withConsole(() => defineRenderPipeline({ render: failing }).fetch(get()))
    assert.equal(response.status, 500)
    assert.ok(!(await response.text()).includes('secret'))
    assert.ok(lines.some((line) => line.includes('secret')))
  })

  test('is the hook’s to answer, with a status of its own', async () => {
    const told = []
    const pipeline = defineRenderPipeline({
      render: failing,
      onRouterReady: ({ context }) => void context.response.headers.set('set-cookie', 'page=1'),
      onShellError({ context, error }) {
        context.response.status = 503
        context.response.headers.set('retry-after', '5')
        return `<h1>sorry</h1><!--${error.message.length}-->`
      },
      onError: ({ code, error }) => told.push([code, error.message]),
    })
    const response = await pipeline.fetch(get())
    assert.equal(response.status, 503)
    assert.equal(response.headers.get('retry-after'), '5')
    assert.equal(response.headers.get('set-cookie'), null)
    assert.equal(await response.text(), '<h1>sorry</h1><!--6-->')
    assert.deepEqual(told, [['render', 'secret']])
  })
})

describe('a hook that misbehaves', () => {
  const never = () => new Promise(() => {})
  const throws = () => {
    throw new Error('boom')
  }
  const rejects = () => Promise.reject(new Error('boom'))
  const ways = { throws: [throws, 'threw'], rejects: [rejects, 'threw'], 'never resolves': [never, 'timeout'] }
  const outcomes = {
    onRequest: { wrong: () => ({ shouldSkipp: true }), status: 500 },
    onRouterReady: { wrong: () => ({ isStream: 'yes' }), status: 200, html: PAGE.join('') },
    onShellReady: { wrong: () => ({ header: 7 }), status: 200, html: PAGE.join('') },
    getState: { wrong: () => [1], status: 200, html: PAGE.join('') },
    onResponse: { wrong: () => new Uint8Array(3), status: 200, cut: true },
  }
  for (const [hook, { wrong, status, html, cut }] of Object.entries(outcomes)) {
    for (const [how, [misbehave, kind]] of Object.entries({ ...ways, 'returns another shape': [wrong, 'shape'] })) {
      test(`${hook} ${how}`, async () => {
        const told = []
        const pipeline = defineRenderPipeline({
          render: written(PAGE),
          [hook]: misbehave,
          onError: ({ code, error }) => told.push([code, error.hook, error.kind]),
        })
        await pipeline[PIPELINE].create(LIMITS)
        const { lines } = await withConsole(async () => {
          const response = await pipeline.fetch(get())
          assert.equal(response.status, status)
          if (cut) await assert.rejects(response.text(), { name: 'HookError' })
          else if (html !== undefined) assert.equal(await response.text(), html)
        })
        const wanted = hook === 'getState' ? 2 : 1
        assert.equal(told.length, wanted, JSON.stringify(told))
        assert.deepEqual(told[0], ['render', hook, kind])
        assert.ok(lines.some((line) => line.includes(`${hook}: `)), lines.join('\n'))
        const failures = pipeline[PIPELINE].takeMetrics().families.find(({ name }) => name === 'hook_failures_total')
        assert.deepEqual(failures.series, [{ labels: [hook, kind], value: wanted, counts: [] }])
      })
    }
  }

  test('onShellError falls back to the plain page', async () => {
    const view = { name: 'failing', render: () => Promise.reject(new Error('first')) }
    for (const misbehave of [throws, rejects, never, () => 7]) {
      const pipeline = defineRenderPipeline({ render: { ...written([]), view }, onShellError: misbehave, onError() {} })
      await pipeline[PIPELINE].create(LIMITS)
      const { value, lines } = await withConsole(() => pipeline.fetch(get()))
      assert.equal(value.status, 500)
      assert.match(await value.text(), /The page failed/)
      assert.ok(lines.some((line) => line.includes('onShellError: ')))
    }
  })

  test('onError and onServerStarted disturb nothing', async () => {
    const pipeline = defineRenderPipeline({
      render: written(['shell', new Promise(() => {})]),
      onShellReady: ({ context }) => context.abort(),
      onError: throws,
      onServerStarted: rejects,
    })
    const { lines } = await withConsole(async () => {
      assert.equal(await (await pipeline.fetch(get())).text(), 'shell')
      await pipeline[PIPELINE].started({ address: 'http://x', buildId: 'b', isolate: '0.0', first: true })
    })
    assert.ok(lines.some((line) => line.includes('onError: threw: boom')))
    assert.ok(lines.some((line) => line.includes('onServerStarted: threw: boom')))
  })

  test('onServerCreated keeps the app from starting', async () => {
    for (const misbehave of [throws, rejects, never]) {
      const pipeline = defineRenderPipeline({ render: written(PAGE), onServerCreated: misbehave })
      await withConsole(() => assert.rejects(pipeline[PIPELINE].create(LIMITS), /^HookError: onServerCreated: /))
    }
  })

  test('a write after the end is refused and named', async () => {
    let context
    const pipeline = defineRenderPipeline({
      render: written(PAGE),
      onRequest: (_request, extra) => void (context = extra.context),
    })
    await (await pipeline.fetch(get())).text()
    const { value, lines } = await withConsole(() => context.write('<p>late</p>'))
    assert.equal(value, false)
    assert.ok(lines.some((line) => line.includes('write: context.write() was called when nothing could be sent')))
  })

  test('state that cannot be serialised is left out and named', async () => {
    const pipeline = defineRenderPipeline({ render: written(PAGE), getState: () => ({ f: () => 1 }), onError() {} })
    const { value, lines } = await withConsole(async () => (await pipeline.fetch(get())).text())
    assert.equal(value, PAGE.join(''))
    assert.ok(lines.some((line) => line.includes("getState: threw: the state 'f' cannot be serialised")), lines.join('\n'))
  })
})

describe('a definition', () => {
  test('refuses options that are none', () => {
    assert.throws(() => defineRenderPipeline({ render: written([]), onReqest() {} }), /no option 'onReqest'; there are render, on/)
    assert.throws(() => defineRenderPipeline({ render: written([]), onRequest: 1 }), /'onRequest' must be a function/)
    assert.throws(() => defineRenderPipeline({ render: written([]), abortDelay: 0 }), /'abortDelay' is 0/)
    assert.throws(() => defineRenderPipeline({}), /'render' must be a renderer/)
  })
})
