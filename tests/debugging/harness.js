import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import readline from 'node:readline'

const GATEWAY = process.env.ISOPOD_GATEWAY
assert.ok(GATEWAY, 'ISOPOD_GATEWAY must name the gateway program')

/** A gateway with one isolate that serves a small app, until it is stopped. */
export class Gateway {
  static async serving(files, ...flags) {
    const directory = await fs.mkdtemp(path.join(os.tmpdir(), 'isopod-debugging-'))
    await fs.mkdir(path.join(directory, 'client'))
    for (const [name, content] of Object.entries(files)) {
      const file = path.join(directory, name)
      await fs.mkdir(path.dirname(file), { recursive: true })
      await fs.writeFile(file, content)
    }
    const gateway = new Gateway(directory, flags)
    const line = await gateway.#said('stdout', /listening on (\S+) \(admin (\S+)\)/)
    ;[, gateway.url, gateway.admin] = line
    return gateway
  }

  #directory
  #process
  #lines = { stdout: [], stderr: [] }
  #listeners = new Set()

  constructor(directory, flags) {
    this.#directory = directory
    const fixed = ['--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--renderers', '1', '--fn-workers', '0']
    this.#process = spawn(GATEWAY, ['--app', directory, ...fixed, '--log-format', 'json', ...flags], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    for (const stream of ['stdout', 'stderr']) {
      readline.createInterface({ input: this.#process[stream] }).on('line', (line) => {
        this.#lines[stream].push(line)
        for (const listener of this.#listeners) listener()
      })
    }
    this.#process.on('exit', () => {
      for (const listener of this.#listeners) listener()
    })
  }

  /** Waits for a line that matches, on a stream. */
  #said(stream, pattern) {
    return new Promise((resolve, reject) => {
      const look = () => {
        const found = this.#lines[stream].map((line) => pattern.exec(line)).find(Boolean)
        if (!found && this.#process.exitCode === null) return
        this.#listeners.delete(look)
        if (found) resolve(found)
        else reject(new Error(`the gateway has ended:\n${this.#lines.stderr.join('\n')}`))
      }
      this.#listeners.add(look)
      look()
    })
  }

  logged(pattern) {
    return this.#said('stderr', pattern)
  }

  get(path) {
    return fetch(new URL(path, this.url))
  }

  examine(path) {
    return fetch(new URL(path, this.admin), { method: 'POST' })
  }

  async stop() {
    this.#process.kill('SIGTERM')
    const [code] = this.#process.exitCode === null ? await once(this.#process, 'exit') : [this.#process.exitCode]
    await fs.rm(this.#directory, { recursive: true })
    assert.equal(code, 0, this.#lines.stderr.join('\n'))
  }
}
