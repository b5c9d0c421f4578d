import { resolve } from 'node:path'

/** Vite's names of the environments that a full-stack app builds. */
export const CLIENT = 'client'
export const SERVER = 'ssr'

/** The absolute directory that an environment is built to, or `undefined` when the app has none of that name. */
export function outputDirectory(builder, name) {
  const environment = builder.environments[name]
  return environment && resolve(environment.config.root, environment.config.build.outDir)
}
