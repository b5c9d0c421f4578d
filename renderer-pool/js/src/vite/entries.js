/**
 * Entries that are quicker here than those that a package offers to Node: they answer with the isolate's own streams
 * and responses, where Node's go through `node:stream` and `node:http`. The figures are in `docs/performance.md`.
 */
const QUICKER = new Map([
  ['react-dom/server', 'react-dom/server.edge'],
  ['h3', 'h3/generic'],
  ['h3-v2', 'h3-v2/generic'],
  ['srvx', 'srvx/generic'],
])

/** What to import instead of `id`, or `undefined`. */
export function quickerEntry(id) {
  return QUICKER.get(id)
}
