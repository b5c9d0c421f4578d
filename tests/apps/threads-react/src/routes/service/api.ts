import { createFileRoute } from '@tanstack/react-router'

import { listThreads } from '../../functions/service'

/** A server route that calls a function in Rust. */
export const Route = createFileRoute('/service/api')({
  server: {
    handlers: {
      GET: async () => Response.json(await listThreads({ data: { limit: 2 } })),
    },
  },
})
