/**
 * The quickest entry of each package in an isolate, whatever conditions the app resolves with. The figures are in
 * `docs/performance.md`.
 */
const QUICKEST = new Map([
  // Writes strings into its chunks; the entries for other runtimes make an array of bytes of each string.
  ['react-dom/server', 'react-dom/server.node'],
  // Answer with the isolate's own `Response`; those for Node wrap it for `node:http`.
  ['h3', 'h3/generic'],
  ['h3-v2', 'h3-v2/generic'],
  ['srvx', 'srvx/generic'],
])

/** What to import instead of `id`, or `undefined`. */
export function quickerEntry(id) {
  return QUICKEST.get(id)
}
