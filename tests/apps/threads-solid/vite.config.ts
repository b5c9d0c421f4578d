import { fileURLToPath } from 'node:url'

import { isopod } from '@isopod/app/vite'
import { tanstackStart } from '@tanstack/solid-start/plugin/vite'
import { defineConfig } from 'vite'
import solid from 'vite-plugin-solid'

const shared = fileURLToPath(new URL('../threads-shared', import.meta.url))

// The types are kept with the sources: the app builds where nobody has built the workers.
const native = [{ worker: process.env.THREADS_WORKER }, { types: 'src/native-functions.d.ts' }]

export default defineConfig({
  plugins: [tanstackStart(), solid({ ssr: true }), isopod({ native })],
  publicDir: `${shared}/public`,
  resolve: { alias: { '@shared': shared } },
  server: { fs: { allow: ['.', shared] } },
})
