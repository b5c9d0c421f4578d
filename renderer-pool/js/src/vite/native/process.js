import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

import { Link } from './link.js'
import { commandOf } from './workers.js'

/** Says that the worker's end of the link is this descriptor. */
const DEVELOP = ['--develop', '3']

/**
 * Starts a worker for development and waits until it takes requests. It ends with its link, and so with this process.
 *
 * @param {string} worker @param {string} root
 * @param {{ onError(message: string): void, onEnd(message: string): void, print(line: string): void,
 *   linkFor(name: string): Promise<Link> }} hears what the worker logs as an error, that it has ended by itself, and
 *   every line; knows where functions are that the worker does not have
 * @returns {Promise<Link>}
 */
export async function startWorker(worker, root, { onError, onEnd, print, linkFor }) {
  const [program, ...args] = commandOf(worker, root)
  const child = spawn(program, [...args, ...DEVELOP], { cwd: root, stdio: ['ignore', 'inherit', 'pipe', 'pipe'] })
  const link = new Link(child.stdio[3], linkFor)
  let last = ''
  createInterface({ input: child.stderr }).on('line', (line) => {
    const { level, text } = readable(line)
    last = text
    print(text)
    if (level === 'ERROR') onError(text)
  })
  let isReady = false
  const ended = new Promise((_, failed) => {
    child.once('error', (error) => failed(new Error(`the fn worker ${program} does not start: ${error.message}`)))
    // After all that it has said.
    child.once('close', (code, signal) => {
      const message = `the fn worker ${program} has ended (${signal ?? `exit code ${code}`}): ${last}`
      failed(new Error(message))
      if (isReady && !link.isClosed) onEnd(message)
    })
  })
  ended.catch(() => {})
  // The link breaks a moment before the process has said why.
  await Promise.race([link.opened.catch(() => ended), ended])
  isReady = true
  return link
}

/** A line of the log: JSON of the worker's own, or anything else that somebody wrote. */
function readable(line) {
  try {
    const { level, message, timestamp, target, span, spans, ...fields } = JSON.parse(line)
    if (typeof message !== 'string') return { text: line }
    const told = Object.entries(fields).map(([name, value]) => (typeof value === 'string' ? `${name}: ${value}` : `${name}: ${JSON.stringify(value)}`))
    return { level, text: [`${span?.function ?? span?.name ?? 'fn worker'}: ${message}`, ...told].join('\n  ') }
  } catch {
    return { text: line }
  }
}
