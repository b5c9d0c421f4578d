import { createFileRoute } from '@tanstack/solid-router'

import { walkInBody } from '@shared/isolation.server'

export const Route = createFileRoute('/api/isolation')({
  server: {
    handlers: {
      GET: ({ request }) => walkInBody(request),
    },
  },
})
