/** Which modules a lazy function loads: the Vite plugin notes it on the function. */

/** Under this symbol a function carries the ids of the modules that it imports. */
export const MODULES = Symbol.for('isopod.modules')

/** The modules of React Router's `lazy`: a function, or an object of functions. */
export function modulesOf(lazy: unknown): readonly string[] {
  if (typeof lazy === 'function') return (lazy as { [MODULES]?: readonly string[] })[MODULES] ?? []
  if (lazy === null || typeof lazy !== 'object') return []
  return [...new Set(Object.values(lazy).flatMap(modulesOf))]
}
