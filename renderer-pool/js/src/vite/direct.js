import { SERVER } from './environments.js'

/** Where TanStack Start's server functions live unless the app says otherwise. */
export const DEFAULT_BASE = '/_serverFn/'

/** What Start's compiler leaves of a server function: its id, and the function that the client's call runs. */
const COMPILED = 'createServerRpc'

/**
 * Finds server functions of `native(name, { direct: true })`: the gateway sends their calls straight to an fn worker.
 * One that JavaScript has a part in is refused.
 */
export function directFunctions(build) {
  return {
    name: 'isopod:direct-functions',
    apply: 'build',
    applyToEnvironment: (environment) => environment.name === SERVER,
    configResolved(config) {
      const defined = config.define?.['process.env.TSS_SERVER_FN_BASE']
      if (typeof defined === 'string') build.functions.base = JSON.parse(defined)
    },
    transform: {
      order: 'post',
      handler(code, file) {
        if (!code.includes(COMPILED) || !/\bdirect\b/.test(code)) return
        for (const found of directIn(this.parse(code))) {
          if (found.problem !== undefined) this.error({ message: refusal(found), id: file, pos: found.at })
          build.functions.direct[found.id] = found.name
        }
      },
    },
  }
}

function refusal({ name, problem }) {
  return (
    `native('${name}', { direct: true }) goes straight to Rust, and ${problem}. ` +
    'Do it in the Rust function, or leave `direct` out: the call then passes through the bundle.'
  )
}

/**
 * The direct functions of a compiled module: `{ id, name }`, or `{ name, problem, at }` for one that cannot be direct.
 *
 * @param program ESTree, after Start's compiler
 */
export function directIn(program) {
  const found = []
  const ids = new Map()
  for (const { id, init } of declarations(program)) {
    if (calls(init, COMPILED)) ids.set(id.name, property(init.arguments[0], 'id')?.value)
  }
  for (const { init } of declarations(program)) {
    const [handler, implementation] = handlerArguments(init)
    if (!calls(implementation, 'native') || property(implementation.arguments[1], 'direct')?.value !== true) continue
    const name = implementation.arguments[0]?.value
    const id = ids.get(handler.name)
    const problem = typeof name !== 'string' ? 'its name must be a plain string' : obstacle(init.callee.object)
    if (problem !== undefined) found.push({ name: name ?? '?', problem, at: implementation.start })
    else if (typeof id === 'string') found.push({ id, name })
  }
  return found
}

/** What of JavaScript's stands between the client and the function, walking back to `createServerFn`. */
function obstacle(chain) {
  for (let link = chain; ; link = link.callee.object) {
    if (link?.type !== 'CallExpression') return 'it is not made by createServerFn() in the same expression'
    if (link.callee.type === 'Identifier') {
      return link.callee.name === 'createServerFn'
        ? undefined
        : `${link.callee.name}() may add middleware that would not run`
    }
    const method = link.callee.property?.name
    if (method === 'middleware') return 'its middleware in JavaScript would not run'
    const isValidator = method === 'validator' || method === 'inputValidator'
    // That one only names a type.
    if (isValidator && !calls(link.arguments[0], 'nativeInput')) return 'its validator in JavaScript would not run'
  }
}

function* declarations(program) {
  for (const statement of program.body) {
    const declaration = statement.type === 'ExportNamedDeclaration' ? statement.declaration : statement
    if (declaration?.type !== 'VariableDeclaration') continue
    for (const declarator of declaration.declarations) if (declarator.init) yield declarator
  }
}

function calls(node, name) {
  return node?.type === 'CallExpression' && node.callee.type === 'Identifier' && node.callee.name === name
}

function handlerArguments(node) {
  const isHandler = node.type === 'CallExpression' && node.callee.property?.name === 'handler'
  return isHandler && node.arguments.length === 2 ? node.arguments : []
}

function property(object, name) {
  if (object?.type !== 'ObjectExpression') return undefined
  return object.properties.find(({ key }) => key?.name === name || key?.value === name)?.value
}
