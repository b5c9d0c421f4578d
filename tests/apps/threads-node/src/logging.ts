import { Writable } from 'node:stream'

import pino from 'pino'

export async function logged() {
  const lines: string[] = []
  const sink = new Writable({
    write(chunk, _encoding, done) {
      lines.push(String(chunk))
      done()
    },
  })
  const logger = pino({ base: { app: 'threads-node' }, timestamp: false }, sink)
  logger.info({ user: 7 }, 'hello')
  logger.child({ part: 'db' }).error(new Error('broken'), 'failed')
  // The default destination is the process's standard output.
  pino().info('to standard output')
  return lines.map((line) => JSON.parse(line)).map(({ level, msg, user, part, err }) => ({ level, msg, user, part, err: err?.message }))
}
