import { defineConfig } from 'vite'

// A server bundle as Vite writes it by itself: packages stay in `node_modules`.
export default defineConfig({
  build: { ssr: 'src/server.tsx', outDir: 'dist/server', rollupOptions: { output: { entryFileNames: 'server.js' } } },
})
