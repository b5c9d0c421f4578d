import { similar } from './similar.js'

/** What apps import `native` from. */
const MODULE = '@isopod/app/native'
const CALLED = ['native', 'nativeInput']

/**
 * What is wrong with a module's calls of `native` and `nativeInput`: `{ message, at }`, and what cannot be checked as
 * `{ warning, at }`.
 *
 * @param program ESTree
 * @param {Map<string, string>} functions methods by names
 */
export function* problemsIn(program, functions) {
  const names = importedNames(program)
  if (names.size === 0) return
  for (const { call, method } of callsOf(program, names)) {
    const name = text(call.arguments[0])
    const at = call.start
    if (name === undefined) {
      yield { warning: `${call.callee.name}() is not called with a plain string: the build cannot check the name`, at }
      continue
    }
    const known = functions.get(name)
    if (known === undefined) yield { message: unknown(name, functions), at }
    else if (method !== undefined && method !== known) {
      const message = `the native function '${name}' is called with ${known}: write createServerFn({ method: '${known}' })`
      yield { message, at }
    }
  }
}

function unknown(name, functions) {
  const nearest = similar(name, [...functions.keys()])
  const hint = nearest === undefined ? `there are ${[...functions.keys()].sort().join(', ') || 'none'}` : `did you mean '${nearest}'?`
  return `there is no native function '${name}': ${hint}`
}

/** The names under which a module knows what it imports from {@link MODULE}. */
function importedNames(program) {
  const names = new Set()
  for (const statement of program.body) {
    if (statement.type !== 'ImportDeclaration' || statement.source.value !== MODULE) continue
    for (const { type, imported, local } of statement.specifiers) {
      if (type === 'ImportSpecifier' && CALLED.includes(imported.name)) names.add(local.name)
    }
  }
  return names
}

/** Calls of `names`, each with the method of the server function whose handler it makes, where that is known. */
function* callsOf(node, names, method) {
  if (Array.isArray(node)) {
    for (const item of node) yield* callsOf(item, names, method)
    return
  }
  if (typeof node?.type !== 'string') return
  if (node.type === 'CallExpression') {
    if (node.callee.type === 'Identifier' && names.has(node.callee.name)) yield { call: node, method }
    if (node.callee.property?.name === 'handler') {
      yield* callsOf(node.callee, names, method)
      yield* callsOf(node.arguments, names, methodOf(node.callee.object))
      return
    }
  }
  for (const value of Object.values(node)) if (typeof value === 'object') yield* callsOf(value, names, method)
}

/** The method of the `createServerFn` that a chain of calls begins with. */
function methodOf(chain) {
  let link = chain
  while (link?.type === 'CallExpression' && link.callee.type === 'MemberExpression') link = link.callee.object
  if (link?.type !== 'CallExpression' || link.callee.name !== 'createServerFn') return undefined
  const options = link.arguments[0]
  if (options === undefined) return 'GET'
  if (options.type !== 'ObjectExpression') return undefined
  const given = options.properties.find(({ key }) => key?.name === 'method' || key?.value === 'method')
  return given === undefined ? 'GET' : text(given.value)
}

function text(node) {
  if (node?.type === 'Literal' && typeof node.value === 'string') return node.value
  const isPlain = node?.type === 'TemplateLiteral' && node.expressions.length === 0
  return isPlain ? node.quasis[0].value.cooked : undefined
}
