/** React's server entry for Node, and TanStack's stream handlers. */
const REACT_SERVER = /[\\/]react-dom[\\/]cjs[\\/]react-dom-server(?:-legacy)?\.node\./
const STREAM_HANDLERS = /[\\/]@tanstack[\\/](?:react-router|solid-router|router-core)[\\/]/

const PREFIX = '\0isopod:lazy-'

// `getBuiltinModule` loads a module when it is first called.
const SOURCES = {
  // The isolate has it at hand; as a module it needs no `require`, which would load `node:module`.
  async_hooks: `
    export { AsyncLocalStorage } from 'node:async_hooks'
  `,
  crypto: `
    export const createHash = (name) => process.getBuiltinModule('node:crypto').createHash(name)
  `,
  stream: `
    const stream = () => process.getBuiltinModule('node:stream')
    export class PassThrough {
      constructor(options) {
        return new (stream().PassThrough)(options)
      }
    }
    export class Readable {
      constructor(options) {
        return new (stream().Readable)(options)
      }
      static fromWeb(web, options) {
        return stream().Readable.fromWeb(web, options)
      }
      static toWeb(readable, options) {
        return stream().Readable.toWeb(readable, options)
      }
    }
  `,
  util: `
    export const { TextEncoder } = globalThis
  `,
}

/**
 * The module to load instead of one of Node's, where `importer` needs it for what few apps do (React's streams for
 * Node, hashes of forms' keys): Node's module then loads when it is first used, not with the bundle.
 *
 * @returns {string | undefined} a module's id for {@link lazyNodeSource}
 */
export function lazyNodeModule(id, importer = '') {
  const name = id.replace(/^node:/, '')
  const isKnown = REACT_SERVER.test(importer) ? name in SOURCES : name === 'stream' && STREAM_HANDLERS.test(importer)
  return isKnown ? PREFIX + name : undefined
}

/** @returns {string | undefined} the source of a module that {@link lazyNodeModule} named */
export function lazyNodeSource(id) {
  return id.startsWith(PREFIX) ? SOURCES[id.slice(PREFIX.length)] : undefined
}
