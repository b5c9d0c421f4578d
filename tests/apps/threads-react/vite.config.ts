import { fileURLToPath } from 'node:url'

import { tanstackStart } from '@tanstack/react-start/plugin/vite'
import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

import { selfContained } from '../self-contained.js'

const shared = fileURLToPath(new URL('../threads-shared', import.meta.url))

export default defineConfig({
  plugins: [tanstackStart(), react(), selfContained()],
  publicDir: `${shared}/public`,
  resolve: { alias: { '@shared': shared } },
  server: { fs: { allow: ['.', shared] } },
})
