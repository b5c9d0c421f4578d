import { createFileRoute } from '@tanstack/react-router'

export const Route = createFileRoute('/boom')({
  loader: () => {
    throw new Error('boom from the loader')
  },
})
