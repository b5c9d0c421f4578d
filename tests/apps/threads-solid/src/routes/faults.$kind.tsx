import { createFileRoute } from '@tanstack/solid-router'

import { misbehave, misbehaveInRender } from '@shared/faults'

export const Route = createFileRoute('/faults/$kind')({
  loader: ({ params }) => misbehave(params.kind),
  onError: (error) => console.error(error),
  component: Fault,
})

function Fault() {
  const kind = Route.useLoaderData()
  return <p>{misbehaveInRender(kind())}</p>
}
