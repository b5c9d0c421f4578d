import { createFileRoute } from '@tanstack/solid-router'

import { streamChunks } from '@shared/api/stream.server'

export const Route = createFileRoute('/api/stream')({
  server: {
    handlers: {
      GET: () => streamChunks(),
    },
  },
})
