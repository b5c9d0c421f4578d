/**
 * The part for apps without Start: client and server built from their entries by one `vite build`, and served by
 * `vite dev`.
 *
 * - `entries`: which files an app starts from.
 * - `server_entry`: the module that the isolate loads; knows the client's files.
 * - `manifest`: which of those a page needs.
 * - `lazy`: notes on lazy functions which modules they load.
 * - `dev`: the definition behind Vite's own server.
 */

import { rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'

import { CLIENT, SERVER } from '../environments.js'
import { devServer } from './dev.js'
import { findEntries } from './entries.js'
import { lazyModules } from './lazy.js'
import { SERVER_ENTRY, serverEntry } from './server_entry.js'

/** One copy of each, the app's own, whatever imports them. */
const FRAMEWORKS = [
  'react',
  'react-dom',
  'react-router',
  'solid-js',
  '@tanstack/react-router',
  '@tanstack/solid-router',
]

/** Frameworks that build client and server by themselves. */
const STARTS = /^(?:tanstack-start|tanstack-react-start|tanstack-solid-start|react-router|solid-start|nitro)/

/** The plugins; they do nothing in an app whose framework builds it, or that has no entries. */
export function pageApp({ entries: given }) {
  const app = { active: false, root: '', entries: undefined, clientDir: '' }
  return [
    {
      name: 'isopod:app',
      config(config) {
        const root = resolve(config.root ?? '.')
        if (hasStart(config.plugins)) return
        const entries = findEntries(root, given)
        if (entries === undefined) return
        Object.assign(app, { active: true, root, entries })
        return configuration(entries)
      },
      configResolved(config) {
        app.clientDir = resolve(config.root, config.environments[CLIENT].build.outDir)
      },
      buildApp: {
        order: 'post',
        // The client's manifest and the template are in the server's bundle; nobody is to download them.
        async handler() {
          if (!app.active) return
          for (const file of ['.vite', 'index.html']) {
            await rm(join(app.clientDir, file), { recursive: true, force: true })
          }
        },
      },
    },
    serverEntry(app),
    lazyModules(app),
    devServer(app),
  ]
}

function configuration({ client, html }) {
  return {
    appType: 'custom',
    builder: { sharedPlugins: true, buildApp: buildBoth },
    resolve: { dedupe: FRAMEWORKS },
    environments: {
      [CLIENT]: {
        build: { outDir: 'dist/client', manifest: true, rollupOptions: { input: html ?? client } },
      },
      [SERVER]: {
        build: {
          outDir: 'dist/server',
          copyPublicDir: false,
          rollupOptions: { input: { server: SERVER_ENTRY }, output: { entryFileNames: '[name].js' } },
        },
      },
    },
  }
}

/** The client first: the server's bundle knows its files. */
async function buildBoth(builder) {
  for (const name of [CLIENT, SERVER]) await builder.build(builder.environments[name])
}

function hasStart(plugins) {
  return (plugins ?? []).flat(Infinity).some((plugin) => STARTS.test(plugin?.name ?? ''))
}
