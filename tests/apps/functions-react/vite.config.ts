import { isopod } from '@isopod/app/vite'
import { tanstackStart } from '@tanstack/react-start/plugin/vite'
import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

// The types are kept with the sources: the app builds where nobody has built the worker.
export default defineConfig({
  plugins: [
    // Ids that say which function is meant, for those who call without the client.
    tanstackStart({ serverFns: { generateFunctionId: ({ functionName }) => functionName.replace(/_createServerFn_handler$/, '') } }),
    react(),
    isopod({ native: { types: 'src/native-functions.d.ts' } }),
  ],
})
