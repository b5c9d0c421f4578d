import { createFileRoute } from '@tanstack/react-router'

import { walkInBody } from '@shared/isolation.server'

export const Route = createFileRoute('/api/isolation')({
  server: {
    handlers: {
      GET: ({ request }) => walkInBody(request),
    },
  },
})
