import { defineConfig } from 'vite'

// Both builds as Vite writes them by itself: of the server's, packages stay in `node_modules`.
export default defineConfig(({ isSsrBuild }) => ({
  build: isSsrBuild
    ? { outDir: 'dist/server', rollupOptions: { output: { entryFileNames: 'server.js' } } }
    : { outDir: 'dist/client', manifest: 'manifest.json', rollupOptions: { input: 'src/client.ts' } },
}))
