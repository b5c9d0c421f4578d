/** Node's requests and responses as web-standard ones, for the development server. */

import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

/** The request; its signal aborts when the client leaves. */
export function toRequest(req, res, url) {
  const left = new AbortController()
  res.once('close', () => {
    if (!res.writableFinished) left.abort(new DOMException('The client has closed the connection.', 'AbortError'))
  })
  const headers = new Headers()
  for (let i = 0; i < req.rawHeaders.length; i += 2) {
    const [name, value] = [req.rawHeaders[i], req.rawHeaders[i + 1]]
    if (!name.startsWith(':')) headers.append(name, value)
  }
  const scheme = req.socket.encrypted ? 'https' : 'http'
  const hasBody = req.method !== 'GET' && req.method !== 'HEAD'
  return new Request(new URL(url, `${scheme}://${req.headers.host ?? 'localhost'}`), {
    method: req.method,
    headers,
    signal: left.signal,
    ...(hasBody ? { body: Readable.toWeb(req), duplex: 'half' } : {}),
  })
}

/** Sends the response; a body that fails breaks the connection off. */
export async function sendResponse(response, req, res) {
  res.statusCode = response.status
  for (const [name, value] of response.headers) if (name !== 'set-cookie') res.setHeader(name, value)
  const cookies = response.headers.getSetCookie()
  if (cookies.length > 0) res.setHeader('set-cookie', cookies)
  if (response.body === null || req.method === 'HEAD') {
    await response.body?.cancel()
    return void res.end()
  }
  res.flushHeaders()
  await pipeline(Readable.fromWeb(response.body), res).catch(() => res.destroy())
}
