import { fileURLToPath } from 'node:url'

import { tanstackStart } from '@tanstack/react-start/plugin/vite'
import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

const shared = fileURLToPath(new URL('../threads-shared', import.meta.url))

// What `vite build` writes by itself: packages stay in `node_modules`.
export default defineConfig({
  plugins: [tanstackStart(), react()],
  publicDir: `${shared}/public`,
  build: { outDir: 'plain/dist' },
  environments: { ssr: { build: { sourcemap: true } } },
  resolve: { alias: { '@shared': shared } },
  server: { fs: { allow: ['.', shared] } },
})
