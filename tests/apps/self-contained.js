const WORKER_CONDITIONS = ['workerd', 'edge-light', 'worker', 'module', 'production']

const ABSENT_STREAM = '\0absent:node:stream'

/**
 * Vite plugin: the server build carries all of its packages and takes their
 * entries for web-standard runtimes, so that it runs without `node_modules`.
 */
export function selfContained() {
  return {
    name: 'isopod:self-contained',
    apply: 'build',
    enforce: 'pre',
    applyToEnvironment: (environment) => environment.name === 'ssr',
    configEnvironment(name) {
      if (name !== 'ssr') return
      return { resolve: { noExternal: true, conditions: WORKER_CONDITIONS } }
    },
    // TanStack's stream handler imports it for react-dom's Node entry only.
    resolveId: (id) => (id === 'node:stream' ? ABSENT_STREAM : undefined),
    load: (id) => (id === ABSENT_STREAM ? absentStream : undefined),
  }
}

const absentStream = `
class Absent {
  constructor() {
    throw new Error('node:stream is not part of a self-contained build')
  }
}
export { Absent as PassThrough, Absent as Readable }
`
