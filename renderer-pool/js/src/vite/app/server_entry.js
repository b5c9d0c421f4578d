import { readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'

import { SERVER } from '../environments.js'
import { filesOf } from './manifest.js'

/** What the isolate loads: the app's definition, behind what it must know of the client. */
export const SERVER_ENTRY = 'virtual:isopod/server'

const ASSETS = 'virtual:isopod/assets'

/** Marks the app's place in `index.html`. */
const OUTLET = /<!--\s*(?:app-html|ssr-outlet|app)\s*-->/

export function serverEntry(app) {
  let config
  return {
    name: 'isopod:server-entry',
    applyToEnvironment: (environment) => environment.name === SERVER,
    configResolved(resolved) {
      config = resolved
    },
    resolveId(id) {
      if (app.active && (id === SERVER_ENTRY || id === ASSETS)) return `\0${id}`
    },
    async load(id) {
      if (id === `\0${SERVER_ENTRY}`) {
        // In this order: the definition may ask for its assets while it is evaluated.
        return `import ${JSON.stringify(ASSETS)}\nexport { default } from ${JSON.stringify(app.entries.server)}\n`
      }
      if (id !== `\0${ASSETS}`) return
      // The development server sets its own.
      if (config.command === 'serve') return ''
      return builtAssets(app, config)
    },
  }
}

async function builtAssets({ clientDir, entries, root }, { base }) {
  const manifest = JSON.parse(await readFile(join(clientDir, '.vite/manifest.json'), 'utf8'))
  const key = relative(root, entries.html ?? entries.client)
  const files = filesOf(manifest, key, base)
  const template = entries.html && splitTemplate(await readFile(join(clientDir, 'index.html'), 'utf8'))
  // The template starts the client and has its styles.
  if (template) files.entry = { scripts: [], styles: [] }
  return assetsModule(files, template)
}

/**
 * A document split at its outlet.
 *
 * @throws when it has none
 */
export function splitTemplate(html) {
  const at = OUTLET.exec(html)
  if (at === null) {
    throw new Error('index.html has no place for the app: put <!--app-html--> where its HTML belongs, or remove the file')
  }
  return { header: html.slice(0, at.index), footer: html.slice(at.index + at[0].length) }
}

/** The module that tells the pipeline what each page needs. */
function assetsModule(files, template) {
  return `
const { entry, modules } = ${JSON.stringify(files)}
const [main, ...shared] = [...entry.scripts].reverse()
function collect(used) {
  const scripts = new Set(shared), styles = new Set(entry.styles)
  for (const id of used) {
    modules[id]?.scripts.forEach((file) => scripts.add(file))
    modules[id]?.styles.forEach((file) => styles.add(file))
  }
  scripts.delete(main)
  return { entries: main === undefined ? [] : [main], preloads: [...scripts], styles: [...styles], head: '' }
}
globalThis[Symbol.for('isopod.assets')] = { template: ${JSON.stringify(template)}, collect }
`
}
