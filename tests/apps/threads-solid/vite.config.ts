import { fileURLToPath } from 'node:url'

import { isopod } from '@isopod/app/vite'
import { tanstackStart } from '@tanstack/solid-start/plugin/vite'
import { defineConfig } from 'vite'
import solid from 'vite-plugin-solid'

const shared = fileURLToPath(new URL('../threads-shared', import.meta.url))

export default defineConfig({
  plugins: [tanstackStart(), solid({ ssr: true }), isopod()],
  publicDir: `${shared}/public`,
  resolve: { alias: { '@shared': shared } },
  server: { fs: { allow: ['.', shared] } },
})
