import { createFileRoute } from '@tanstack/solid-router'

import { environmentNames } from '@shared/api/env.server'

export const Route = createFileRoute('/api/env')({
  server: {
    handlers: {
      GET: () => environmentNames(),
    },
  },
})
