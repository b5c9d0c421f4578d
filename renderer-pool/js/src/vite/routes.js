import { readFile } from 'node:fs/promises'

import { SERVER } from './environments.js'

/** What TanStack's router generates. */
const ROUTE_TREE = /[\\/]routeTree\.gen\.(?:ts|js)$/

/** Finds the app's route patterns where TanStack's router plugin has listed them. */
export function routePatterns(build) {
  return {
    name: 'isopod:routes',
    apply: 'build',
    applyToEnvironment: (environment) => environment.name === SERVER,
    async generateBundle() {
      const tree = [...this.getModuleIds()].find((id) => ROUTE_TREE.test(id))
      if (tree !== undefined) build.routes = patternsIn(await readFile(tree, 'utf8'))
    },
  }
}

/**
 * The full paths of a generated route tree, in TanStack's syntax (`/threads/$id`), sorted.
 *
 * @param {string} source TypeScript; a tree without types lists nothing
 */
export function patternsIn(source) {
  const listed = /interface FileRoutesByFullPath \{([^}]*)\}/.exec(source)?.[1] ?? ''
  const patterns = [...listed.matchAll(/^\s*'([^']+)':/gm)].map(([, path]) => path)
  return [...new Set(patterns)].sort()
}
