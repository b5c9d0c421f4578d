import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { defineRenderPipeline } from '@isopod/app/pipeline'

import { get, PAGE, withConsole, written } from './support/pages.js'

const PIPELINE = Symbol.for('isopod.pipeline')
const LIMITS = { hookTimeoutMs: 1000, maxMetrics: 2, maxSeries: 3 }

async function served(onServerCreated) {
  const pipeline = defineRenderPipeline({ render: written(PAGE), onServerCreated })
  await pipeline[PIPELINE].create(LIMITS)
  return pipeline
}

describe('middleware and endpoints', () => {
  test('stand around the app, the first outermost', async () => {
    const pipeline = await served((app) => {
      app
        .use(async (request, next) => {
          const response = await next()
          response.headers.append('x-way', 'outer')
          return response
        })
        .use(async (request, next) => {
          if (new URL(request.url).pathname === '/closed') return new Response('no', { status: 403 })
          const response = await next()
          response.headers.append('x-way', 'inner')
          return response
        })
        .get('/health', () => new Response('well'))
        .get('/files/:kind/*', (_request, { params }) => Response.json(params))
        .post('/echo', async (request, { context }) => Response.json([await request.text(), context]))
    })
    const health = await pipeline.fetch(get('/health'))
    assert.deepEqual([await health.text(), health.headers.get('x-way')], ['well', 'inner, outer'])
    assert.equal((await pipeline.fetch(get('/closed'))).status, 403)
    assert.deepEqual(await (await pipeline.fetch(get('/files/a%20b/c/d'))).json(), { kind: 'a b', '*': 'c/d' })
    const echo = await pipeline.fetch(get('/echo', { method: 'POST', body: 'hi' }), { context: { requestId: 'r' } })
    assert.deepEqual(await echo.json(), ['hi', { requestId: 'r' }])
    assert.equal((await pipeline.fetch(get('/health', { method: 'HEAD' }))).status, 200)
    for (const path of ['/', '/healthy', '/files/%ff/x']) assert.equal(await (await pipeline.fetch(get(path))).text(), PAGE.join(''))
  })

  test('what is none is refused, also later', async () => {
    let kept
    await served((app) => {
      kept = app
      assert.throws(() => app.get('health', () => {}), /a path that begins with '\/'/)
      assert.throws(() => app.use(1), /app.use\(\) takes/)
    })
    assert.throws(() => kept.get('/late', () => {}), /only while onServerCreated runs/)
  })

  test('an answer that is none is an error', async () => {
    const pipeline = await served((app) => app.get('/bad', () => 'text').use((_request, next) => next().then(() => next())))
    await assert.rejects(pipeline.fetch(get('/')), /next\(\) was called twice/)
    const other = await served((app) => app.get('/bad', () => 'text'))
    await assert.rejects(other.fetch(get('/bad')), /GET \/bad must return a Response/)
  })
})

describe('metrics', () => {
  test('are counted, and reported when they changed', async () => {
    let hits, open, seconds
    const pipeline = await served((app) => {
      hits = app.metrics.counter({ name: 'hits_total', help: 'Hits.', labels: ['kind'] })
      seconds = app.metrics.histogram({ name: 'seconds', help: 'Seconds.', buckets: [1, 2] })
      assert.throws(() => app.metrics.gauge({ name: 'third', help: 'Too many.' }), /one too many: 2 are the limit \(max_app_metrics\)/)
      assert.equal(app.metrics.counter({ name: 'hits_total', help: 'Hits.', labels: ['kind'] }) !== undefined, true)
      assert.throws(() => app.metrics.gauge({ name: 'hits_total', help: 'Other.' }), /there is a metric 'hits_total' already/)
      assert.throws(() => app.metrics.counter({ name: 'Hits', help: 'x' }), /no name of a metric/)
    })
    const take = () => pipeline[PIPELINE].takeMetrics()
    take()
    assert.equal(take(), null)
    hits.inc({ kind: 'a' })
    hits.inc({ kind: 'a' }, 2)
    for (const value of [0.5, 1, 1.5, 9]) seconds.observe(value)
    const families = Object.fromEntries(take().families.map((family) => [family.name, family]))
    assert.deepEqual(families.hits_total.series, [{ labels: ['a'], value: 3, counts: [] }])
    assert.deepEqual(families.seconds.series, [{ labels: [], value: 12, counts: [2, 1, 1] }])
    assert.throws(() => hits.inc({ kind: 'a' }, -1), /cannot grow by -1/)
    assert.throws(() => hits.inc({}), /needs the label 'kind'/)
  })

  test('have a bounded number of label sets', async () => {
    let hits
    const pipeline = await served((app) => (hits = app.metrics.counter({ name: 'hits_total', help: 'Hits.', labels: ['kind'] })) && undefined)
    const { lines } = await withConsole(() => {
      for (const kind of ['a', 'b', 'c', 'd', 'a']) hits.inc({ kind })
    })
    const { families, overflowed } = pipeline[PIPELINE].takeMetrics()
    const { series } = families.find(({ name }) => name === 'hits_total')
    assert.deepEqual(series.map(({ labels, value }) => [labels[0], value]), [['a', 2], ['b', 1], ['other', 2]])
    assert.equal(overflowed, 2)
    assert.equal(lines.length, 1)
    assert.match(lines[0], /max_app_metric_series/)
  })
})
