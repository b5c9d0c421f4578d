import { createFileRoute } from '@tanstack/react-router'

import { repeat, sayHello } from '@shared/api/hello.server'

export const Route = createFileRoute('/api/hello')({
  server: {
    handlers: {
      GET: ({ request }) => sayHello(request),
      POST: ({ request }) => repeat(request),
    },
  },
})
