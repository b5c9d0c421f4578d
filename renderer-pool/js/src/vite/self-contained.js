import { quickerEntry } from './entries.js'
import { SERVER } from './environments.js'

const ABSENT_STREAM = '\0isopod:absent-node-stream'

/** TanStack's stream handlers, which import `node:stream` for react-dom's Node entry only. */
const STREAM_HANDLERS = /[\\/]@tanstack[\\/](?:react-router|solid-router|router-core)[\\/]/

/**
 * The server bundle carries its packages, with the quickest entry of each framework: it starts quicker and needs no
 * `node_modules` at run time. Packages resolve with Node's conditions, since the isolate has Node's modules.
 */
export function selfContained({ external }) {
  return {
    name: 'isopod:self-contained',
    apply: 'build',
    enforce: 'pre',
    applyToEnvironment: (environment) => environment.name === SERVER,
    configEnvironment(name) {
      if (name === SERVER) return { resolve: { noExternal: true, external } }
    },
    resolveId(id, importer) {
      const quicker = quickerEntry(id)
      // An older package may not have it: then its usual entry stays.
      if (quicker !== undefined) return this.resolve(quicker, importer, { skipSelf: true })
      if (id === 'node:stream' && STREAM_HANDLERS.test(importer ?? '')) return ABSENT_STREAM
    },
    load(id) {
      if (id === ABSENT_STREAM) return absentStream
    },
  }
}

const absentStream = `
class Absent {
  constructor() {
    throw new Error('this build streams with Web streams: node:stream is not part of it')
  }
}
export { Absent as PassThrough, Absent as Readable }
`
