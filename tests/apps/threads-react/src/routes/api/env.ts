import { createFileRoute } from '@tanstack/react-router'

import { environmentNames } from '@shared/api/env.server'

export const Route = createFileRoute('/api/env')({
  server: {
    handlers: {
      GET: () => environmentNames(),
    },
  },
})
