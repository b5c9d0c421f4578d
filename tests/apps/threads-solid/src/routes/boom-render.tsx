import { createFileRoute } from '@tanstack/solid-router'

export const Route = createFileRoute('/boom-render')({ component: Boom })

function Boom(): never {
  throw new Error('boom from the render')
}
