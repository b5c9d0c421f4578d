import { readFile } from 'node:fs/promises'

type Manifest = Record<string, { file: string }>

/** The one page, with the script that Vite's client build names in its manifest. */
export async function page(): Promise<Response> {
  const manifest = JSON.parse(await readFile(new URL('../client/manifest.json', import.meta.url), 'utf8')) as Manifest
  const script = manifest['src/client.ts'].file
  const html = `<!doctype html><title>Threads</title><h1>Hello</h1><script type="module" src="/${script}"></script>`
  return new Response(html, { headers: { 'content-type': 'text/html; charset=utf-8' } })
}
