import { pageApp } from './app/index.js'
import { DEFAULT_BASE, directFunctions } from './direct.js'
import { builtManifest } from './manifest.js'
import { nativeFunctions } from './native/index.js'
import { readOptions } from './options.js'
import { precompressed } from './precompress.js'
import { routePatterns } from './routes.js'
import { selfContained } from './self-contained.js'

/**
 * Vite plugin: what a plain build lacks to be served best by Isopod. See `index.d.ts`.
 *
 * Put it last: it works on what the framework's plugins have written.
 *
 * @param {import('./index.d.ts').IsopodOptions} [given]
 * @returns {import('vite').Plugin[]}
 */
export function isopod(given) {
  const options = readOptions(given)
  const build = { routes: [], assets: new Map(), functions: { base: DEFAULT_BASE, direct: {} } }
  const plugins = options.pages ? pageApp(options) : []
  plugins.push(...nativeFunctions(options.native))
  if (options.selfContained) plugins.push(selfContained(options))
  if (options.manifest) plugins.push(routePatterns(build), directFunctions(build), builtManifest(build))
  if (options.precompress) plugins.push(precompressed())
  return plugins
}
