import { fileURLToPath } from 'node:url'

import { isopod } from '@isopod/app/vite'
import { tanstackStart } from '@tanstack/react-start/plugin/vite'
import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

const shared = fileURLToPath(new URL('../threads-shared', import.meta.url))

// The types are kept with the sources: the app builds where nobody has built the workers.
const native = [{ worker: process.env.THREADS_WORKER }, { types: 'src/native-functions.d.ts' }]

export default defineConfig({
  plugins: [tanstackStart(), react(), isopod({ native })],
  publicDir: `${shared}/public`,
  resolve: { alias: { '@shared': shared } },
  server: { fs: { allow: ['.', shared] } },
})
