import { readFile, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'

import { CLIENT, SERVER, outputDirectory } from './environments.js'

/** The manifest's place, beside `client/` and `server/`. */
export const MANIFEST = 'isopod.json'

/** Changes when a reader of an older manifest would misread a newer one. */
const FORMAT = 1

/** Writes down what the build knows and its files alone do not tell. */
export function builtManifest(build) {
  return {
    name: 'isopod:manifest',
    apply: 'build',
    generateBundle(output, bundle) {
      build.assets.set(this.environment.name, filesOf(output, bundle))
    },
    buildApp: {
      order: 'post',
      async handler(builder) {
        const server = outputDirectory(builder, SERVER)
        if (server === undefined) return
        const app = dirname(server)
        const below = (name) => relative(app, outputDirectory(builder, name) ?? join(app, name))
        const files = (name, kind) =>
          (build.assets.get(name)?.[kind] ?? []).map((file) => join(below(name), file))
        const manifest = {
          format: FORMAT,
          routes: build.routes,
          functions: build.functions,
          immutable: files(CLIENT, 'immutable'),
          sourceMaps: files(SERVER, 'sourceMaps'),
          packages: await packageVersions(builder.config.root),
        }
        await writeFile(join(app, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`)
      },
    },
  }
}

/**
 * An output's files by what is known of them: `immutable` have their content's hash in their names.
 *
 * @param output the output's options, whose name patterns tell what is hashed
 * @param bundle its files by name
 */
export function filesOf(output, bundle) {
  const hashed = (pattern) => typeof pattern === 'string' && /\[hash(?::\d+)?\]/.test(pattern)
  const isImmutable = (file) =>
    hashed(
      file.type === 'asset'
        ? output.assetFileNames
        : file.isEntry
          ? output.entryFileNames
          : output.chunkFileNames,
    )
  const names = Object.values(bundle)
  return {
    immutable: names.filter(isImmutable).map((file) => file.fileName).sort(),
    sourceMaps: names.map((file) => file.fileName).filter((name) => name.endsWith('.map')).sort(),
  }
}

/** The installed versions of the packages that the app names in its `package.json`. */
export async function packageVersions(root) {
  const manifest = await readJson(join(root, 'package.json'))
  const versions = {}
  for (const name of Object.keys(manifest?.dependencies ?? {}).sort()) {
    for (const directory of createRequire(join(root, 'package.json')).resolve.paths(name) ?? []) {
      const found = await readJson(join(directory, name, 'package.json'))
      if (found === undefined) continue
      versions[name] = found.version
      break
    }
  }
  return versions
}

async function readJson(path) {
  try {
    return JSON.parse(await readFile(path, 'utf8'))
  } catch (error) {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined
    throw new Error(`${path} cannot be read: ${error.message}`, { cause: error })
  }
}
