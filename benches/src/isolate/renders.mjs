// Renders pages in process when told to on standard input: `{ path, count, concurrency, userAgent }`, a line each.
// Answers each line with the bytes of one page.
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'

const app = (await import(pathToFileURL(`${process.argv[2]}/server/server.js`))).default
const origin = 'http://localhost:3000'

async function render(path, userAgent) {
  const headers = { host: 'localhost:3000', 'user-agent': userAgent, accept: 'text/html' }
  const response = await app.fetch(new Request(origin + path, { headers }), {})
  if (response.status !== 200) throw new Error(`${path} answers ${response.status}`)
  let bytes = 0
  for await (const chunk of response.body) bytes += chunk.byteLength
  return bytes
}

for await (const line of createInterface({ input: process.stdin })) {
  const { path, count, concurrency, userAgent } = JSON.parse(line)
  let left = count
  let bytes = 0
  const worker = async () => {
    while (left-- > 0) bytes = await render(path, userAgent)
  }
  await Promise.all(Array.from({ length: concurrency }, worker))
  console.log(bytes)
}
