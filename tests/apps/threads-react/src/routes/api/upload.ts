import { createFileRoute } from '@tanstack/react-router'

import { digestUpload } from '@shared/api/upload.server'

export const Route = createFileRoute('/api/upload')({
  server: {
    handlers: {
      POST: ({ request }) => digestUpload(request),
    },
  },
})
