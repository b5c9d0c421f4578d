import { createFileRoute } from '@tanstack/solid-router'

import { streamUntilAborted } from '@shared/api/abort.server'

export const Route = createFileRoute('/api/abort')({
  server: {
    handlers: {
      GET: ({ request }) => streamUntilAborted(request),
    },
  },
})
