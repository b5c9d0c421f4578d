import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

import { matcherOf } from './paths.js'

/** Fields that concern one connection alone. */
const HOP_BY_HOP = /^(?:connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade)$/

/** Methods that have no body. */
const WITHOUT_BODY = ['GET', 'HEAD']

/**
 * Sends what a worker's routes answer to the worker, before Vite and the app see it, as the gateway does.
 *
 * @param {{ routes: Map<string, object> }} app whose routes the patterns are
 * @param {(worker: object) => Promise<import('./link.js').Link>} linkOf the link to a worker
 */
export function nativeRoutes(app, linkOf) {
  let [known, owners] = []
  return async (req, res, next) => {
    if (known !== app.routes) [known, owners] = [app.routes, ownersOf(app.routes)]
    const path = req.url.split('?', 1)[0]
    const owner = owners.find(({ matches }) => matches(path))
    if (owner === undefined) return next()
    const left = new AbortController()
    res.once('close', () => left.abort(new Error('the browser has left')))
    try {
      const link = await linkOf(owner.worker)
      await answer(await link.answer(requestOf(req), left.signal), res)
    } catch (error) {
      if (left.signal.aborted || res.headersSent) return res.destroy()
      next(error)
    }
  }
}

/** The workers that run and have routes. */
function ownersOf(routes) {
  const workers = new Set([...routes.values()].filter(({ worker }) => worker !== undefined))
  const patternsOf = (worker) => [...routes].filter(([, owner]) => owner === worker).map(([pattern]) => pattern)
  return [...workers].map((worker) => ({ worker, matches: matcherOf(patternsOf(worker)) }))
}

function requestOf(req) {
  const fields = Object.entries(req.headersDistinct).filter(([name]) => !HOP_BY_HOP.test(name) && !name.startsWith(':'))
  const headers = fields.flatMap(([name, values]) => values.map((value) => [name, value]))
  const body = WITHOUT_BODY.includes(req.method) ? null : Readable.toWeb(req)
  return new Request(`http://${req.headers.host ?? 'localhost'}${req.url}`, { method: req.method, headers, body, duplex: 'half' })
}

async function answer(response, res) {
  const fields = [...response.headers].filter(([name]) => name !== 'set-cookie')
  res.writeHead(response.status, [...fields, ...response.headers.getSetCookie().map((cookie) => ['set-cookie', cookie])].flat())
  if (response.body === null) res.end()
  else await pipeline(Readable.fromWeb(response.body), res)
}
