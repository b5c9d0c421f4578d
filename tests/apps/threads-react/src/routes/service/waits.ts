import { createFileRoute } from '@tanstack/react-router'

import { countWaits } from '../../functions/service'

export const Route = createFileRoute('/service/waits')({
  server: {
    handlers: {
      GET: async () => Response.json(await countWaits()),
    },
  },
})
