import { relative } from 'node:path'

import { SERVER } from '../environments.js'

/**
 * Notes on each function of the app that imports modules on demand which ones those are, so that a page's styles and
 * preloads are known from its routes: `lazy: () => import('./note')` of a route.
 */
export function lazyModules(app) {
  return {
    name: 'isopod:lazy-modules',
    enforce: 'post',
    applyToEnvironment: (environment) => environment.name === SERVER,
    async transform(code, id) {
      if (!app.active || !code.includes('import(') || id.includes('/node_modules/')) return
      const found = lazyFunctions(this.parse(code))
      const edits = []
      for (const { start, end, sources } of found) {
        const resolved = await Promise.all(sources.map((source) => this.resolve(source, id)))
        const modules = resolved.filter(Boolean).map((module) => relative(app.root, module.id.split('?')[0]))
        edits.push({ start, end, modules })
      }
      if (edits.length > 0) return { code: annotated(code, edits), map: null }
    },
  }
}

/** Wraps functions so that they carry their modules' ids. */
export function annotated(code, edits) {
  // From the end, so that the places of those before stay right; functions do not overlap.
  for (const { start, end, modules } of [...edits].sort((a, b) => b.start - a.start)) {
    const ids = JSON.stringify(modules)
    const annotation = `{ [Symbol.for('isopod.modules')]: ${ids} }`
    code = `${code.slice(0, start)}Object.assign(${code.slice(start, end)}, ${annotation})${code.slice(end)}`
  }
  return code
}

/** The function expressions nearest to a dynamic import, each with what it imports. */
export function lazyFunctions(program) {
  const functions = new Map()
  const visit = (node, nearest) => {
    if (node === null || typeof node !== 'object') return
    if (Array.isArray(node)) return node.forEach((item) => visit(item, nearest))
    if (typeof node.type !== 'string') return
    if (node.type === 'ArrowFunctionExpression' || node.type === 'FunctionExpression') nearest = node
    // A declaration cannot be wrapped where it stands, a method neither.
    if (node.type === 'FunctionDeclaration') nearest = null
    if (node.type === 'MethodDefinition' || (node.type === 'Property' && node.method)) return visit(node.value?.body, null)
    if (node.type === 'ImportExpression' && nearest && typeof node.source?.value === 'string') {
      const known = functions.get(nearest) ?? []
      functions.set(nearest, [...known, node.source.value])
    }
    for (const key in node) if (key !== 'type') visit(node[key], nearest)
  }
  visit(program, null)
  const found = [...functions].map(([{ start, end }, sources]) => ({ start, end, sources }))
  // Of nested ones only the innermost is wrapped.
  return found.filter((one) => !found.some((other) => other !== one && other.start >= one.start && other.end <= one.end))
}
