import { createFileRoute } from '@tanstack/react-router'

export const Route = createFileRoute('/boom-render')({ component: Boom })

function Boom(): never {
  throw new Error('boom from the render')
}
