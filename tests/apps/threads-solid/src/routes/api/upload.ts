import { createFileRoute } from '@tanstack/solid-router'

import { digestUpload } from '@shared/api/upload.server'

export const Route = createFileRoute('/api/upload')({
  server: {
    handlers: {
      POST: ({ request }) => digestUpload(request),
    },
  },
})
