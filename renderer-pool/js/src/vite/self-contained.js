import { quickerEntry } from './entries.js'
import { SERVER } from './environments.js'
import { lazyNodeModule, lazyNodeSource } from './lazy-node.js'

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
      return lazyNodeModule(id, importer)
    },
    load: (id) => lazyNodeSource(id),
  }
}
