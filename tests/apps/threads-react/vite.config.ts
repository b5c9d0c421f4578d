import { fileURLToPath } from 'node:url'

import { isopod } from '@isopod/app/vite'
import { tanstackStart } from '@tanstack/react-start/plugin/vite'
import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

const shared = fileURLToPath(new URL('../threads-shared', import.meta.url))

export default defineConfig({
  plugins: [tanstackStart(), react(), isopod()],
  publicDir: `${shared}/public`,
  resolve: { alias: { '@shared': shared } },
  server: { fs: { allow: ['.', shared] } },
})
