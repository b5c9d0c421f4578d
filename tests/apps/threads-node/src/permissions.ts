import { execFile } from 'node:child_process'
import { mkdtemp, readFile, readdir, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'

const codeOf = (error: Error & { code?: string }) => error.code ?? error.name

const attempt = async (what: () => unknown) => {
  try {
    await what()
    return 'allowed'
  } catch (error) {
    return codeOf(error as Error)
  }
}

const dial = (host: string) =>
  new Promise<void>((resolve, reject) => {
    const socket = connect({ host, port: 80 }, resolve)
    socket.setTimeout(2000, () => socket.destroy(new Error('timed out')))
    socket.on('error', reject)
  })

const run = () =>
  new Promise<void>((resolve, reject) => execFile('/bin/true', (error) => (error ? reject(error) : resolve())))

export async function refused() {
  const temporary = await mkdtemp(join(tmpdir(), 'x-'))
  return {
    readApp: await attempt(() => readFile(import.meta.filename)),
    readPackage: await attempt(() => readdir(new URL('../../../node_modules/pg', import.meta.url))),
    readSystem: await attempt(() => readFile('/etc/passwd')),
    writeApp: await attempt(() => writeFile(join(import.meta.dirname, 'x.txt'), 'x')),
    writeTemporary: await attempt(() => writeFile(join(temporary, 'x.txt'), 'x')),
    run: await attempt(run),
    metadataByAddress: await attempt(() => dial('169.254.169.254')),
    metadataByFetch: await attempt(() => fetch('http://169.254.169.254/latest')),
    worker: await attempt(() => new Worker('postMessage(1)', { eval: true })),
    env: Object.keys(process.env).sort(),
    deno: typeof (globalThis as { Deno?: unknown }).Deno,
  }
}
