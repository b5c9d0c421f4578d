import { createFileRoute, redirect } from '@tanstack/solid-router'

export const Route = createFileRoute('/old')({
  beforeLoad: () => {
    throw redirect({ to: '/' })
  },
})
