import { createFileRoute } from '@tanstack/solid-router'

export const Route = createFileRoute('/boom')({
  loader: () => {
    throw new Error('boom from the loader')
  },
})
