import { createFileRoute } from '@tanstack/react-router'

import { streamChunks } from '@shared/api/stream.server'

export const Route = createFileRoute('/api/stream')({
  server: {
    handlers: {
      GET: () => streamChunks(),
    },
  },
})
