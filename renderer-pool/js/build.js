// Builds `dist/`: one module for each entry, shared parts in chunks, the libraries that it uses within, declarations.
import { execFileSync } from 'node:child_process'
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import { rolldown } from 'rolldown'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))

/** What an app brings along: one copy of each must be there. */
const PEERS = /^(?:react|react-dom|react-router|solid-js|@tanstack\/(?:react|solid)-router)(?:\/|$)/

const ENTRIES = {
  'pipeline/index': 'src/pipeline/index.ts',
  'pipeline/react': 'src/pipeline/react.ts',
  'pipeline/react_router': 'src/pipeline/react_router.ts',
  'pipeline/solid': 'src/pipeline/solid.ts',
  'pipeline/tanstack_react_router': 'src/pipeline/tanstack_react_router.ts',
  'pipeline/tanstack_solid_router': 'src/pipeline/tanstack_solid_router.ts',
  'client/index': 'src/client/index.ts',
  'client/react_router': 'src/client/react_router.ts',
}

rmSync(here('dist'), { recursive: true, force: true })
const bundle = await rolldown({ cwd: here('.'), input: ENTRIES, external: PEERS, platform: 'neutral' })
await bundle.write({
  dir: here('dist'),
  format: 'esm',
  sourcemap: true,
  entryFileNames: '[name].js',
  chunkFileNames: 'shared/[name].js',
})
await bundle.close()
execFileSync(process.execPath, [here('node_modules/typescript/bin/tsc'), '--project', here('.')], { stdio: 'inherit' })

// The compiler leaves the sources' names in them, which are not published beside.
for (const name of readdirSync(here('dist'), { recursive: true })) {
  if (!name.endsWith('.d.ts')) continue
  const path = here(`dist/${name}`)
  writeFileSync(path, readFileSync(path, 'utf8').replace(/(from '\.[^']*|import\('\.[^']*)\.ts'/g, "$1.js'"))
}
