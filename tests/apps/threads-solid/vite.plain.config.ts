import { fileURLToPath } from 'node:url'

import { tanstackStart } from '@tanstack/solid-start/plugin/vite'
import { defineConfig } from 'vite'
import solid from 'vite-plugin-solid'

const shared = fileURLToPath(new URL('../threads-shared', import.meta.url))

// What `vite build` writes by itself: packages stay in `node_modules`.
export default defineConfig({
  plugins: [tanstackStart(), solid({ ssr: true })],
  publicDir: `${shared}/public`,
  build: { outDir: 'plain/dist' },
  environments: { ssr: { build: { sourcemap: true } } },
  resolve: { alias: { '@shared': shared } },
  server: { fs: { allow: ['.', shared] } },
})
